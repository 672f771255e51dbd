"""The plugins that a command names, with every name and option checked before any data is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench import registry
from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import UsageError, suggest
from bench.options import stem
from bench.registry import Kind
from bench.runs.division import lacks_protocol
from bench.runs.system import check_options, recipe_of, setup_of
from bench.settings import Settings, check_task_named


@dataclass(frozen=True)
class Selection:
    """The plugins that a command names."""

    backbones: Sequence[Backbone]
    tasks: Sequence[Task]


def select(settings: Settings, own: Selection | None = None) -> Selection:
    """Check all that needs no data: names, variants, options. Imports nothing heavy.

    `own`: what the user passed as objects; the settings name them beside registered plugins.
    Raises UsageError.
    """
    check_task_named(settings)
    selection = _named(settings, own or Selection((), ()))
    check_options(settings, selection.backbones)
    task_names = [name for task in selection.tasks for name in task.names]
    _check_names("--data", settings.data, task_names, "task")
    backbone_names = [
        name for backbone in selection.backbones for name in backbone.names
    ]
    _check_names("--weights", settings.weights, backbone_names, "backbone")
    for backbone in selection.backbones:
        for task in selection.tasks:
            recipe_of(settings, backbone, setup_of(settings, backbone, task), str)
    lacking = [lacks_protocol(task, settings.protocol) for task in selection.tasks]
    if all(lacking):
        raise UsageError("; ".join(lacking))
    return selection


def _named(settings: Settings, own: Selection) -> Selection:
    """The registered plugins that the settings name, and the user's own after them."""
    backbones = _registered(settings.backbone, own.backbones)
    tasks = _registered(settings.task, own.tasks)
    registry.check(backbones, tasks)
    return Selection(
        [*registry.backbones(backbones, settings.variants), *own.backbones],
        [*registry.tasks(tasks), *own.tasks],
    )


def _registered(names: Iterable[str], own: Iterable[Backbone | Task]) -> list[str]:
    own_names = {plugin.name for plugin in own}
    return [name for name in names if name not in own_names]


def _check_names(
    flag: str, given: Mapping[str, object], known: Sequence[str], kind: Kind
) -> None:
    every = {*known, *registry.entries(kind)}
    wrong = [name for name in given if name not in every and stem(name) not in every]
    if wrong:
        named = ", ".join(name + suggest(name, every) for name in wrong)
        raise UsageError(f"{flag} names unknown {kind}s: {named}")
