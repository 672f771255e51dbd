"""What training many probe heads at once is worth: `OMP_NUM_THREADS=1 python benchmarks/heads.py`.

Random arrays of the size of RAVDESS: 1440 clips, of which 1200 train; heads of a search, each with
its own rate, L2 penalty, smoothing and optimiser, 30 epochs. The same heads at once and, the first
few of them, one by one; CPU seconds.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.contracts.clip import Clip, Recording
from bench.contracts.recipe import Recipe, probe_recipe
from bench.search.parallel_heads import train_heads
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


def parts(layers: int) -> tuple[Examples, Examples]:
    draw = np.random.default_rng(0)
    labels = tuple(f"class {i}" for i in range(CLASSES))
    clips = [
        Clip(str(n), Recording(Path(str(n))), (labels[n % CLASSES],), str(n % 24))
        for n in range(CLIPS)
    ]
    states = draw.normal(size=(CLIPS, 1, layers, DIM)).astype(np.float32)
    states += draw.normal(size=(CLASSES, 1, layers, DIM))[np.arange(CLIPS) % CLASSES] / 8
    features: Any = {
        "states": Arrays({clip.id: array for clip, array in zip(clips, states, strict=True)})
    }
    return Examples(clips[:TRAIN], labels, False, features), Examples(
        clips[TRAIN:], labels, False, features
    )


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", type=int, default=40, help="heads at once [40]")
    heads = parser.parse_args().heads
    torch.set_num_threads(1)
    keep_memory()  # as the command line does
    print(
        f"| layers | {heads} at once, s | one alone, s | {heads} one by one / at once | largest difference in loss |"
    )
    print("|---|---|---|---|---|")
    for layers in LAYERS:
        make = partial(LayerProbe, "states", layers, DIM, CLASSES)
        both, chosen = parts(layers), recipes(heads)
        train_heads(
            make, [replace(r, epochs=1) for r in chosen[:2]], *both, 0, CPU
        )  # what the first call alone pays
        alone(make, replace(chosen[0], epochs=1), both)
        started = time.process_time()
        found = train_heads(make, chosen, *both, 0, CPU)
        together = time.process_time() - started
        started = time.process_time()
        losses = [alone(make, recipe, both) for recipe in chosen[:ALONE]]
        one = (time.process_time() - started) / ALONE
        pairs = [
            zip(head.history, theirs, strict=True)
            for head, theirs in zip(found, losses, strict=False)
        ]
        apart = max(abs(epoch["loss"] - loss) for pair in pairs for epoch, loss in pair)
        print(
            f"| {layers} | {together:.1f} | {one:.1f} | {heads * one / together:.0f} | {apart:.0e} |"
        )


def alone(make: Any, recipe: Recipe, both: tuple[Examples, Examples]) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        done = train(
            TrainingJob(make(), recipe, *both, 0, CPU, lambda *_: None, Path(folder) / "c.pt")
        )
    return [epoch["loss"] for epoch in done.history]


if __name__ == "__main__":
    main()
