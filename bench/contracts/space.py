"""Search spaces: which recipe fields and options a search may change, and within which bounds.

A backbone declares its space; `[space]` in `bench.toml` narrows or widens it:

    [space]
    learning_rate = { low = 1e-5, high = 1e-3, log = true }
    batch_size = [8, 16]                # one of these
    weight_decay = false                # not searched

    [space.byol-s]                      # for one backbone alone
    dropout = { low = 0.0, high = 0.5 }
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_type_hints

from bench.contracts.recipe import Recipe
from bench.errors import UsageError, suggest
from bench.options import change
from bench.texts import quoted

Value = float | int | str | bool


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log`: as many between 1 and 10 as between 10
    and 100.
    """

    founding: ClassVar[tuple[str, ...]] = ("low", "high", "log", "whole")

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    founding: ClassVar[tuple[str, ...]] = ("values",)

    values: tuple[Value, ...]

    def holds(self, value: Any) -> bool:
        return value in self.values


Space = Mapping[str, Range | Choice]  # by the name of a recipe field or an option


def fine_tuning(recipe: Recipe) -> Space:
    """The space around a recipe of gradient descent through an encoder: the rate above all, since
    luck with it alone moves results by many points.
    """
    return {
        "learning_rate": Range(
            recipe.learning_rate / 10, recipe.learning_rate * 10, log=True
        ),
        "weight_decay": Range(1e-4, 0.3, log=True)
        if recipe.weight_decay
        else Range(0.0, 0.1),
        "warmup": Range(0.0, 0.3),
        "batch_size": Choice(
            tuple(
                sorted(
                    {
                        max(1, recipe.batch_size // 2),
                        recipe.batch_size,
                        recipe.batch_size * 2,
                    }
                )
            )
        ),
        "class_weights": Choice(("none", "balanced")),
        "label_smoothing": Range(0.0, 0.2),
    }


def probing(recipe: Recipe) -> Space:
    """The space of a linear head on frozen states: penalty and rate over what can matter, one batch
    size for all trials, so that they train side by side.
    """
    return {
        "learning_rate": Range(
            recipe.learning_rate / 30, recipe.learning_rate * 10, log=True
        ),
        "weight_decay": Range(1e-3, 3.0, log=True),
        "class_weights": Choice(("none", "balanced")),
        "label_smoothing": Range(0.0, 0.2),
    }


def check(
    stored: Mapping[str, Any], backbones: Collection[str], options: Collection[str]
) -> None:
    """Raise UsageError for every name in `[space]` that means nothing; `options`: the backbones'
    and the recipe's.
    """
    tables = {name: raw for name, raw in stored.items() if _is_table(raw)}
    problems = [
        f"no backbone is called {name}{suggest(name, backbones)}"
        for name in tables
        if name not in backbones
    ]
    keys = [name for name in stored if name not in tables] + [
        key for table in tables.values() for key in table
    ]
    problems += [
        f"unknown option {key}{suggest(key, options)}"
        for key in keys
        if key not in options
    ]
    if problems:
        raise UsageError(f"[space] in bench.toml: {'; '.join(problems)}")


def changed(
    space: Space, stored: Mapping[str, Any], backbone: Collection[str], options: Any
) -> Space:
    """The space with the entries of `[space]` and of `[space.NAME]`, NAME one of those that the
    backbone goes by.

    `options`: the backbone's own, which may be searched beside the recipe's fields. Raises
    UsageError.
    """
    known = {
        f.name: (type(kind), f)
        for kind in (Recipe(), options)
        for f in dataclasses.fields(kind)
    }
    entries = {name: raw for name, raw in stored.items() if not _is_table(raw)}
    for name in backbone:
        entries |= stored.get(name, {})
    result = {
        name: domain for name, domain in space.items() if entries.get(name) is not False
    }
    for name, raw in entries.items():
        if name in known and raw is not False:
            result[name] = _domain(name, raw, *known[name])
    return result


def _is_table(raw: Any) -> bool:
    """Whether this is `[space.NAME]`, not a range."""
    return isinstance(raw, Mapping) and not {"low", "high"} & set(raw)


def _domain(
    name: str, raw: Any, owner: type, about: dataclasses.Field[Any]
) -> Range | Choice:
    """A range or a choice, each value checked as `--set` would check it. Raises UsageError."""
    where = f"[space] {name} in bench.toml"

    def checked(value: Any) -> Any:
        return getattr(change(owner(), {name: value}, where), name)

    if isinstance(raw, list) and raw:
        return Choice(tuple(checked(value) for value in raw))
    if not _is_range(raw):
        raise UsageError(
            f"{where} takes {{ low = ..., high = ..., log = true }}, a list of values, or false, "
            f"not {quoted(raw)}"
        )
    low = checked(raw["low"])
    high = checked(raw["high"])
    log = raw.get("log", False)
    if not _is_valid(low, high, log):
        raise UsageError(
            f"{where}: low must be a number below high, and above 0 where log is true, "
            f"not {quoted(raw)}"
        )
    is_whole = get_type_hints(owner)[name] is int
    return Range(low, high, log, is_whole)


def _is_range(raw: Any) -> bool:
    """Whether this has both ends of a range, and nothing that a range does not have."""
    if not isinstance(raw, Mapping):
        return False
    keys = set(raw)
    return {"low", "high"} <= keys <= {"low", "high", "log"}


def _is_valid(low: Any, high: Any, log: bool) -> bool:
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float):
            return False
    if not isinstance(log, bool) or (log and low <= 0):
        return False
    return bool(low < high)
