"""What a real store's look-ups cost: `python benchmarks/lookups.py`.

Runs recorded in an SQLite store through `bench.runs.store`, with the parameters, tags and scores
that a real one has but without its artifacts; then what a command asks of the store before it
trains. CPU seconds of one process.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.contracts.recipe import Recipe
from bench.options import flat
from bench.runs.records import PairingRecord
from bench.runs.store import Store

STEPS = (500, 1_000, 2_000)
PER_PAIRING = 25  # 5 folds, 5 seeds
GRID = 15_000  # runs per task: 20 backbones, 5 folds, 5 seeds, 30 trials
TASK = "made-up"
LABELS = ("angry", "happy", "neutral", "sad")
SCORES = (
    "UA",
    "WA",
    "F1 macro",
    "F1 weighted",
    *(f"{kind} ({label})" for kind in ("F1", "recall") for label in LABELS),
)
NUMBERS = ("parameters", "trainable_parameters", "train_seconds", "peak_memory_mb", "best_epoch")
TAGS = (
    "backbone",
    "mode",
    "protocol",
    "scale",
    "corpus",
    "split",
    "weights",
    "weights_revision",
    "code",
    "hardware",
)


def record(store: Store, first: int, last: int) -> None:
    for start in range(first, last, PER_PAIRING):
        key = f"pairing {start}"
        paired = PairingRecord(
            task=TASK,
            backbone=key,
            mode="probe",
            protocol="speaker",
            scale="full",
            weights="",
            settings={},
            labels=LABELS,
        )
        parent = store.open_pairing(paired, key)
        for number in range(start, min(last, start + PER_PAIRING)):
            parameters = {**flat(Recipe()), "seed": number % 5, "fold": str(number % 25 // 5)}
            tags = {tag: hashlib.sha256(tag.encode()).hexdigest()[:32] for tag in TAGS}
            log = store.start(
                TASK, parent, mark(number), str(number % 25 // 5), number % 5, parameters, tags
            )
            log.close(dict.fromkeys((*SCORES, *NUMBERS), 0.5), {"notes": "[]"})


def mark(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", default=STEPS, help=f"runs recorded at each line {STEPS}"
    )
    steps = parser.parse_args().steps
    print(
        "| runs of the task | to record one, s | `recorded`, s | per run, ms | `has`: there, ms | `has`: not, ms |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store, before = Store(None, Path(folder)), 0
        store.recorded(TASK)
        for runs in steps:
            recording = cpu(lambda: record(store, before, runs)) / (runs - before)  # noqa: B023
            found = cpu(lambda: store.recorded(TASK))
            assert len(store.recorded(TASK)) == runs
            there, absent = (
                min(cpu(lambda: store.has(TASK, mark(n))) for n in numbers) * 1000  # noqa: B023
                for numbers in (range(0, runs, runs // 10), range(runs, runs + 10))
            )
            print(
                f"| {runs:,} | {recording:.3f} | {found:.2f} | {found / runs * 1000:.2f} | {there:.0f} | {absent:.0f} |"
            )
            before = runs
        whole = found / runs * GRID
        print(
            f"| {GRID:,}, extrapolated in proportion | {recording:.3f} | {whole:.0f} | {found / runs * 1000:.2f} | | |"
        )


if __name__ == "__main__":
    main()
