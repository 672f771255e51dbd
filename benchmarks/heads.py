"""How much training many probe heads at once saves: `OMP_NUM_THREADS=1 python benchmarks/heads.py`.

Random arrays of the size of RAVDESS: 1440 clips, of which 1200 train. The heads are those of a
search, each with its own rate, L2 penalty, smoothing and optimiser, over 30 epochs. All heads are
trained at once, and the first few of them one by one. CPU seconds.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.contracts.clip import Clip, Recording
from bench.contracts.recipe import Recipe, probe_recipe
from bench.search.parallel_heads import HeadScore, Make, train_heads
from bench.training.batching import Examples
from bench.training.devices import keep_memory
from bench.training.job import TrainingJob
from bench.training.layers import LayerProbe
from bench.training.loop import train

CLIPS, TRAIN, CLASSES, DIM = 1440, 1200, 8, 512
LAYERS = (1, 12)
ALONE = 4  # heads that are trained one by one
CPU = torch.device("cpu")


@dataclass
class Arrays:
    """A feature held in memory: (1 frame, layers, dim) per clip."""

    arrays: dict[str, np.ndarray]

    def array(self, clip: str) -> np.ndarray:
        return self.arrays[clip]

    def frames(self, clip: str) -> int:
        return len(self.arrays[clip])

    def seconds(self, clip: str) -> float:
        return 0.0


def parts(layers: int) -> tuple[Examples, Examples]:
    """A training and a validation part of random states, whose classes overlap."""
    draw = np.random.default_rng(0)
    labels = tuple(f"class {i}" for i in range(CLASSES))
    clips = []
    for n in range(CLIPS):
        recording = Recording(Path(str(n)))
        clips.append(Clip(str(n), recording, (labels[n % CLASSES],), str(n % 24)))
    states = draw.normal(size=(CLIPS, 1, layers, DIM)).astype(np.float32)
    centres = draw.normal(size=(CLASSES, 1, layers, DIM))
    states += centres[np.arange(CLIPS) % CLASSES] / 8
    arrays = {clip.id: array for clip, array in zip(clips, states, strict=True)}
    features: Any = {"states": Arrays(arrays)}
    training = Examples(clips[:TRAIN], labels, False, features)
    validation = Examples(clips[TRAIN:], labels, False, features)
    return training, validation


def recipes(heads: int) -> list[Recipe]:
    draw = np.random.default_rng(1)
    return [
        replace(
            probe_recipe(),
            precision="fp32",
            learning_rate=float(10 ** draw.uniform(-4, -1)),
            weight_decay=float(10 ** draw.uniform(-4, 0)),
            label_smoothing=float(draw.uniform(0, 0.2)),
            optimizer=("adam", "adamw", "sgd")[draw.integers(3)],
        )
        for _ in range(heads)
    ]


def alone(make: Make, recipe: Recipe, both: tuple[Examples, Examples]) -> list[float]:
    """The validation loss of each epoch of a head that is trained by itself."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        job = TrainingJob(
            make(), recipe, *both, 0, CPU, lambda *_: None, Path(folder) / "c.pt"
        )
        done = train(job)
    return [epoch["loss"] for epoch in done.history]


def difference(
    together: Sequence[HeadScore], one_by_one: Sequence[Sequence[float]]
) -> float:
    """The largest difference in loss over heads and epochs."""
    differences = [0.0]
    for head, losses in zip(together, one_by_one, strict=False):
        for epoch, loss in zip(head.history, losses, strict=True):
            differences.append(abs(epoch["loss"] - loss))
    return max(differences)


def measure(layers: int, heads: int) -> str:
    """The cells of one row."""
    make = partial(LayerProbe, "states", layers, DIM, CLASSES)
    both = parts(layers)
    chosen = recipes(heads)
    short = [replace(recipe, epochs=1) for recipe in chosen[:2]]
    train_heads(make, short, *both, 0, CPU)  # without what only a first call costs
    alone(make, short[0], both)
    started = time.process_time()
    scores = train_heads(make, chosen, *both, 0, CPU)
    together = time.process_time() - started
    started = time.process_time()
    losses = [alone(make, recipe, both) for recipe in chosen[:ALONE]]
    one = (time.process_time() - started) / ALONE
    ratio = heads * one / together
    return (
        f"{together:.1f} | {one:.1f} | {ratio:.0f} | {difference(scores, losses):.0e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", type=int, default=40, help="heads at once [40]")
    heads = parser.parse_args().heads
    torch.set_num_threads(1)
    keep_memory()  # as the command line does
    ratio = f"{heads} one by one / at once"
    print(
        f"| layers | {heads} at once, s | one alone, s | {ratio} | largest difference in loss |"
    )
    print("|---|---|---|---|---|")
    for layers in LAYERS:
        print(f"| {layers} | {measure(layers, heads)} |")


if __name__ == "__main__":
    main()
