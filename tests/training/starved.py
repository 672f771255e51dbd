"""Trains, predicts and extracts where the system lends no more memory. Run by a test, in a process
of its own, because torch goes on without oneDNN afterwards: prints what it went through.
"""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs
from bench.contracts.clip import Clip, Recording
from bench.contracts.feature import SAMPLE_RATE
from bench.contracts.recipe import Recipe
from bench.training.batching import Examples
from bench.training.job import TrainingJob
from bench.training.loop import train
from bench.training.prediction import probabilities

CPU = torch.device("cpu")
CLIPS, SAMPLES = 16, 40_000
PLENTY = 2**40  # bytes
ROOM = 250 * 2**20  # bytes; a batch of 16 takes about 800 MiB
FITS = 8  # clips


@contextmanager
def no_more_memory(room: int = 0) -> Iterator[None]:
    """The system lends this process only so many bytes more."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmSize")]
    used = int(line.split()[1]) * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


@dataclass
class Waves:
    """A feature held in memory, with what `Examples` asks of an extracted one."""

    def array(self, clip: str) -> np.ndarray:
        draw = np.random.default_rng(int(clip))
        return draw.normal(size=(SAMPLES, 1)).astype(np.float32)

    def frames(self, clip: str) -> int:
        return SAMPLES

    def seconds(self, clip: str) -> float:
        return SAMPLES / SAMPLE_RATE


class Widened(nn.Module):
    """Large tensors alone: libraries below torch may crash where they lack memory."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Parameter(torch.randn(64))
        self.classify = nn.Linear(64, 2)

    def forward(self, inputs: Inputs) -> Tensor:
        hidden = (inputs["wave"].values * self.widen).square()
        logits: Tensor = self.classify(hidden.mean(1))
        return logits


class Convolved(nn.Module):
    kernel = 10

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, 32, self.kernel, 5), nn.GELU(), nn.Conv1d(32, 32, 3, 2)
        )
        self.classify = nn.Linear(32, 2)

    def forward(self, inputs: Inputs) -> Tensor:
        hidden = self.layers(inputs["wave"].values.transpose(1, 2))
        logits: Tensor = self.classify(hidden.mean(-1))
        return logits


class Starved(Convolved):
    """Large batches find ever more memory, until it is oneDNN that lacks some."""

    kernel = 12  # for which oneDNN has generated no code yet

    def forward(self, inputs: Inputs) -> Tensor:
        if len(inputs["wave"].lengths) <= FITS:
            return super().forward(inputs)
        for room in range(0, PLENTY, 2**20):
            try:
                with no_more_memory(room):
                    return super().forward(inputs)
            except (RuntimeError, MemoryError) as error:
                if "primitive" in str(error):
                    tell(str(error))
                    raise
        raise AssertionError


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def part(count: int) -> Examples:
    clips = [Clip(str(n), Recording(), ("ab"[n % 2],), "s") for n in range(count)]
    features: Any = {"wave": Waves()}
    return Examples(clips, ("a", "b"), False, features)


def main() -> None:
    torch.set_num_threads(1)
    recipe = Recipe(epochs=1, batch_size=CLIPS, precision="fp32")
    checkpoint = Path(sys.argv[1]) / "c.pt"
    # the first imports what a training imports, and leaves free what small allocations take
    trials = (
        (Convolved, CLIPS, PLENTY),
        (Widened, CLIPS, ROOM),
        (Starved, CLIPS, PLENTY),
    )
    for make, clips, room in trials:
        examples = part(clips)
        job = TrainingJob(
            make(), recipe, examples, examples, 0, CPU, lambda *_: None, checkpoint
        )
        with no_more_memory(room):
            done = train(job)
        values = probabilities(job.network, examples, CPU, CLIPS)
        size, accumulate = done.batch_size, done.accumulate
        tell(f"{make.__name__} {size} {accumulate} {tuple(values.shape)}")


if __name__ == "__main__":
    main()
