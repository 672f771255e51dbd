"""What the user asked for: one frozen object, gathered by `bench.settings_file`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.contracts.task import Task
from bench.errors import UsageError
from bench.options import option, stem
from bench.texts import address_form, place_form, url_form, weights_form

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
    seeds: int = option(
        1, "seeds 0 to N-1", low=1, high=1000, group=COMPARED, metavar="N"
    )
    folds: int | None = option(
        None,
        "only the first K folds",
        low=1,
        high=100_000,
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
        "other pre-trained weights: a path, a hub id, `openai:NAME`, or `random` for none",
        group=TRAINED,
        metavar="BACKBONE=WEIGHTS",
        form=weights_form,
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
        form=url_form,
    )
    cache: str | None = option(
        None,
        "decoded audio and features",
        group=KEPT,
        metavar="DIR_OR_URL",
        otherwise="`cache` under $SER_BENCH_HOME",
        form=place_form,
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
        form=address_form,
    )
    cpus_per_run: int | None = option(
        None,
        "CPUs that a run reserves",
        low=1,
        high=10_000,
        group=SPREAD,
        metavar="N",
        otherwise="torch's threads",
    )
    gpus_per_run: float | None = option(
        None,
        "GPUs that a run reserves, or a share of one",
        low=0.01,
        high=1000,
        group=SPREAD,
        metavar="X",
        otherwise="as measured",
    )
    memory_per_run: int | None = option(
        None,
        "memory that a run reserves",
        low=1,
        high=10**9,
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
        30, "trials of each search", low=1, high=100_000, group=SEARCHED, metavar="N"
    )
    nested: bool | None = option(
        None,
        "one search per fold, or one for all folds",
        group=SEARCHED,
        flag="--nested/--shared",
        otherwise="nested in probe mode",
    )
    search_folds: int = option(
        1,
        "folds that a shared search is scored on",
        low=1,
        high=100_000,
        group=SEARCHED,
        metavar="K",
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
        form=url_form,
    )
    seed: int = option(
        0, "seed of the proposals and of each trial's training", low=0, high=2**32 - 1
    )


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
