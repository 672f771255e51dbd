"""The unit of resume: a run and its fingerprint; a pairing holds the runs of one backbone on one
task.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contracts.backbone import Backbone
from bench.contracts.task import Fold, Task
from bench.contracts.weights import Weights
from bench.fingerprint import digest, origin
from bench.runs.division import Division
from bench.runs.records import PairingRecord
from bench.runs.system import System

if TYPE_CHECKING:
    from bench.data.corpus import Corpus

FINGERPRINT_VERSION = 1


@dataclass(frozen=True)
class Run:
    """One fold and seed of a pairing."""

    fold: Fold
    seed: int
    system: System
    fingerprint: str

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """The ids of the clips to train on, to validate on and to test on."""
        return self.fold.train, self.fold.valid, self.fold.test


@dataclass(frozen=True)
class Ready:
    """All that the runs of a pairing need."""

    division: Division
    weights: Weights
    system: System  # by the backbone's recipe and the user's changes; a tuned run has another
    runs: tuple[Run, ...]

    def with_corpus(self, corpus: "Corpus") -> "Ready":
        """The same runs on the same corpus in another form, such as one without its audio."""
        division = dataclasses.replace(self.division, corpus=corpus)
        return dataclasses.replace(self, division=division)


@dataclass(frozen=True)
class Pairing:
    """A backbone on a task: ready to run, or the reason why it will not."""

    record: PairingRecord  # what the table will say of it
    backbone: Backbone
    task: Task
    key: str
    failed: str = ""  # why no run of it can start
    ready: Ready | None = None  # None where it is skipped or failed


def fingerprint(
    pairing: Pairing, system: System, fold: Fold, seed: int, study: str = ""
) -> str:
    """32 hex digits over all that the run's predictions depend on.

    `study` is the search that chose its recipe.
    """
    ready = pairing.ready
    assert ready
    common = common_content(
        pairing.backbone, pairing.task, ready.division, ready.weights, system
    )
    return run_fingerprint(common, ready.division.hashes[fold.name], seed, study)


def run_fingerprint(
    common: Mapping[str, Any], fold: str, seed: int, study: str = ""
) -> str:
    """32 hex digits over what runs of a pairing have in common, a fold's hash, and the rest."""
    content = {**common, "fold": fold, "seed": seed}
    if study:
        content["study"] = study
    return digest(content)


def code_digest(backbone: Backbone, system: System) -> str:
    """32 hex digits over the versions of the code behind a run: the backbone's, those of its
    features, and that of the fingerprint. The commit is recorded beside it and separates nothing.
    """
    features = {name: each.fingerprint for name, each in system.features.items()}
    content = {
        "format": FINGERPRINT_VERSION,
        "version": backbone.version,
        "source": backbone.source,
        "features": features,
        **origin(type(backbone)),
    }
    return digest(content)


def common_content(
    backbone: Backbone, task: Task, division: Division, weights: Weights, system: System
) -> dict[str, Any]:
    """All that a run's predictions depend on, except its fold and seed."""
    content = {
        **system.content,
        "format": FINGERPRINT_VERSION,
        "backbone": [backbone.stem, backbone.variant, backbone.version],
        "weights": weights.digest,
        "corpus": division.corpus.checksum,
        "protocol": division.protocol,
        **origin(type(backbone)),
    }
    if system.setup.multilabel:
        content["thresholds"] = "validation"
    if backbone.source:
        content["backbone_source"] = backbone.source
    if task.source:
        content["task_source"] = task.source
    return content
