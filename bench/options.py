"""Typed options: how a dataclass declares them, and how values from a file or the command line are
checked.
"""

import dataclasses
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bench.errors import UsageError, one_line, suggest
from bench.texts import expect, path_of, quoted, separate, text_of

Options = TypeVar("Options")
Form = Callable[[str], object]  # checks a text: raises ValueError

TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def stem(name: str) -> str:
    """The name before the colon: `demo` of `demo:pitch`."""
    return name.partition(":")[0]


def variant(name: str) -> str:
    """The variant after the colon, empty where there is none: `pitch` of `demo:pitch`."""
    return name.partition(":")[2]


def short(value: object) -> str:
    """A setting's value with at most three digits."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def option(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    *,
    group: str = "",
    flag: str = "",
    metavar: str = "",
    otherwise: str = "",
    form: Form = text_of,
) -> Any:
    """A dataclass field with a one-line meaning and, for a number, its inclusive bounds.

    A text is not empty, unless that is the default; nor is one in a list or a table.

    Args:
        default: its value; a class such as `dict` is called for each instance.
        help: what it means, in one line.
        low: the smallest number that is allowed.
        high: the largest one.
        group: the heading under which `--help` lists it.
        flag: how the command line calls it, `-b` or `--nested/--shared`; default: its name.
        metavar: what its value looks like, `TASK=PATH`; default: by its type.
        otherwise: what happens where its default is None.
        form: checks a text, or each of a table, beyond its type.
    """
    metadata = {
        "help": help,
        "low": low,
        "high": high,
        "group": group,
        "flag": flag,
        "metavar": metavar,
        "otherwise": otherwise,
        "form": form,
    }
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def build(
    kind: type[Options],
    values: Mapping[str, Any],
    where: str,
    spelled: Callable[[str], str] = str,
) -> Options:
    """An instance of a frozen dataclass from raw values, each converted to the type of its field.

    Raises:
        UsageError: as `change`.
    """
    return change(kind(), values, where, spelled)


def change(
    options: Options,
    values: Mapping[str, Any],
    where: str,
    spelled: Callable[[str], str] = str,
) -> Options:
    """`options` with some values replaced, each converted to its field's type and within bounds.

    Args:
        options: an instance of a frozen dataclass.
        values: field -> a value, or text as typed on the command line.
        where: the place that an error names, `in bench.toml`.
        spelled: how an error writes the name of a field.

    Raises:
        UsageError: naming every unknown field and every bad value.
    """
    hints = get_type_hints(type(options))
    fields = {f.name: f for f in dataclasses.fields(options)}  # type: ignore[arg-type]
    unknown = [key for key in values if key not in fields]
    problems = [_unknown(key, fields) for key in unknown]
    converted: dict[str, Any] = {}
    for key, raw in values.items():
        if key in unknown:
            continue
        try:
            value = _convert(raw, hints[key])
            _check(value, fields[key])
        except ValueError as error:
            problems.append(f"{spelled(key)} {error}")
        else:
            converted[key] = value
    if problems:
        listed = "; ".join(problems)
        raise UsageError(f"{listed} ({where})")
    return dataclasses.replace(options, **converted)  # type: ignore[type-var]


def choices(hint: Any) -> tuple[Any, ...]:
    """The values that a type allows, where it lists them: of `Literal`, with or without None."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    if is_optional(hint):
        return choices(without_none(hint))
    return ()


def is_optional(hint: Any) -> bool:
    """Whether a type is a union, such as `int | None`."""
    return get_origin(hint) in (Union, types.UnionType)


def without_none(hint: Any) -> Any:
    """The type beside None in `int | None`; any other type as it is."""
    if not is_optional(hint):
        return hint
    return next(part for part in get_args(hint) if part is not type(None))


def assignments(texts: Sequence[str], flag: str) -> dict[str, str]:
    """The `KEY=VALUE` words of a repeated flag, as a mapping.

    Raises:
        UsageError: for words of another form.
    """
    values = {}
    wrong = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            wrong.append(text)
        values[key] = value
    if wrong:
        raise UsageError(f"{flag} takes KEY=VALUE, not {', '.join(wrong)}")
    return values


def flat(value: Any) -> dict[str, object]:
    """A dataclass as MLflow parameters."""
    names = [field.name for field in dataclasses.fields(value)]
    return {name: getattr(value, name) for name in names}


def _unknown(key: object, known: Iterable[str]) -> str:
    name = one_line(key, 80)
    hint = suggest(name, known)
    return f"unknown option {name}{hint}"


def _convert(raw: Any, hint: Any) -> Any:
    """`raw` (text of the command line, or a TOML value) as `hint`. Raises ValueError."""
    if is_optional(hint):
        is_none = raw is None or (isinstance(raw, str) and raw.lower() == "none")
        return None if is_none else _convert(raw, without_none(hint))
    origin = get_origin(hint)
    if origin is Literal:
        return _choice(raw, get_args(hint))
    if origin is tuple:
        return _several(raw, get_args(hint)[0])
    if origin is not None and issubclass(origin, Mapping):
        return _table(raw, get_args(hint)[1])
    return _single(raw, hint)


def _single(raw: Any, hint: Any) -> Any:
    if hint is bool:
        return _boolean(raw)
    if hint in (int, float):
        return _number(raw, hint)
    if hint is Path:
        return path_of(raw)
    if hint is str or isinstance(raw, str):
        return text_of(raw)
    return raw


def _several(raw: Any, hint: Any) -> tuple[Any, ...]:
    items = raw
    if isinstance(raw, str):
        items = separate(raw)
    expect(items, (list, tuple), "a list")
    return tuple(_convert(item, hint) for item in items)


def _table(raw: Any, hint: Any) -> dict[str, Any]:
    """A table, each value converted."""
    table = {}
    for key, value in expect(raw, Mapping, "a table").items():
        name = text_of(key)
        try:
            table[name] = _convert(value, hint)
        except ValueError as error:
            raise ValueError(f"of {one_line(name, 80)} {error}") from None
    return table


def _boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in TRUTH:
        return TRUTH[raw.lower()]
    raise ValueError(f"must be true or false, not {quoted(raw)}")


def _number(raw: Any, hint: type) -> Any:
    try:
        loses_digits = hint is int and isinstance(raw, float)
        if isinstance(raw, bool) or loses_digits:
            raise ValueError
        return hint(raw)
    except (TypeError, ValueError, OverflowError):
        kind = "a whole number" if hint is int else "a number"
        raise ValueError(f"must be {kind}, not {quoted(raw)}") from None


def _choice(raw: Any, allowed: tuple[Any, ...]) -> Any:
    text = raw if isinstance(raw, str) else quoted(raw)
    for choice in allowed:
        if choice == raw or str(choice) == text:
            return choice
    listed = ", ".join(map(str, allowed))
    hint = suggest(text, allowed)
    raise ValueError(f"must be one of {listed}, not {quoted(raw)}{hint}")


def _check(value: Any, field: "dataclasses.Field[Any]") -> None:
    """Raise ValueError for a value that is not what the field's `option` allows."""
    about = field.metadata
    may_be_empty = field.default == "" or not about
    if _has_empty(value) and not may_be_empty:
        raise ValueError("must not be empty")
    if isinstance(value, bool):
        return
    form = about.get("form", text_of)
    for text in _texts(value):
        form(text)
    if isinstance(value, int | float):
        _check_low(value, about.get("low"))
        _check_high(value, about.get("high"))


def _texts(value: Any) -> list[str]:
    """A text, or those in a table."""
    values = [value]
    if isinstance(value, Mapping):
        values = list(value.values())
    return [text for text in values if isinstance(text, str)]


def _has_empty(value: Any) -> bool:
    """Whether this is an empty text, or holds one."""
    if isinstance(value, Mapping):
        return "" in value.values()
    if isinstance(value, tuple):
        return "" in value
    return bool(value == "")


def _check_low(value: float, low: float | None) -> None:
    is_finite = isinstance(value, int) or math.isfinite(value)
    shown = quoted(value)
    if low is None:
        if not is_finite:
            raise ValueError(f"must be finite, not {shown}")
    elif value < low or not is_finite:
        raise ValueError(f"must be at least {low}, not {shown}")


def _check_high(value: float, high: float | None) -> None:
    if high is None:
        return
    if value > high:
        shown = quoted(value)
        raise ValueError(f"must be at most {high}, not {shown}")
