"""Where runs happen: the store, the cache, the device, and how a command came out."""

import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contracts.feature import Feature
from bench.errors import BenchError, one_line, refused, without_password
from bench.runs.store import Store
from bench.runs.system import System

if TYPE_CHECKING:
    import torch

    from bench.data.cache import Cache
    from bench.data.corpus import Corpus
    from bench.features.extraction import Extracted
    from bench.training.batching import Examples


Say = Callable[[str], None]

REASON_CHARACTERS = 500  # of a defect's message in a record


@dataclass
class Outcome:
    """How a command ended, over all its pairings."""

    done: int = 0
    already: int = 0
    failed: int = 0
    skipped: int = 0
    # MLflow's parent runs whose figures are new, each with its task
    closed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where runs happen and what becomes of them."""

    store: Store
    cache: "Cache"
    folder: Path  # of locks and of the checkpoints of what is under way
    device: "torch.device"
    # keep each run's network, and run again what was recorded without it
    save_weights: bool = False


class Material:
    """What trainings read: features of some clips of a corpus, each computed at its first use."""

    def __init__(
        self,
        corpus: "Corpus",
        cache: "Cache",
        device: "torch.device",
        clips: Collection[str],
    ) -> None:
        self.corpus = corpus
        self.cache = cache
        self.device = device
        self.clips = clips
        self._extracted: dict[str, Extracted] = {}  # by the feature's fingerprint

    def examples(self, system: System, clips: Sequence[str]) -> "Examples":
        """What a network of this system reads of some of the clips."""
        from bench.encoders.frozen import release
        from bench.training.batching import Examples

        features = {
            name: self._feature(feature) for name, feature in system.features.items()
        }
        release()  # what extracted them makes room for the network to be trained
        setup = system.setup
        return Examples(
            [self.corpus.by_id[id] for id in clips],
            setup.labels,
            setup.multilabel,
            features,
        )

    def _feature(self, feature: Feature) -> "Extracted":
        from bench.features.extraction import extract

        key = feature.fingerprint
        if key not in self._extracted:
            extracted = extract(
                feature, self.corpus, self.cache, self.device, self.clips
            )
            self._extracted[key] = extracted
        return self._extracted[key]


def explain(error: Exception, private: bool) -> tuple[str, str]:
    """Why a run failed: a sentence, and for a defect its traceback.

    Of a private task, only what cannot name a file.
    """
    if isinstance(error, BenchError):
        return str(error), ""
    if private and isinstance(error, OSError):
        return refused(error, private=True), ""
    if private:
        return (
            f"{type(error).__name__} (no details are kept, since the task is private)",
            "",
        )
    message = f"{type(error).__name__}: {one_line(error)}"
    if isinstance(error, OSError):
        message = refused(error)
    sentence = without_password(message)
    trace = without_password(traceback.format_exc())
    return sentence[:REASON_CHARACTERS], trace
