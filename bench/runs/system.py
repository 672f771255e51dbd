"""A backbone as it will be trained on a task: what the user's settings make of its options and its
recipe.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench import registry
from bench.contracts import space
from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.task import Task
from bench.errors import UsageError, suggest
from bench.fingerprint import content
from bench.options import change
from bench.settings import Settings

Precision = Callable[
    [str], str
]  # what a recipe asks for -> what the device at hand gives


@dataclass(frozen=True)
class System:
    """A backbone as it will be trained on a task."""

    setup: Setup
    recipe: Recipe
    features: Mapping[str, Feature]

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """Its part of a run's fingerprint: the same for all of a pairing's folds and seeds."""
        setup = self.setup
        return {
            "setup": [
                list(setup.labels),
                setup.multilabel,
                setup.language,
                setup.mode,
                setup.scale,
            ],
            "options": content(setup.options),
            "features": {
                name: feature.fingerprint for name, feature in self.features.items()
            },
            "recipe": content(self.recipe),
        }


def setup_of(settings: Settings, backbone: Backbone, task: Task) -> Setup:
    """What the backbone is told of the task and of the user's wishes."""
    names = [f.name for f in dataclasses.fields(backbone.Options)]
    values = {k: v for k, v in chosen(settings, backbone).items() if k in names}
    return Setup(
        labels=tuple(task.labels),
        multilabel=task.multilabel,
        language=task.languages[0] if task.languages else "",
        mode=settings.mode,
        scale=settings.scale,
        weights=setting(settings.weights, backbone),
        variant=backbone.variant,
        options=change(backbone.options(), values, f"options of {backbone.name}"),
    )


def recipe_of(
    settings: Settings, backbone: Backbone, setup: Setup, precision: Precision
) -> Recipe:
    """The backbone's recipe with the user's changes and the precision of the device."""
    names = [f.name for f in dataclasses.fields(Recipe)]
    values = {k: v for k, v in chosen(settings, backbone).items() if k in names}
    usual = backbone.recipe(setup)
    if usual.monitor == "UA" and setup.multilabel:
        usual = dataclasses.replace(usual, monitor="F1 macro")
    recipe = change(usual, values, f"recipe of {backbone.name}")
    if settings.precision:
        recipe = dataclasses.replace(recipe, precision=settings.precision)
    return change(recipe, {"precision": precision(recipe.precision)}, "device")


def chosen(settings: Settings, backbone: Backbone) -> dict[str, Any]:
    """What `--set` says that concerns this backbone: `key`, overridden by `backbone.key`."""
    names = {
        f.name for kind in (Recipe, backbone.Options) for f in dataclasses.fields(kind)
    }
    general = {k: v for k, v in settings.set.items() if k in names}
    own = {
        k.rpartition(".")[2]: v
        for k, v in settings.set.items()
        if _owner(k) in backbone.names
    }
    return {**general, **own}


def altered(backbone: Backbone, system: System, values: Mapping[str, Any]) -> System:
    """The system with other values of recipe fields and options. Raises UsageError for one that is
    out of bounds.
    """
    own = {f.name for f in dataclasses.fields(system.setup.options)}
    options = change(
        system.setup.options,
        {k: v for k, v in values.items() if k in own},
        f"options of {backbone.name}",
    )
    recipe = change(
        system.recipe,
        {k: v for k, v in values.items() if k not in own},
        f"recipe of {backbone.name}",
    )
    if options == system.setup.options:
        return dataclasses.replace(system, recipe=recipe)
    setup = dataclasses.replace(system.setup, options=options)
    return System(setup, recipe, backbone.features(setup))


def setting(values: Mapping[str, str], backbone: Backbone) -> str | None:
    """The value for this backbone in a table by name, that of its variant if there is one."""
    given = [values[name] for name in backbone.names if name in values]
    return given[-1] if given else None


def check_options(settings: Settings, backbones: Sequence[Backbone]) -> None:
    """Raise UsageError for every `--set` key that no backbone of the command has."""
    own = _option_names(backbones)
    recipe = [field.name for field in dataclasses.fields(Recipe)]
    every = {*recipe}
    for names in own.values():
        every.update(names)
    known = {*own, *registry.entries("backbone")}
    problems = []
    for key in settings.set:
        owner = _owner(key)
        name = key.rpartition(".")[2]
        allowed = [*recipe, *own.get(owner, [name])] if owner else every
        if owner and owner not in known:
            problems.append(
                f"{key}: no backbone is called {owner}{suggest(owner, known)}"
            )
        elif name not in allowed:
            problems.append(f"{key}{suggest(name, sorted(every))}")
    available = sorted(every)
    if problems:
        raise UsageError(
            f"--set names unknown options: {'; '.join(problems)}; available: {', '.join(available)}"
        )
    space.check(settings.space, known, available)


def _option_names(backbones: Sequence[Backbone]) -> dict[str, list[str]]:
    """The options of each backbone, by each of its names."""
    own: dict[str, list[str]] = {}
    for backbone in backbones:
        options = [field.name for field in dataclasses.fields(backbone.Options)]
        own.update(dict.fromkeys(backbone.names, options))
    return own


def _owner(key: str) -> str:
    return key.rpartition(".")[0]
