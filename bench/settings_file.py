"""The settings in force: defaults < `bench.toml` < flags, each value checked where it was given."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import toml_file
from bench.errors import UsageError, and_more, one_line, suggest
from bench.options import build, change
from bench.settings import FILE_NAME, Settings, Tuning
from bench.texts import PATH_BEGINS, path_of
from bench.toml_file import TomlError

# What `bench run` does when neither a backbone nor a task is named, in flags or under [run].
MAIN_JOB: Mapping[str, Any] = {"backbone": ["all"], "task": ["demo"], "scale": "tiny"}
TABLES = ("run", "job", "data", "weights", "set", "tune", "space")
OWN = (
    "data",
    "weights",
    "set",
    "tune",
    "space",
)  # settings that are tables of their own
NEVER_IN_RUN = ("dry_run", "fresh", *OWN)
MERGED = ("weights", "set", "tune")  # tables to which flags add single keys


def gather(flags: Mapping[str, Any], start: Path | None = None) -> Settings:
    """The settings in force: `flags` over the nearest `bench.toml` from `start` upwards.

    A flag that is None or empty is not given.

    Raises:
        UsageError: for a wrong value, naming where it was given.
    """
    given = {name: value for name, value in flags.items() if _is_given(value)}
    _check(given, "on the command line")
    _check_places(given)
    path = find_file(start or Path.cwd())
    folder = path.parent if path else Path()
    stored = read_file(path) if path else {}
    values = _merged(given, stored, folder)
    return build(Settings, values, f"in {path}", _spelled)


def find_file(start: Path) -> Path | None:
    """The nearest `bench.toml` from `start` upwards."""
    start = start.resolve()
    for folder in [start, *start.parents]:
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def read_file(path: Path) -> dict[str, Any]:
    """The tables of a `bench.toml`.

    Raises:
        UsageError: for bad TOML, unknown tables and unknown keys.
    """
    try:
        content = toml_file.read(path)
    except TomlError as error:
        raise UsageError(f"{path} {error}") from error
    run = [name for name in _names(Settings) if name not in NEVER_IN_RUN]
    tune = _names(Tuning)
    problems = list(_unknown_tables(content))
    for table, known in (("run", run), ("job", run), ("tune", tune)):
        problems += _unknown_keys(table, content.get(table), known)
    if problems:
        listed = and_more(problems)
        tables = ", ".join(TABLES)
        keys = ", ".join(run)
        of_tune = ", ".join(tune)
        raise UsageError(
            f"{path} has unknown keys: {listed}; the tables are {tables}, the keys of [run] and "
            f"[job] are {keys}, of [tune] {of_tune}"
        )
    for values in _stored(content):
        _check(values, f"in {path}")
    return content


def _stored(content: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """What the tables of the file set, as the fields of Settings."""
    yield content.get("run", {})
    yield content.get("job", {})
    for table in OWN:
        values = content.get(table, {})
        yield {table: _flat(values)}


def _is_given(value: object) -> bool:
    is_empty = value in ((), [], {})
    return value is not None and not is_empty


def _check(values: Mapping[str, Any], where: str) -> None:
    """Check what was given in one place, so that an error names the place."""
    search = values.get("tune", {})
    change(Tuning(), search, where, _spelled)
    change(Settings(), values, where, _spelled)


def _check_places(given: Mapping[str, Any]) -> None:
    """Raise UsageError for a typed path of a corpus or of weights that does not exist."""
    corpora = given.get("data", {})
    for task, place in corpora.items():
        _check_exists("data", task, place)
    weights = given.get("weights", {})
    for backbone, place in weights.items():
        is_path = str(place).startswith(PATH_BEGINS)
        if is_path:
            _check_exists("weights", backbone, place)


def _check_exists(flag: str, name: str, place: str | Path) -> None:
    path = path_of(place)
    if not path.exists():
        shown = one_line(name, 80)
        raise UsageError(f"--{flag} {shown}={path}: there is no such file or folder")


def _merged(
    given: Mapping[str, Any], stored: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """What was given over what is stored in the file of a folder."""
    run = _with_main_job(given, stored)
    values = {**_relative_to(folder, run), **given}
    for table in MERGED:
        in_file = _flat(stored.get(table, {}))
        values[table] = {**in_file, **given.get(table, {})}
    corpora = _flat(stored.get("data", {}))
    values["data"] = _corpora(folder, corpora, given.get("data", {}))
    values["space"] = stored.get("space", {})
    return values


def _with_main_job(
    given: Mapping[str, Any], stored: Mapping[str, Any]
) -> dict[str, Any]:
    """The table [run], and [job] where neither a backbone nor a task is named."""
    run = dict(stored.get("run", {}))
    named = {**run, **given}
    if "backbone" in named or "task" in named:
        return {"backbone": ["all"], **run}
    return {**run, **MAIN_JOB, **stored.get("job", {})}


def _relative_to(folder: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """The table [run] with its paths made relative to the folder of its file."""
    paths = dict(run)
    if "results" in run:
        paths["results"] = folder / path_of(run["results"])
    cache = run.get("cache", "")
    is_folder = cache and "://" not in cache
    if is_folder:
        place = folder / path_of(cache)
        paths["cache"] = str(place)
    return paths


def _corpora(
    folder: Path, stored: Mapping[str, str], typed: Mapping[str, str | Path]
) -> dict[str, Path]:
    """Task -> corpus. A path of `bench.toml` is relative to that file, a typed one to the working
    directory.
    """
    corpora = {}
    for task, place in stored.items():
        corpora[task] = folder / path_of(place)
    for task, path in typed.items():
        corpora[task] = path_of(path)
    return corpora


def _unknown_tables(content: Mapping[str, Any]) -> Iterable[str]:
    for table, keys in content.items():
        if table not in TABLES:
            hint = suggest(table, TABLES)
            yield f"[{one_line(table, 80)}]{hint}"
        elif not isinstance(keys, dict):
            yield f"[{table}] must be a table"


def _unknown_keys(table: str, keys: object, known: Sequence[str]) -> list[str]:
    if not isinstance(keys, dict):
        return []
    unknown = []
    for key in keys:
        if key not in known:
            hint = suggest(key, known)
            unknown.append(f"{table}.{one_line(key, 80)}{hint}")
    return unknown


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`[set.byol-s] epochs = 3` as `byol-s.epochs`."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def _names(kind: type) -> list[str]:
    fields = dataclasses.fields(kind)
    return [field.name for field in fields]


def _spelled(name: str) -> str:
    """A field of Settings as the command line and `bench.toml` write it."""
    return name.replace("_", "-")
