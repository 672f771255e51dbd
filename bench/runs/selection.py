"""The plugins that a command names, with every name and option checked before any data is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench import registry
from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import UsageError, and_more, suggest
from bench.options import stem
from bench.registry import Kind
from bench.runs.division import lacks_protocol
from bench.runs.system import check_options, recipe_of, setting, setup_of
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
    check_names("--data", settings.data, task_names, "task")
    backbone_names = [
        name for backbone in selection.backbones for name in backbone.names
    ]
    check_names("--weights", settings.weights, backbone_names, "backbone")
    _check_weights(settings, selection.backbones)
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


def check_names(
    flag: str, given: Mapping[str, object], known: Iterable[str], kind: Kind
) -> None:
    """Raise UsageError for a name that is neither known nor that of a registered plugin."""
    every = {*known, *registry.entries(kind)}
    wrong = []
    for name in given:
        is_known = name in every or stem(name) in every
        if not is_known:
            hint = suggest(name, every)
            wrong.append(f"{name}{hint}")
    if wrong:
        named = and_more(wrong)
        raise UsageError(f"{flag} names unknown {kind}s: {named}")


def _check_weights(settings: Settings, backbones: Iterable[Backbone]) -> None:
    """Raise UsageError for weights of a backbone that has none to load."""
    names = []
    for backbone in backbones:
        weights = setting(settings.weights, backbone)
        if weights and not backbone.pretrained:
            names.append(backbone.name)
    if names:
        listed = and_more(names)
        raise UsageError(
            f"--weights names backbones that have none to load: {listed}; leave them out"
        )
