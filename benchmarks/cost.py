"""What training the grid of `benchmarks/scale.py` would cost.

    OMP_NUM_THREADS=1 python -m benchmarks.cost

Measured on one CPU core: seconds per clip of a forward and backward pass of every kind of network
in the grid at full size (random weights, clips of the grid's mean length, float32), of the forward
pass alone, and of what is cached before it; and the core's own peak in a matrix product. The rest
is arithmetic on the planned grid: every epoch of every recipe, without early stopping, pruning,
optimiser steps and reading from disk.

GPUs are not measured. `--gpu-factor` is the speed of a GPU as a multiple of this core's; the
default is the ratios of an A100's two published peaks to the core's, which assumes that both reach
the same share of their peaks.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from bench import registry
from bench.cluster.feature_jobs import SHARD_CLIPS
from bench.contracts.backbone import Backbone, Setup
from bench.contracts.batch import Padded, pad
from bench.contracts.feature import SAMPLE_RATE
from bench.contracts.recipe import Recipe
from bench.contracts.task import Fold
from bench.runs.pairing import Pairing
from bench.training.devices import keep_memory
from benchmarks import scale

A100 = {
    "fp32 peaks": 19.5e12,
    "bf16 peaks": 312e12,
}  # FLOP/s, dense (NVIDIA A100 datasheet, 2021)
GPUS = (1, 8, 64)
CPU = torch.device("cpu")
BATCH = 2
EPOCHS_CLIPS = 30 * 1200  # of a head of `benchmarks/heads.py`
LIKE = {  # backbones with the network of another, except for its head
    "hubert": "wav2vec2",
    "whisper-large-v3-turbo": "whisper-large-v3",
    "multistream:type3": "multistream",
    **{f"{name}:released": name for name in ("hubert", "wav2vec2", "pitch-fusion")},
}
# a linear head on a vector per clip: seconds each, not counted
CLOSED = {"mfcc-stats", "opensmile-svm"}


@dataclass(frozen=True)
class Speed:
    """CPU seconds per clip."""

    cached: float  # what is computed once
    forward: float
    both: float  # forward and backward


@dataclass
class Work:
    """Core seconds, and those of the longest piece that cannot be divided."""

    title: str
    pieces: int = 0
    total: float = 0.0
    longest: float = 0.0

    def add(self, pieces: int, each: float) -> None:
        self.pieces += pieces
        self.total += pieces * each
        self.longest = max(self.longest, each)


def measure(backbone: Backbone, seconds: float) -> Speed:
    labels = ("a", "b", "c", "d")
    options = backbone.options()
    setup = Setup(
        labels, False, "en", "finetune", "full", "random", backbone.variant, options
    )
    draw = np.random.default_rng(0)
    waves = [
        draw.normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
        for _ in range(BATCH)
    ]
    features = backbone.features(setup)
    truth = torch.tensor([1, 0])

    def extract() -> Any:
        inputs = {}
        for name, feature in features.items():
            arrays = feature.extract(waves, CPU)
            inputs[name] = pad([torch.from_numpy(array) for array in arrays])
        return inputs

    given = extract()
    torch.manual_seed(0)
    network: Any = backbone.network(setup).train()
    if hasattr(network, "calibrate"):
        with torch.no_grad():
            network.calibrate([given])

    def step() -> None:
        logits: Any = network(given)
        loss: Any = cross_entropy(
            logits.mean() if isinstance(logits, Padded) else logits, truth
        )
        loss.backward()

    def forward() -> None:
        with torch.inference_mode():
            network(given)

    return Speed(*(_warm(work) / BATCH for work in (extract, forward, step)))


def works(
    planned: Sequence[Pairing], probes: set[str], speeds: dict[str, Speed], head: float
) -> list[Work]:
    """The rows: fine-tuning with trials, the probed backbones' part, without trials; the probes."""
    every = Work("fine-tuning, every trial")
    same = Work("fine-tuning, every trial of the probed backbones")
    default = Work("fine-tuning, default recipes, no trials")
    states = Work("probes: encoders, once per clip, in shards")
    heads = Work("probes: heads, every trial")
    for pairing in planned:
        assert pairing.ready
        name = pairing.record.backbone
        recipe = pairing.ready.system.recipe
        speed = speeds.get(LIKE.get(name, name))
        if name in probes and speed:
            clips = len(pairing.ready.division.corpus.clips)
            shards = math.ceil(clips / SHARD_CLIPS)
            states.add(shards, clips / shards * (speed.cached + speed.forward))
        for run in pairing.ready.runs:
            if name in probes:
                heads.add(scale.TRIALS, head * 30 * len(run.fold.train))
            if speed:
                each = fine_tuning(run.fold, recipe, speed)
                every.add(scale.TRIALS, each)
                default.add(1, each)
                if name in probes:
                    same.add(scale.TRIALS, each)
    return [every, same, default, states, heads]


def fine_tuning(fold: Fold, recipe: Recipe, speed: Speed) -> float:
    """Core seconds of one run."""
    training = len(fold.train) * recipe.epoch_share * speed.both
    validation = len(fold.valid) * speed.forward
    test = len(fold.test) * speed.forward
    return recipe.epochs * (training + validation) + test


def show(work: Work, factors: Sequence[float]) -> str:
    """One line: the hours of the core and of GPUs, and how many GPUs are of use."""
    seconds = [work.total, work.longest]
    for factor in factors:
        for gpus in GPUS:
            wall = max(work.total / gpus, work.longest)
            seconds.append(wall / factor)
    hours = " | ".join(map(_hours, seconds))
    bound = work.total / work.longest
    return f"| {work.title} | {work.pieces:,} | {hours} | {bound:,.0f} |"


def _probed(backbone: Backbone) -> bool:
    """Whether a linear head on its frozen states is trained by gradient descent."""
    setup = Setup(
        ("a", "b"),
        False,
        "en",
        "probe",
        "full",
        "random",
        backbone.variant,
        backbone.options(),
    )
    return backbone.stem != "opensmile-svm" and not backbone.refuses(setup)


def _hours(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.{1 if seconds < 10 * size else 0}f} {unit}"
    return f"{seconds:.1f} s"


def _warm(work: Callable[[], Any]) -> float:
    """CPU seconds of the second call."""
    work()
    started = time.process_time()
    work()
    return time.process_time() - started


def _peak() -> float:
    """FLOP/s of this core in a product of float32 matrices."""
    size, best = 2048, 1e9
    matrix = torch.randn(size, size)
    for _ in range(5):
        best = min(best, _warm(lambda: matrix @ matrix))
    return 2 * size**3 / best


def measured(backbones: Sequence[Backbone], seconds: float) -> dict[str, Speed]:
    """Print and return the speeds of the networks, by the name of their backbone."""
    print("| network | cached before, s per clip | forward | forward and backward |")
    print("|---|---|---|---|")
    speeds = {}
    for backbone in backbones:
        name = backbone.name
        if name in LIKE or name in CLOSED:
            continue
        speed = measure(backbone, seconds)
        speeds[name] = speed
        cells = f"{speed.cached:.3f} | {speed.forward:.3f} | {speed.both:.3f}"
        print(f"| {name} | {cells} |", flush=True)
    return speeds


def show_works(rows: Sequence[Work], factors: dict[str, float]) -> None:
    """Print the costs; `factors`: the speed of GPUs by their names."""
    named = ", ".join(f"{name}: {factor:,.0f}" for name, factor in factors.items())
    print(f"\nfactors: {named}\n")
    columns = ["work", "pieces", "core hours", "longest, core hours"]
    for name in factors:
        for gpus in GPUS:
            noun = "GPUs" if gpus > 1 else "GPU"
            columns.append(f"{gpus} {noun}, {name}")
    columns.append("GPUs of use")
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns))
    for work in rows:
        print(show(work, list(factors.values())))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gpu-factor",
        type=float,
        nargs="+",
        help="speed of a GPU as a multiple of this core's",
    )
    parser.add_argument(
        "--head",
        type=float,
        default=0.187,
        help="CPU s of one of 30 heads in benchmarks/heads.py",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()  # as the command line does
    backbones = registry.backbones(scale.BACKBONES)
    planned = scale.pairings(scale.TASKS, backbones, scale.SEEDS)
    clips = sum(task.size for task in scale.TASKS)
    mean = sum(task.seconds * task.size for task in scale.TASKS) / clips
    peak = _peak()
    speed = f"this core: {peak / 1e9:.0f} GFLOP/s in float32"
    print(f"{clips:,} clips of {mean:.1f} s on average; {speed}\n")
    speeds = measured(backbones, mean)
    factors = {f"{factor:,.0f}": factor for factor in arguments.gpu_factor or ()}
    if not factors:
        factors = {name: flops / peak for name, flops in A100.items()}
    probes = {backbone.name for backbone in backbones if _probed(backbone)}
    rows = works(planned, probes, speeds, arguments.head / EPOCHS_CLIPS)
    show_works(rows, factors)


if __name__ == "__main__":
    main()
