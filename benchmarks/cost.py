"""What the grid of `benchmarks/scale.py` would cost to train: `OMP_NUM_THREADS=1 python -m
benchmarks.cost`.

Measured here, on one CPU core: seconds per clip of a forward and backward pass of every kind of
network in the grid at full size (random weights, clips of the grid's mean length, float32), of the
forward pass alone, and of what is cached before it; and the core's own peak in a product of
matrices. The rest is arithmetic on the grid as it is planned: every epoch of every recipe, no early
stopping, no pruning, without the optimisers' steps and reading from disk.

GPUs are not measured. `--gpu-factor` says how many times as fast as this core one is; by default
the ratios of an A100's two published peaks to the core's, as if both reached the same share of
their peaks.
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
from bench.runs.pairing import Pairing
from bench.training.devices import keep_memory
from benchmarks import scale

A100 = {"fp32 peaks": 19.5e12, "bf16 peaks": 312e12}  # FLOP/s, dense (NVIDIA A100 datasheet, 2021)
GPUS = (1, 8, 64)
CPU = torch.device("cpu")
BATCH = 2
EPOCHS_CLIPS = 30 * 1200  # of a head of `benchmarks/heads.py`
LIKE = {  # of the same network, to within its head
    "hubert": "wav2vec2",
    "whisper-large-v3-turbo": "whisper-large-v3",
    "multistream:type3": "multistream",
    **{f"{name}:released": name for name in ("hubert", "wav2vec2", "pitch-fusion")},
}
CLOSED = {
    "mfcc-stats",
    "opensmile-svm",
}  # a linear head on a vector per clip: seconds each, not counted


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
        self.pieces, self.total, self.longest = (
            self.pieces + pieces,
            self.total + pieces * each,
            max(self.longest, each),
        )


def measure(backbone: Backbone, seconds: float) -> Speed:
    setup = Setup(
        ("a", "b", "c", "d"),
        False,
        "en",
        "finetune",
        "full",
        "random",
        backbone.variant,
        backbone.options(),
    )
    draw = np.random.default_rng(0)
    waves = [
        draw.normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32) for _ in range(BATCH)
    ]
    features, truth = backbone.features(setup), torch.tensor([1, 0])

    def extract() -> Any:
        found = {name: f.extract(waves, CPU) for name, f in features.items()}
        return {name: pad([torch.from_numpy(a) for a in arrays]) for name, arrays in found.items()}

    given = extract()
    torch.manual_seed(0)
    network: Any = backbone.network(setup).train()
    if hasattr(network, "calibrate"):
        with torch.no_grad():
            network.calibrate([given])

    def step() -> None:
        logits: Any = network(given)
        loss: Any = cross_entropy(logits.mean() if isinstance(logits, Padded) else logits, truth)
        loss.backward()

    def forward() -> None:
        with torch.inference_mode():
            network(given)

    return Speed(*(_warm(work) / BATCH for work in (extract, forward, step)))


def works(
    planned: Sequence[Pairing], probes: set[str], speeds: dict[str, Speed], head: float
) -> list[Work]:
    """The rows: all trials fine-tuned, the probed backbones' among them, without trials; then the
    probes.
    """
    every, same = (
        Work("fine-tuning, every trial"),
        Work("fine-tuning, every trial of the probed backbones"),
    )
    usual, states = (
        Work("fine-tuning, usual recipes, no trials"),
        Work("probes: encoders, once per clip, in shards"),
    )
    heads = Work("probes: heads, every trial")
    for pairing in planned:
        assert pairing.ready
        name, system = pairing.record.backbone, pairing.ready.system
        speed = speeds.get(LIKE.get(name, name))
        if name in probes and speed:
            clips = len(pairing.ready.corpus.clips)
            shards = math.ceil(clips / SHARD_CLIPS)
            states.add(shards, clips / shards * (speed.cached + speed.forward))
        for run in pairing.ready.runs:
            train, valid, test = (
                len(part) for part in (run.fold.train, run.fold.valid, run.fold.test)
            )
            if speed:
                passes = system.recipe.epochs * (
                    train * system.recipe.epoch_share * speed.both + valid * speed.forward
                )
                each = passes + test * speed.forward
                every.add(scale.TRIALS, each)
                usual.add(1, each)
                if name in probes:
                    same.add(scale.TRIALS, each)
            if name in probes:
                heads.add(scale.TRIALS, head * 30 * train)
    return [every, same, usual, states, heads]


def show(work: Work, factors: Sequence[float]) -> str:
    walls = [max(work.total / gpus, work.longest) / factor for factor in factors for gpus in GPUS]
    bound = work.total / work.longest
    hours = " | ".join(_hours(seconds) for seconds in (work.total, work.longest, *walls))
    return f"| {work.title} | {work.pieces:,} | {hours} | {bound:,.0f} |"


def _probed(backbone: Backbone) -> bool:
    """Whether a linear head on frozen states of it is trained by gradient descent."""
    setup = Setup(
        ("a", "b"), False, "en", "probe", "full", "random", backbone.variant, backbone.options()
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gpu-factor", type=float, nargs="+", help="a GPU's speed, in that of this core"
    )
    parser.add_argument(
        "--head", type=float, default=0.187, help="CPU s of one of 30 heads in benchmarks/heads.py"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()  # as the command line does
    backbones = registry.backbones(scale.BACKBONES)
    planned = scale.pairings(scale.TASKS, backbones, scale.SEEDS)
    clips = [seconds for task in scale.TASKS for seconds in [task.seconds] * task.size]
    mean = sum(clips) / len(clips)
    peak = _peak()
    print(
        f"{len(clips):,} clips of {mean:.1f} s on average; this core: {peak / 1e9:.0f} GFLOP/s in float32\n"
    )
    print(
        "| network | cached before, s per clip | forward | forward and backward |\n|---|---|---|---|"
    )
    speeds = {}
    for backbone in backbones:
        name = backbone.name
        if name not in LIKE and name not in CLOSED:
            speeds[name] = found = measure(backbone, mean)
            print(
                f"| {name} | {found.cached:.3f} | {found.forward:.3f} | {found.both:.3f} |",
                flush=True,
            )
    rates = {f"{f:,.0f}": f for f in arguments.gpu_factor or ()} or {
        k: v / peak for k, v in A100.items()
    }
    columns = " | ".join(f"{gpus} GPU{'s' * (gpus > 1)}, {name}" for name in rates for gpus in GPUS)
    print(f"\nfactors: {', '.join(f'{name}: {factor:,.0f}' for name, factor in rates.items())}\n")
    print(f"| work | pieces | core hours | longest, core hours | {columns} | GPUs of use |")
    print("|---|---|---|---|" + "---|" * (len(rates) * len(GPUS) + 1))
    for work in works(
        planned,
        {b.name for b in backbones if _probed(b)},
        speeds,
        arguments.head / EPOCHS_CLIPS,
    ):
        print(show(work, list(rates.values())))


if __name__ == "__main__":
    main()
