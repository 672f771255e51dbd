"""What the store gives back: recorded runs, grouped by pairing. Tables and every other reader see
only this.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.scoring.predictions import RANKED_BY, Predictions

Status = Literal["ok", "skipped", "failed", "partial"]


@dataclass(frozen=True)
class RunRecord:
    """One run: a fold and a seed of a pairing, finished or failed."""

    fingerprint: str
    fold: str
    seed: int
    status: Literal["ok", "failed"]
    reason: str = ""  # why it failed
    parameters: int = 0
    trainable_parameters: int = 0
    train_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    notes: tuple[
        str, ...
    ] = ()  # what happened on the way: "batch halved to 8 after running out of memory"
    predictions: Callable[[], Predictions] | None = (
        None  # reads the artifact; None unless status is ok
    )
    id: str = ""  # the store's own name of the run
    pairing: str = ""  # the store's own name of its pairing
    network: Callable[[Path], Path] | None = (
        None  # copies the saved network into a folder; None where none was saved
    )
    lost: bool = False  # whether it was recorded, and what was recorded cannot be read
    split: str = ""  # the hash of its protocol's folds; empty where it is not known


@dataclass(frozen=True)
class PairingRecord:
    """One row of a table: a backbone on a task under one protocol, mode and scale."""

    founding: ClassVar[tuple[str, ...]] = (
        "task",
        "backbone",
        "mode",
        "protocol",
        "scale",
        "weights",
        "settings",
        "recipe",
        "labels",
        "positive",
        "multilabel",
        "folds_asked",
        "folds_expected",
        "clips_missing",
        "skipped",
    )

    task: str
    backbone: str  # with its variant
    mode: str
    protocol: str
    scale: str
    # what the user named instead of the backbone's own checkpoint, "random" included
    weights: str = ""
    settings: Mapping[str, str] = field(
        default_factory=dict
    )  # recipe and options that differ from the default
    recipe: str = (
        ""  # "tuned (30 trials)" where a search chose it; empty: the backbone's own
    )
    labels: tuple[str, ...] = ()
    positive: str | None = None
    multilabel: bool = False
    folds_asked: int = 0
    folds_expected: int = 0  # of the whole protocol
    seeds: int = 1
    clips_missing: int = 0  # unreadable clips that the user chose to go on without
    notes: tuple[str, ...] = ()  # caveats of corpus and protocol
    corpus: str = ""  # its checksum; empty where it was not loaded
    split: str = ""  # the hash of its folds
    code: str = ""  # a digest of the versions of backbone, features and fingerprint
    version: int = 0  # of the backbone; 0: unknown
    manifest: str = ""  # the digest of the rows of a manifest
    sketch: str = ""  # of the corpus (`bench.data.sketch`), where it is a manifest's
    skipped: str = ""  # why the pairing makes no sense; then there are no runs
    runs: tuple[RunRecord, ...] = ()

    @property
    def label(self) -> str:
        """The backbone, and where a search chose its recipe, that it did: `byol-s, tuned (30
        trials)`.
        """
        return f"{self.backbone}, {self.recipe}" if self.recipe else self.backbone

    @property
    def ranked_by(self) -> str:
        """The score by which rows of its task are ranked."""
        return RANKED_BY[self.multilabel]


def by_split(record: PairingRecord) -> list[PairingRecord]:
    """The record, and before it one for each earlier division of which it has runs."""
    earlier: dict[str, list[RunRecord]] = {}
    own = []
    for run in record.runs:
        if run.split in ("", record.split):
            own.append(run)
        else:
            earlier.setdefault(run.split, []).append(run)

    found = []
    for split, runs in earlier.items():
        folds = len({run.fold for run in runs})
        there = replace(
            record,
            split=split,
            runs=tuple(runs),
            folds_asked=folds,
            folds_expected=folds,
        )
        found.append(there)
    return [*found, replace(record, runs=tuple(own))]


@dataclass(frozen=True)
class Tuned:
    """What a search chose for a pairing."""

    study: str  # the store's own name of the search
    trials: int
    choices: Mapping[
        str, Mapping[str, Any]
    ]  # fold -> option -> value; the fold "" stands for all without their own
    notes: tuple[str, ...] = ()  # what a table must say of it
