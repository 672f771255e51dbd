"""The flags of commands, generated once from the fields of `Settings` and `Tuning`."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import typer

from bench import registry
from bench.options import assignments, choices, without_none
from bench.settings import Settings, Tuning

Command = Callable[..., int | None]
Field = dataclasses.Field[Any]

Formats = Literal["text", "markdown", "csv", "latex", "html", "json"]

STORE = ("results", "tracking_uri")
PRINTED = "What is printed"

KEYWORD = inspect.Parameter.KEYWORD_ONLY
METAVARS = {int: "N", float: "X", Path: "PATH", str: "TEXT", bool: ""}
KIND_OF_PLUGIN: Mapping[str, registry.Kind] = {"backbone": "backbone", "task": "task"}


def takes(
    only: Collection[str] = (),
    without: Collection[str] = (),
    filters: Collection[str] = (),
) -> Callable[[Command], Command]:
    """A decorator that adds the flags of settings to a command, which gets their values as `given`.

    Args:
        only: the names of the fields; default: every field with a heading for `--help`.
        without: fields that are left out.
        filters: fields that select among recorded runs, which by default are all taken.
    """
    wanted = [field for field in FIELDS if _is_wanted(field, only, without)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_flags(**values: Any) -> int | None:
            typed = {field.name: values.pop(field.name) for field in wanted}
            given = _given(typed)
            return command(given=given, **values)

        own = inspect.signature(command, eval_str=True)
        parameters = [_parameter(field, field.name in filters) for field in wanted]
        for parameter in own.parameters.values():
            if parameter.name != "given":
                parameters.append(parameter.replace(kind=KEYWORD))
        with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_flags.__annotations__ = {}
        return with_flags

    return decorate


def choice(help: str, allowed: Any, default: str, group: str) -> Any:
    """The option `--format`, which takes one of the values of a `Literal`.

    Args:
        help: what it means, in one line.
        allowed: the `Literal`.
        default: the value that it has where it is not given.
        group: the heading under which `--help` lists it.
    """
    listed = ", ".join(choices(allowed))
    return typer.Option(
        "--format",
        metavar="FORMAT",
        help=f"{help}: {listed} (default: {default})",
        show_default=False,
        rich_help_panel=group,
    )


def split(names: Sequence[str] | None) -> list[str]:
    """`-b a,b -b c` as three names."""
    parts = []
    for text in names or ():
        for part in text.split(","):
            if part.strip():
                parts.append(part.strip())
    return parts


def _is_wanted(field: Field, only: Collection[str], without: Collection[str]) -> bool:
    if only:
        return field.name in only
    return bool(field.metadata["group"]) and field.name not in without


def _given(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, as the functions of `bench.interface` take it; text is converted there."""
    given: dict[str, Any] = {}
    for name, value in typed.items():
        if name in KIND_OF_PLUGIN:
            given[name] = split(value)
        elif _is_table(HINTS[name]):
            given[name] = assignments(value or (), f"--{name}")
        elif value is not None:
            given[name] = value
    return given


def _parameter(field: Field, is_filter: bool) -> inspect.Parameter:
    """The flag of a field. Its value stays text: the options of `bench` check all alike."""
    hint = without_none(HINTS[field.name])
    kind: Any = bool if hint is bool else str
    if field.name in KIND_OF_PLUGIN or _is_table(hint):
        kind = list[str]
    metavar = field.metadata["metavar"] or _metavar(hint)
    flag = typer.Option(
        *_declarations(field),
        help=f"only runs with this {field.name}" if is_filter else _help(field),
        metavar=metavar,
        show_default=False,
        rich_help_panel=field.metadata["group"],
        autocompletion=_completion(field.name, hint),
    )
    annotation = Annotated[kind | None, flag]
    return inspect.Parameter(field.name, KEYWORD, default=None, annotation=annotation)


def _declarations(field: Field) -> list[str]:
    """How the flag is written: `-b`, `--backbone`."""
    long = f"--{field.name.replace('_', '-')}"
    flag = field.metadata["flag"]
    if flag.startswith("--"):
        return [flag]
    return [flag, long] if flag else [long]


def _help(field: Field) -> str:
    """The meaning of a field with its default."""
    text: str = field.metadata["help"]
    default = field.metadata["otherwise"] or _default(field)
    if default:
        text += f" (default: {default})"
    return text


def _default(field: Field) -> str:
    if field.default in (None, False, (), dataclasses.MISSING):
        return ""
    return str(field.default)


def _metavar(hint: Any) -> str:
    allowed = choices(hint)
    if allowed:
        return "|".join(map(str, allowed))
    return METAVARS.get(hint, "TEXT")


def _completion(name: str, hint: Any) -> Callable[[str], list[str]] | None:
    """What the shell offers for a flag's value."""
    if name in KIND_OF_PLUGIN:
        return lambda incomplete: _plugin_names(KIND_OF_PLUGIN[name], incomplete)
    allowed = [str(choice) for choice in choices(hint)]
    if not allowed:
        return None
    return lambda incomplete: [text for text in allowed if text.startswith(incomplete)]


def _plugin_names(kind: registry.Kind, incomplete: str) -> list[str]:
    """Names that continue the last one of a comma-separated list."""
    before, comma, begun = incomplete.rpartition(",")
    matches = []
    for name in [*registry.entries(kind), *registry.SEVERAL]:
        if name.startswith(begun):
            matches.append(f"{before}{comma}{name}")
    return matches


def _is_table(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


FIELDS: tuple[Field, ...] = (*dataclasses.fields(Settings), *dataclasses.fields(Tuning))
HINTS = {**get_type_hints(Settings), **get_type_hints(Tuning)}

Format = Annotated[
    Formats, choice("how the table is written", Formats, "text", PRINTED)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="write to a file instead of the screen",
        rich_help_panel=PRINTED,
    ),
]
