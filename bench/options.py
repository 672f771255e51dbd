"""Typed options: how a dataclass declares them, and how values from a file or the command line are
checked.
"""

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bench.errors import UsageError, suggest


def stem(name: str) -> str:
    """The name before the colon: `demo` of `demo:pitch`."""
    return name.partition(":")[0]


def variant(name: str) -> str:
    """The variant after the colon, empty where there is none: `pitch` of `demo:pitch`."""
    return name.partition(":")[2]


def short(value: object) -> str:
    """A setting's value as a reader wants it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def option(default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field with a one-line meaning and, for a number, its inclusive bounds."""
    return field(default=default, metadata={"help": help, "low": low, "high": high})


Options = TypeVar("Options")


def build(
    kind: type[Options], values: Mapping[str, Any], where: str, spelled: Callable[[str], str] = str
) -> Options:
    """An instance of a frozen dataclass from raw values, each converted to the type of its field."""
    return change(kind(), values, where, spelled)


def change(
    options: Options, values: Mapping[str, Any], where: str, spelled: Callable[[str], str] = str
) -> Options:
    """`options` with `values` in place, typed and within bounds. `spelled`: how an error writes the
    name of a field.

    Raises UsageError naming every bad value.
    """
    hints = get_type_hints(type(options))
    fields = {f.name: f for f in dataclasses.fields(options)}  # type: ignore[arg-type]
    problems = [f"unknown option {k}{suggest(k, fields)}" for k in values if k not in fields]
    converted: dict[str, Any] = {}
    for key in (k for k in values if k in fields):
        try:
            converted[key] = _bounded(_convert(values[key], hints[key]), fields[key].metadata)
        except ValueError as error:
            problems.append(f"{spelled(key)} {error}")
    if problems:
        raise UsageError(f"{'; '.join(problems)} ({where})")
    return dataclasses.replace(options, **converted)  # type: ignore[type-var]


def _convert(raw: Any, hint: Any) -> Any:  # noqa: PLR0911 - one return per kind of type is the clearest form
    """`raw` (a string of the command line, or a TOML value) as `hint`. Raises ValueError."""
    if get_origin(hint) in (Union, types.UnionType):
        if raw is None or (isinstance(raw, str) and raw.lower() == "none"):
            return None
        return _convert(raw, next(a for a in get_args(hint) if a is not type(None)))
    if get_origin(hint) is Literal:
        return _choice(raw, get_args(hint))
    if get_origin(hint) is tuple:
        items = raw.split(",") if isinstance(raw, str) else raw
        return tuple(
            _convert(i, get_args(hint)[0]) for i in _expect(items, (list, tuple), "a list")
        )
    if get_origin(hint) is not None and issubclass(get_origin(hint), Mapping):
        return dict(_expect(raw, Mapping, "a table"))
    if hint is bool:
        return _boolean(raw)
    if hint in (int, float):
        return _number(raw, hint)
    if hint is Path:
        return Path(_expect(raw, (str, Path), "a path")).expanduser()
    return _expect(raw, str, "a text") if hint is str else raw


def _boolean(raw: Any) -> bool:
    known = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in known:
        return known[raw.lower()]
    raise ValueError(f"must be true or false, not {raw!r}")


def _number(raw: Any, hint: type) -> Any:
    try:
        if isinstance(raw, bool) or (hint is int and isinstance(raw, float)):
            raise ValueError
        return hint(raw)
    except (TypeError, ValueError):
        kind = "a whole number" if hint is int else "a number"
        raise ValueError(f"must be {kind}, not {raw!r}") from None


def _choice(raw: Any, choices: tuple[Any, ...]) -> Any:
    match = next((c for c in choices if c == raw or str(c) == str(raw)), None)
    if match is None:
        raise ValueError(
            f"must be one of {', '.join(map(str, choices))}, not {raw!r}{suggest(str(raw), choices)}"
        )
    return match


def _expect(raw: Any, kinds: Any, what: str) -> Any:
    if not isinstance(raw, kinds):
        raise ValueError(f"must be {what}, not {raw!r}")
    return raw


def _bounded(value: Any, metadata: Mapping[str, Any]) -> Any:
    low, high = metadata.get("low"), metadata.get("high")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or (low is not None and value < low):
            raise ValueError(
                f"must be {'finite' if low is None else f'at least {low}'}, not {value}"
            )
        if high is not None and value > high:
            raise ValueError(f"must be at most {high}, not {value}")
    return value


def flat(value: Any) -> dict[str, object]:
    """A dataclass as MLflow parameters."""
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
