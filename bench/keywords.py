"""The keywords of the Python interface: typed here once, for `run` and `tune` alike."""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import UsageError, suggest
from bench.texts import path_of, quoted, separate

Name = str | os.PathLike[str]
Names = Name | Sequence[Name]
Mode = Literal["finetune", "probe"]
Scale = Literal["full", "tiny"]
ABackbone = Name | Backbone | type[Backbone]
ATask = Name | Task | type[Task]
Backbones = ABackbone | Sequence[ABackbone]
Tasks = ATask | Sequence[ATask]


class StoreOptions(TypedDict, total=False):
    """Where runs are recorded."""

    results: str | Path | None  # a folder; default: `results`
    tracking_uri: str | None  # an MLflow server; default: SQLite in `results`


class CommonOptions(StoreOptions, total=False):
    """The keywords that `run` and `tune` share."""

    mode: Mode | None  # probe: the encoder is frozen; default: finetune
    protocol: str | None  # default: the task's speaker-disjoint one
    scale: Scale | None  # tiny: small random networks; default: full
    weights: Mapping[str, str] | None  # backbone -> path, hub id or "random"
    data: Mapping[str, str | Path] | None  # task -> folder of the corpus
    seeds: int | None  # how many, from 0; default: 1
    folds: int | None  # only the first ones; default: all
    set: (
        Mapping[str, Any] | None
    )  # recipe and backbone options, `key` or `backbone.key`
    device: str | None  # auto, cpu, cuda, cuda:1 or mps; default: auto
    precision: Literal["auto", "fp32", "bf16", "fp16"] | None  # default: the recipe's
    cache: str | None  # a folder, or the URL of an object store
    executor: (
        Literal["local", "ray"] | None
    )  # ray: spread over a cluster; default: local
    ray_address: (
        str | None
    )  # HOST:PORT of the cluster's head; default: this machine alone
    cpus_per_run: int | None
    gpus_per_run: float | None  # a share of one is possible
    memory_per_run: int | None  # MiB
    skip_bad_audio: (
        bool | None
    )  # go on without unreadable clips; every table says how many
    variants: bool | None  # every variant of the backbones, too
    quiet: bool | None  # no progress, errors only
    verbose: bool | None  # everything that libraries log


class RunOptions(CommonOptions, total=False):
    """The keywords of `run`."""

    recipe: (
        Literal["default", "tuned"] | None
    )  # tuned: what `tune` chose; default: default
    fresh: bool | None  # run again what is recorded
    save_weights: bool | None  # keep each run's network, for `predict`


class TuneOptions(CommonOptions, total=False):
    """The keywords of `tune`."""

    trials: int | None  # of each search; default: 30
    nested: (
        bool | None
    )  # a search for each fold, or one for all; default: nested in probe mode
    search_folds: int | None  # folds that one search for all is scored on; default: 1
    sampler: Literal["tpe", "random"] | None  # default: tpe
    pruner: Literal["median", "halving", "none"] | None  # default: median
    storage: str | None  # URL of the trials' database; default: SQLite in `results`


F = TypeVar("F", bound=Callable[..., object])


def takes(options: type) -> Callable[[F], F]:
    """A decorator that shows the keywords of a TypedDict in a function's signature, for `help` and
    for the completion of notebooks.
    """

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind
            )
            for name, kind in options.__annotations__.items()
        ]
        function.__signature__ = own.replace(parameters=[*named, *keywords])  # type: ignore[attr-defined]
        return function

    return decorate


def check(function: str, given: Mapping[str, object], options: type) -> None:
    """Raise UsageError for keywords that a function does not have."""
    known = list(options.__annotations__)
    unknown = [f"{name}{suggest(name, known)}" for name in given if name not in known]
    if unknown:
        raise UsageError(
            f"bench.{function} has no keyword {', '.join(unknown)}; available: {', '.join(known)}"
        )


def names(given: object) -> list[str]:
    """`"a,b"`, `["a", "b"]` or a path as a list of names. Raises UsageError for anything else."""
    found: list[str] = []
    for one in each(given):
        texts = _separate(one)
        parts = [text.strip() for text in texts]
        named = [part for part in parts if part]
        if not named:
            raise UsageError("a name or a path is expected, not an empty text")
        found += named
    return found


def _separate(given: object) -> list[str]:
    """The names in one text; a path has no others beside it."""
    if isinstance(given, str):
        return separate(given)
    if isinstance(given, os.PathLike):
        path: str = os.fspath(given)
        return [path]
    shown = quoted(given)
    raise UsageError(f"a name or a path is expected, not {shown}")


def paths(given: object) -> list[Path]:
    """One path or several as a list. Raises UsageError for what cannot be a path."""
    try:
        return [path_of(path) for path in each(given)]
    except ValueError as error:
        raise UsageError(f"a path {error}") from None


def each(given: Any) -> Sequence[Any]:
    """One thing, several, or None as a list."""
    if given is None:
        return []
    return given if isinstance(given, list | tuple) else [given]
