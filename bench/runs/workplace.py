"""Where runs happen: the store, the cache, the device, and how a command came out."""

import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contracts.feature import Feature
from bench.errors import BenchError
from bench.runs.store import Store
from bench.runs.system import System

if TYPE_CHECKING:
    import torch

    from bench.data.cache import Cache
    from bench.data.corpus import Corpus
    from bench.features.extraction import Extracted
    from bench.training.batching import Examples


Say = Callable[[str], None]


@dataclass
class Outcome:
    """How a command ended, over all its pairings."""

    done: int = 0
    already: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Place:
    """Where runs happen and what becomes of them."""

    store: Store
    cache: "Cache"
    folder: Path  # of locks and of the checkpoints of what is under way
    device: "torch.device"
    save_weights: bool = (
        False  # keep each run's network, and run again what was recorded without it
    )


class Material:
    """What trainings read: features of some clips of a corpus, each computed at its first use."""

    def __init__(
        self, corpus: "Corpus", cache: "Cache", device: "torch.device", clips: Collection[str]
    ) -> None:
        self.corpus, self.cache, self.device, self.clips = corpus, cache, device, clips
        self.extracted: dict[str, Extracted] = {}

    def examples(self, system: System, clips: Sequence[str]) -> "Examples":
        from bench.encoders.frozen import release
        from bench.training.batching import Examples

        features = {name: self._feature(feature) for name, feature in system.features.items()}
        release()  # what extracted them makes room for the network to be trained
        setup = system.setup
        return Examples(
            [self.corpus.by_id[i] for i in clips], setup.labels, setup.multilabel, features
        )

    def _feature(self, feature: Feature) -> "Extracted":
        from bench.features.extraction import extract

        key = feature.fingerprint
        if key not in self.extracted:
            self.extracted[key] = extract(feature, self.corpus, self.cache, self.device, self.clips)
        return self.extracted[key]


def explain(error: Exception, private: bool) -> tuple[str, str]:
    """Why a run failed: a sentence, and for a defect its traceback; of a private task only what
    cannot name a file.
    """
    if isinstance(error, BenchError):
        return str(error), ""
    if private:
        return f"{type(error).__name__} (no details are kept, since the task is private)", ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500], traceback.format_exc()
