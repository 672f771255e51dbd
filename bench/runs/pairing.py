"""The unit of resume: a run and its fingerprint; a pairing holds the runs of one backbone on one
task.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contracts.backbone import Backbone
from bench.contracts.task import Fold, Task
from bench.contracts.weights import Weights
from bench.fingerprint import digest, origin
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


@dataclass(frozen=True)
class Ready:
    """All that the runs of a pairing need."""

    corpus: "Corpus"
    weights: Weights
    protocol: str
    folds: tuple[Fold, ...]  # of the whole protocol
    split: str  # their hash
    hashes: Mapping[str, str]  # of each alone, by name
    system: System  # by the backbone's recipe and the user's changes; a tuned run has another
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Pairing:
    """A backbone on a task: ready to run, or the reason why it will not."""

    record: PairingRecord  # what the table will say of it
    backbone: Backbone
    task: Task
    key: str
    failed: str = ""  # why no run of it can start
    ready: Ready | None = None  # None where it is skipped or failed


def fingerprint(pairing: Pairing, system: System, fold: Fold, seed: int, study: str = "") -> str:
    """32 hex digits over all that the run's predictions depend on; `study`: the search that chose
    its recipe.
    """
    assert pairing.ready
    content = _content(pairing, pairing.ready, system)
    return digest(
        {
            **content,
            **({"study": study} if study else {}),
            "fold": pairing.ready.hashes[fold.name],
            "seed": seed,
        }
    )


def _content(pairing: Pairing, ready: Ready, system: System) -> dict[str, Any]:
    """All that a run's predictions depend on, but its fold and seed."""
    backbone = pairing.backbone
    content = {
        **system.content,
        "format": FINGERPRINT_VERSION,
        "backbone": [backbone.stem, backbone.variant, backbone.version],
        "weights": ready.weights.digest,
        "corpus": ready.corpus.checksum,
        "protocol": ready.protocol,
        **origin(type(backbone)),
        **({"thresholds": "validation"} if system.setup.multilabel else {}),
    }
    if backbone.source:
        content["backbone_source"] = backbone.source
    if pairing.task.source:
        content["task_source"] = pairing.task.source
    return content
