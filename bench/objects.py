"""Backbones and tasks that are passed as objects or classes, beside those that are named, and the
settings that go with them.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bench import registry
from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import UsageError
from bench.keywords import Backbones, Tasks, each, names
from bench.options import stem
from bench.settings import Settings, Tuning
from bench.settings_file import gather
from bench.source.digest import forget, source_digest

if TYPE_CHECKING:
    from bench.runs.selection import Selection

Plugin = TypeVar("Plugin", Backbone, Task)

NAME = re.compile(r"\w[\w.-]*(:\w[\w.-]*)?")
IDENTITY = ("name", "source")  # attributes that say nothing about what a plugin does
TASK_MUST_SAY = ("title", "labels", "languages", "default_protocol")


@dataclass(frozen=True)
class Taken(Generic[Plugin]):
    """What was passed: all its names, and the objects among it, ready to run."""

    names: list[str]
    plugins: list[Plugin]


def take_backbones(given: Backbones | None) -> Taken[Backbone]:
    """The backbones that were passed, by name or as objects.

    An object is copied, and a class made an instance under its own name (`my-backbone` for
    `MyBackbone`).

    Raises:
        UsageError: if an object lacks something, has the name of another plugin, or depends on
            code without source.
    """
    return _take(given, Backbone)  # type: ignore[type-abstract]


def take_tasks(given: Tasks | None) -> Taken[Task]:
    """The same for tasks."""
    return _take(given, Task)  # type: ignore[type-abstract]


def settings_of(
    backbones: Taken[Backbone], tasks: Taken[Task], options: Mapping[str, Any]
) -> Settings:
    """The settings of a function's keywords over those of `bench.toml`."""
    settings = gather({**options, "backbone": backbones.names, "task": tasks.names})
    objects = [*backbones.plugins, *tasks.plugins]
    if objects and settings.executor != "local":
        classes = ", ".join(type(plugin).__name__ for plugin in objects)
        raise UsageError(
            f"a cluster's machines cannot import {classes}, passed as an object: install it in a "
            "package, as CONTRIBUTING.md says, or run it with executor='local'"
        )
    return settings


def selection(backbones: Taken[Backbone], tasks: Taken[Task]) -> "Selection":
    """The plugins that were passed as objects."""
    from bench.runs.selection import Selection

    return Selection(backbones.plugins, tasks.plugins)


def tuning(options: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `tune` with those of the search itself under one name, as `Settings` has
    them.
    """
    search = {k: v for k, v in options.items() if k in Tuning.__dataclass_fields__}
    others = {k: v for k, v in options.items() if k not in search}
    return {**others, "tune": {k: v for k, v in search.items() if v is not None}}


def _take(given: object, kind: type[Plugin]) -> Taken[Plugin]:
    forget()
    taken: list[str] = []
    plugins: list[Plugin] = []
    for one in each(given):
        if isinstance(one, kind) or (isinstance(one, type) and issubclass(one, kind)):
            plugin: Plugin = _prepared(one)
            plugins.append(plugin)
            taken.append(plugin.name)
        else:
            taken += names(one)
    _check_names(plugins, taken)
    return Taken(taken, plugins)


def _prepared(given: Plugin | type[Plugin]) -> Plugin:
    plugin = _instance(given) if isinstance(given, type) else copy.copy(given)
    lacking = _lacking(plugin)
    if lacking:
        raise UsageError(f"{type(plugin).__name__} lacks {', '.join(lacking)}")
    state = {key: value for key, value in vars(plugin).items() if key not in IDENTITY}
    plugin.source = source_digest([type(plugin), state])
    return plugin


def _instance(kind: type[Plugin]) -> Plugin:
    methods = sorted(getattr(kind, "__abstractmethods__", ()))
    if methods:
        raise UsageError(f"{kind.__name__} lacks the methods {', '.join(methods)}")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind.__name__)
    return kind(words.lower())


def _lacking(plugin: Backbone | Task) -> list[str]:
    """The attributes that a plugin should have and has not."""
    needed = ["name"]  # which the constructor of its base class sets
    if isinstance(plugin, Task):
        needed += TASK_MUST_SAY
    return [name for name in needed if not hasattr(plugin, name)]


def _check_names(plugins: Iterable[Backbone | Task], taken: list[str]) -> None:
    """Raise UsageError for objects whose name is unusable or not theirs alone."""
    for plugin in plugins:
        name = plugin.name
        kind: registry.Kind = "backbone" if isinstance(plugin, Backbone) else "task"
        advice = f"pass {type(plugin).__name__}(...) with another name"
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be the name of a {kind}: {advice}")
        if stem(name) in {*registry.entries(kind), "all", "everything"}:
            raise UsageError(
                f"the name {name} belongs to a registered {kind}: {advice}"
            )
        if taken.count(name) > 1:
            raise UsageError(f"two of the {kind}s are called {name}: {advice}")
