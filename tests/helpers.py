"""A small real corpus, and what tests need to train on it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from bench.contracts.clip import Clip, Recording
from bench.contracts.feature import SAMPLE_RATE
from bench.contracts.task import Protocol, Task
from bench.data.cache import Cache
from bench.data.corpus import Corpus, load

if TYPE_CHECKING:
    from bench.runs.store import Store

ROOT = Path(__file__).resolve().parents[1]  # of the project

# s after which a test that waits counts as hung. Tests wait for conditions, so that a busy machine
# makes them slow and never red; this bound only ends what would wait without end.
PATIENCE = 3600

PITCHES = {"low": 150.0, "high": 400.0, "middle": 250.0}  # Hz


class Tones(Task):
    """Tones of three pitches by six speakers: a class that anything should learn."""

    title, licence, citation, obtain = "Tones", "MIT", "none", "made by the tests"
    labels = ("low", "high", "middle")
    languages = ("en",)
    default_protocol = "speaker"

    def clips(self, root: Path | None) -> list[Clip]:
        assert root
        return [clip(path) for path in sorted(root.glob("*.wav"))]

    def protocols(self) -> Mapping[str, Protocol]:
        from bench.splits.protocols import speaker_kfold

        return {
            "speaker": Protocol(
                "3 folds", speaker_kfold(3), speaker_disjoint=True, audio_disjoint=True
            )
        }


def wait_until(condition: Callable[[], object], what: str, pause: float = 0.05) -> None:
    """Return as soon as the condition holds; `what`: what it means, for the error."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"never seen: {what}"
        time.sleep(pause)


def open_store(uri: str | None, folder: Path) -> "Store":
    """The store. MLflow takes seconds to import, so tests import it when they run."""
    from bench.runs.store import Store

    return Store(uri, folder)


def clip(path: Path) -> Clip:
    label, speaker, _ = path.stem.split("_")
    return Clip(path.stem, Recording(path), (label,), speaker, where=str(path))


def write_tones(
    folder: Path,
    per_speaker: int = 2,
    speakers: Sequence[str] = ("a", "b", "c", "d", "e", "f"),
) -> Path:
    """WAV files `<label>_<speaker>_<n>.wav` of unequal length, each with its own noise."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(3)
    for label, pitch in PITCHES.items():
        for speaker in speakers:
            for n in range(per_speaker):
                seconds = (
                    np.arange(round(generator.uniform(0.3, 0.6) * SAMPLE_RATE))
                    / SAMPLE_RATE
                )
                tone = 0.3 * np.sin(
                    2 * np.pi * pitch * generator.uniform(0.95, 1.05) * seconds
                )
                noisy = tone + 0.01 * generator.standard_normal(len(seconds))
                soundfile.write(
                    folder / f"{label}_{speaker}_{n}.wav", noisy, SAMPLE_RATE
                )
    return folder


def tones(folder: Path, per_speaker: int = 2) -> tuple[Corpus, Cache]:
    """The corpus, decoded into a cache beside it."""
    cache = Cache(folder / "cache")
    task = Tones("tones")
    return load(task, write_tones(folder / "tones", per_speaker), cache), cache


def write_openai_checkpoint(path: Path) -> tuple[Path, Any]:
    """A small network of the openai-whisper package, written to `path`, and the network."""
    import torch
    from whisper import model

    torch.manual_seed(3)
    dims = model.ModelDimensions(80, 1500, 32, 4, 2, 70, 20, 32, 4, 3)
    network = model.Whisper(dims).eval()
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.1)
    torch.save({"dims": vars(dims), "model_state_dict": network.state_dict()}, path)
    return path, network
