"""What the user asked for: one frozen object. Defaults < `bench.toml` < flags."""

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.contracts.task import Task
from bench.errors import UsageError, suggest
from bench.options import build, change, option, stem

FILE_NAME = "bench.toml"

# The headings of `--help`.
COMPARED = "What is compared"
TRAINED = "How networks are trained"
KEPT = "Where things are kept"
SPREAD = "Running on a cluster"
SEARCHED = "How recipes are searched"
REPEATED = "What is run, and what is said"


@dataclass(frozen=True)
class Settings:
    """The settings of a command. Field names are the keys of `[run]` in `bench.toml` and the long
    flags.
    """

    backbone: tuple[str, ...] = option(
        (),
        "backbones, comma-separated or repeated; `NAME:VARIANT`; `all`, the systems of the papers "
        "and their usual rivals; `everything`",
        group=COMPARED,
        flag="-b",
        metavar="NAME",
    )
    task: tuple[str, ...] = option(
        (),
        "tasks, paths of manifests, or `all`",
        group=COMPARED,
        flag="-t",
        metavar="NAME",
    )
    mode: Literal["finetune", "probe"] = option(
        "finetune",
        "train the encoder, or freeze it and train a head on it",
        group=COMPARED,
    )
    protocol: str | None = option(
        None,
        "a split protocol of the task",
        group=COMPARED,
        metavar="NAME",
        otherwise="the task's speaker-disjoint one",
    )
    scale: Literal["full", "tiny"] = option(
        "full", "tiny: small random networks, nothing downloaded", group=COMPARED
    )
    variants: bool = option(False, "add every variant of the backbones", group=COMPARED)
    seeds: int = option(1, "seeds 0 to N-1", low=1, group=COMPARED, metavar="N")
    folds: int | None = option(
        None,
        "only the first K folds",
        low=1,
        group=COMPARED,
        metavar="K",
        otherwise="all",
    )
    set: Mapping[str, Any] = option(
        dict,
        "a recipe or backbone option; BACKBONE.KEY=VALUE for one backbone",
        group=TRAINED,
        metavar="KEY=VALUE",
    )
    recipe: Literal["default", "tuned"] = option(
        "default", "tuned: the recipe that `bench tune` chose", group=TRAINED
    )
    weights: Mapping[str, str] = option(
        dict,
        "other pre-trained weights; `random` for none",
        group=TRAINED,
        metavar="BACKBONE=PATH_OR_HUB_ID",
    )
    device: str = option(
        "auto", "auto, cpu, cuda, cuda:1 or mps", group=TRAINED, metavar="NAME"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] | None = option(
        None, "number format of training", group=TRAINED, otherwise="the recipe's"
    )
    data: Mapping[str, Path] = option(
        dict, "where a corpus is", group=KEPT, metavar="TASK=PATH"
    )
    results: Path = option(
        Path("results"), "folder of the runs", group=KEPT, metavar="DIR"
    )
    tracking_uri: str | None = option(
        None,
        "an MLflow server",
        group=KEPT,
        metavar="URL",
        otherwise="SQLite under --results",
    )
    cache: str | None = option(
        None,
        "decoded audio and features",
        group=KEPT,
        metavar="DIR_OR_URL",
        otherwise="`cache` under $SER_BENCH_HOME",
    )
    save_weights: bool = option(
        False, "keep the network of each run, for `bench predict`", group=KEPT
    )
    executor: Literal["local", "ray"] = option(
        "local", "ray: spread runs over a cluster", group=SPREAD
    )
    ray_address: str | None = option(
        None,
        "the cluster's head, or `auto`",
        group=SPREAD,
        metavar="HOST:PORT",
        otherwise="a cluster of this machine alone",
    )
    cpus_per_run: int | None = option(
        None,
        "CPUs that a run reserves",
        low=1,
        group=SPREAD,
        metavar="N",
        otherwise="torch's threads",
    )
    gpus_per_run: float | None = option(
        None,
        "GPUs that a run reserves, or a share of one",
        low=0.01,
        group=SPREAD,
        metavar="X",
        otherwise="as measured",
    )
    memory_per_run: int | None = option(
        None,
        "memory that a run reserves",
        low=1,
        group=SPREAD,
        metavar="MIB",
        otherwise="as measured",
    )
    fresh: bool = option(False, "repeat runs that are recorded", group=REPEATED)
    dry_run: bool = option(False, "print the plan and stop", group=REPEATED)
    skip_bad_audio: bool = option(
        False,
        "continue without unreadable clips; every table counts them",
        group=REPEATED,
    )
    quiet: bool = option(False, "no progress, errors only", group=REPEATED, flag="-q")
    verbose: bool = option(
        False, "everything that libraries log", group=REPEATED, flag="-v"
    )
    space: Mapping[str, Any] = option(dict, "changes of the search spaces (`[space]`)")
    tune: Mapping[str, Any] = option(dict, "the fields of Tuning (`[tune]`)")


@dataclass(frozen=True)
class Tuning:
    """The settings of a search. Field names are the keys of `[tune]` in `bench.toml` and the long
    flags.
    """

    trials: int = option(
        30, "trials of each search", low=1, group=SEARCHED, metavar="N"
    )
    nested: bool | None = option(
        None,
        "one search per fold, or one for all folds",
        group=SEARCHED,
        flag="--nested/--shared",
        otherwise="nested in probe mode",
    )
    search_folds: int = option(
        1, "folds that a shared search is scored on", low=1, group=SEARCHED, metavar="K"
    )
    sampler: Literal["tpe", "random"] = option(
        "tpe", "what proposes the trials", group=SEARCHED
    )
    pruner: Literal["median", "halving", "none"] = option(
        "median", "what stops a hopeless trial early", group=SEARCHED
    )
    storage: str | None = option(
        None,
        "database of the trials, an SQLAlchemy URL",
        group=SEARCHED,
        metavar="URL",
        otherwise="SQLite under --results",
    )
    seed: int = option(0, "seed of the proposals and of each trial's training", low=0)


# What `bench run` does when neither a backbone nor a task is named, in flags or under [run].
MAIN_JOB: Mapping[str, Any] = {"backbone": ["all"], "task": ["demo"], "scale": "tiny"}
TABLES = ("run", "job", "data", "weights", "set", "tune", "space")
NEVER_IN_FILE = ("dry_run", "fresh", "data", "weights", "set", "tune", "space")
MERGED = ("weights", "set", "tune")  # tables to which flags add single keys


def gather(flags: Mapping[str, Any], start: Path | None = None) -> Settings:
    """The settings in force: `flags` over the nearest `bench.toml` from `start` upwards.

    A flag that is None or empty is not given.

    Raises:
        UsageError: for a wrong value, naming where it was given.
    """
    given = {name: value for name, value in flags.items() if _is_given(value)}
    change(
        Settings(), given, "on the command line", _spelled
    )  # so that an error names the place
    path = find_file(start or Path.cwd())
    if path is None:
        values = _merged(given, {}, Path())
    else:
        values = _merged(given, read_file(path), path.parent)
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
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    run = [name for name in _names(Settings) if name not in NEVER_IN_FILE]
    tune = _names(Tuning)
    problems = list(_unknown_tables(content))
    for table, known in (("run", run), ("job", run), ("tune", tune)):
        problems += _unknown_keys(table, content.get(table), known)
    if problems:
        raise UsageError(
            f"{path} has unknown keys: {', '.join(problems)}; the tables are {', '.join(TABLES)}, "
            f"the keys of [run] and [job] are {', '.join(run)}, of [tune] {', '.join(tune)}"
        )
    return content


def check_task_named(settings: Settings) -> None:
    """Raise UsageError where a backbone is named without a task."""
    if not settings.task:
        raise UsageError(
            "no task is named: add `-t TASK` (`bench list tasks` shows what is available), or a "
            f"`task` under [run] in {FILE_NAME}"
        )


def data_of(task: Task, data: Mapping[str, Path]) -> Path | None:
    """Where the user said the corpus is; `demo` serves for `demo:pitch`, too."""
    if task.name in data:
        return data[task.name]
    return data.get(stem(task.name))


def _is_given(value: object) -> bool:
    is_empty = value in ((), [], {})
    return value is not None and not is_empty


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
    results = run.get("results")
    if isinstance(results, str):
        paths["results"] = folder / results
    cache = run.get("cache")
    if isinstance(cache, str) and "://" not in cache:
        place = folder / Path(cache).expanduser()
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
        corpora[task] = folder / Path(place).expanduser()
    for task, path in typed.items():
        corpora[task] = Path(path).expanduser()
    return corpora


def _unknown_tables(content: Mapping[str, Any]) -> Iterable[str]:
    for table, keys in content.items():
        if table not in TABLES:
            hint = suggest(table, TABLES)
            yield f"[{table}]{hint}"
        elif not isinstance(keys, dict):
            yield f"[{table}] must be a table"


def _unknown_keys(table: str, keys: object, known: Sequence[str]) -> list[str]:
    if not isinstance(keys, dict):
        return []
    unknown = []
    for key in keys:
        if key not in known:
            hint = suggest(key, known)
            unknown.append(f"{table}.{key}{hint}")
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
