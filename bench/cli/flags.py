"""The flags of commands, generated once from the fields of `Settings` and `Tuning`."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import typer

from bench import registry
from bench.errors import UsageError
from bench.keywords import names
from bench.options import assignments, choices, option, without_none
from bench.runs.windows import Windows
from bench.settings import Settings, Tuning
from bench.texts import PORTS, path_of

Command = Callable[..., int | None]
Field = dataclasses.Field[Any]

Formats = Literal["text", "markdown", "csv", "latex", "html", "json"]

STORE = ("results", "tracking_uri")
FILTERS = ("mode", "protocol", "scale")  # that select among recorded runs
PRINTED = "What is printed"

KEYWORD = inspect.Parameter.KEYWORD_ONLY
METAVARS = {int: "N", float: "X", Path: "PATH", str: "TEXT", bool: ""}
KIND_OF_PLUGIN: Mapping[str, registry.Kind] = {"backbone": "backbone", "task": "task"}


@dataclasses.dataclass(frozen=True)
class Pages:
    """Where `bench ui` serves MLflow's pages."""

    port: int = option(
        5000,
        "port on this machine",
        low=1,
        high=PORTS,
        group="Where the pages are",
        metavar="PORT",
    )


def takes(
    only: Collection[str] = (),
    without: Collection[str] = (),
    filters: Collection[str] = (),
    own: type | None = None,
) -> Callable[[Command], Command]:
    """A decorator that adds the flags of settings to a command, which gets their values as `given`.

    Args:
        only: the names of the fields; default: every field with a heading for `--help`.
        without: fields that are left out.
        filters: fields that select among recorded runs, which by default are all taken.
        own: a dataclass of options that this command alone has.
    """
    wanted = [field for field in FIELDS if _is_wanted(field, only, without)]
    if own:
        wanted += dataclasses.fields(own)

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


def file_to_write(flag: typer.CallbackParam, path: Path | None) -> Path | None:
    """The file that a flag names, checked before anything is computed for it.

    Raises:
        UsageError: it cannot be the path of a file.
    """
    if path is None:
        return None
    name = flag.opts[-1]
    try:
        path = path_of(path)
    except ValueError as error:
        raise UsageError(f"{name} {error}") from None
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{name} {path} is a folder: name a file")
    if not folder.is_dir():
        raise UsageError(
            f"{name}: no folder {folder} to write {path.name} to: create it, or name another"
        )
    return path


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


def names_of(flag: str, value: object) -> list[str]:
    """`-b a,b -b c` as three names. Raises UsageError for what holds no name."""
    try:
        return names(value)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from None


def _is_wanted(field: Field, only: Collection[str], without: Collection[str]) -> bool:
    if only:
        return field.name in only
    return bool(field.metadata["group"]) and field.name not in without


def _given(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, as the functions of `bench.interface` take it; text is converted there."""
    given: dict[str, Any] = {}
    for name, value in typed.items():
        if name in KIND_OF_PLUGIN:
            given[name] = names_of(f"--{name}", value)
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
KINDS = (Settings, Tuning, Windows, Pages)
HINTS = {name: hint for kind in KINDS for name, hint in get_type_hints(kind).items()}

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
        callback=file_to_write,
        rich_help_panel=PRINTED,
    ),
]
