"""What the user asked for: one frozen object. Defaults < `bench.toml` < flags."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.contracts.task import Task
from bench.errors import UsageError, suggest
from bench.options import build, change, option

FILE_NAME = "bench.toml"


@dataclass(frozen=True)
class Settings:
    """The settings of a command. Field names are the keys of `[run]` in `bench.toml` and the long
    flags.
    """

    backbone: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    mode: Literal["finetune", "probe"] = "finetune"
    protocol: str | None = None  # None: the task's own default
    scale: Literal["full", "tiny"] = "full"
    seeds: int = 1
    folds: int | None = None  # None: all of them
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    precision: Literal["auto", "fp32", "bf16", "fp16"] | None = None  # None: the recipe's
    results: Path = Path("results")
    tracking_uri: str | None = None  # None: an SQLite store under `results`
    cache: str | None = (
        None  # a folder, or the URL of a shared one; None: `cache` in the harness's home
    )
    executor: Literal["local", "ray"] = "local"  # ray: runs spread over a cluster
    ray_address: str | None = (
        None  # HOST:PORT of its head, or `auto`; None: a cluster of this machine alone
    )
    cpus_per_run: int | None = option(
        None, "CPUs that a run is promised; none: as many as torch takes here", low=1
    )
    gpus_per_run: float | None = option(
        None, "GPUs that a run is promised, or a share; none: as measured", low=0.01
    )
    memory_per_run: int | None = option(
        None, "MiB that a run is promised; none: as measured", low=1
    )
    fresh: bool = False
    dry_run: bool = False
    skip_bad_audio: bool = False
    save_weights: bool = False  # keep the best network of each run, for `bench predict`
    recipe: Literal["default", "tuned"] = "default"  # tuned: what `bench tune` chose
    variants: bool = False  # every variant of the backbones that are named without one
    data: Mapping[str, Path] = field(default_factory=dict)  # task -> corpus
    weights: Mapping[str, str] = field(default_factory=dict)  # backbone -> path, hub id or `random`
    set: Mapping[str, Any] = field(
        default_factory=dict
    )  # recipe and backbone options, `key` or `backbone.key`
    space: Mapping[str, Any] = field(
        default_factory=dict
    )  # changes of the search spaces, as `bench.contracts.space` reads them
    tune: Mapping[str, Any] = field(default_factory=dict)  # the fields of Tuning


@dataclass(frozen=True)
class Tuning:
    """The settings of a search. Field names are the keys of `[tune]` in `bench.toml` and the long
    flags.
    """

    trials: int = option(30, "trials of each search", low=1)
    nested: bool | None = option(
        None, "a search for each fold, on that fold alone; none: in probe mode"
    )
    search_folds: int = option(1, "folds that one search for all folds is scored on", low=1)
    sampler: Literal["tpe", "random"] = option("tpe", "what proposes the trials")
    pruner: Literal["median", "halving", "none"] = option(
        "median", "what stops a hopeless trial before its end"
    )
    storage: str | None = option(
        None, "the searches' database, an SQLAlchemy URL; none: SQLite under the results"
    )
    seed: int = option(0, "seed of the proposals and of each trial's training", low=0)


# What `bench run` does when neither a backbone nor a task is named, on the command line or under
# [run].
MAIN_JOB: Mapping[str, Any] = {"backbone": ["all"], "task": ["demo"], "scale": "tiny"}
TABLES = ("run", "job", "data", "weights", "set", "tune", "space")
NEVER_IN_FILE = ("dry_run", "fresh", "data", "weights", "set", "tune", "space")


def gather(flags: Mapping[str, Any], start: Path | None = None) -> Settings:
    """The settings in force: `flags` (None or empty: not given) over the nearest `bench.toml` from
    `start` upwards.
    """
    path = find_file(start or Path.cwd())
    stored = read_file(path) if path else {}
    given = {k: v for k, v in flags.items() if v is not None and v not in ((), [], {})}
    change(
        Settings(), given, "on the command line", _spelled
    )  # on its own, so that a mistake is told where it was made
    run = dict(stored.get("run", {}))
    if not any(name in layer for name in ("backbone", "task") for layer in (given, run)):
        run = {**run, **MAIN_JOB, **stored.get("job", {})}
    values: dict[str, Any] = {"backbone": ["all"], "task": ["demo"], **run, **given}
    for table in ("data", "weights", "set"):
        values[table] = {**_flat(stored.get(table, {})), **given.get(table, {})}
    values["space"] = stored.get("space", {})
    values["tune"] = {**stored.get("tune", {}), **given.get("tune", {})}
    base = path.parent if path else Path()
    if "results" in run and "results" not in given:
        values["results"] = base / run["results"]
    if "cache" in run and "cache" not in given and "://" not in str(run["cache"]):
        values["cache"] = str(base / Path(str(run["cache"])).expanduser())
    values["data"] = {
        t: _from(base, p, t in given.get("data", {})) for t, p in values["data"].items()
    }
    return build(Settings, values, f"in {path}", _spelled)


def find_file(start: Path) -> Path | None:
    """The nearest `bench.toml`, looked for from `start` upwards."""
    return next(
        (
            d / FILE_NAME
            for d in [start.resolve(), *start.resolve().parents]
            if (d / FILE_NAME).is_file()
        ),
        None,
    )


def read_file(path: Path) -> dict[str, Any]:
    """The tables of a `bench.toml`. Raises UsageError for bad TOML, unknown tables and unknown
    keys.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    fields = [f.name for f in dataclasses.fields(Settings) if f.name not in NEVER_IN_FILE]
    problems = [f"[{t}]{suggest(t, TABLES)}" for t in content if t not in TABLES]
    problems += [
        f"[{t}] must be a table"
        for t in content
        if t in TABLES and not isinstance(content[t], dict)
    ]
    tuning = [f.name for f in dataclasses.fields(Tuning)]
    for table, known in (("run", fields), ("job", fields), ("tune", tuning)):
        keys = content.get(table, {}) if isinstance(content.get(table, {}), dict) else {}
        problems += [f"{table}.{k}{suggest(k, known)}" for k in keys if k not in known]
    if problems:
        raise UsageError(
            f"{path} has keys that mean nothing: {', '.join(problems)}; tables are {', '.join(TABLES)}, "
            f"keys of [run] and [job] are {', '.join(fields)}, of [tune] {', '.join(tuning)}"
        )
    return content


def assignments(texts: tuple[str, ...] | list[str], flag: str) -> dict[str, str]:
    """`KEY=VALUE` words of a repeated flag, as a mapping."""
    wrong = [t for t in texts if "=" not in t or t.startswith("=")]
    if wrong:
        raise UsageError(f"{flag} takes KEY=VALUE, not {', '.join(wrong)}")
    return dict(t.split("=", 1) for t in texts)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`[set.byol-s] epochs = 3` as `byol-s.epochs`."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat


def _from(base: Path, path: str | Path, typed: bool) -> Path:
    """A path of `bench.toml` is relative to that file; a typed one to the working directory."""
    return Path(path).expanduser() if typed else base / Path(path).expanduser()


def _spelled(name: str) -> str:
    """A field of Settings as the command line and `bench.toml` write it."""
    return name.replace("_", "-")


def data_of(task: Task, data: Mapping[str, Path]) -> Path | None:
    """Where the user said the corpus is; `demo` serves for `demo:pitch` too."""
    return data.get(task.name) or data.get(_stem(task.name))


def _stem(name: str) -> str:
    return name.partition(":")[0]
