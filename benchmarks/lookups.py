"""How much looking up runs in a real store costs: `python benchmarks/lookups.py`.

Runs are recorded in an SQLite store through `bench.runs.store`, with the parameters, tags and
scores of real ones and with the predictions of a few clips; then the store is asked what a command
asks before it trains. CPU seconds of one process.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from bench.contracts.recipe import Recipe
from bench.options import flat
from bench.runs.mlflow_runs import PREDICTIONS
from bench.runs.records import PairingRecord
from bench.runs.store import Store
from bench.scoring.predictions import Predictions

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
NUMBERS = (
    "parameters",
    "trainable_parameters",
    "train_seconds",
    "peak_memory_mb",
    "best_epoch",
)
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


def write_predictions(folder: Path) -> Path:
    """The artifact that each run gets."""
    answers = np.eye(len(LABELS))
    clips = tuple(f"clip {number}" for number in range(len(LABELS)))
    predictions = Predictions(LABELS, clips, clips, answers.astype(bool), answers)
    path = folder / PREDICTIONS
    predictions.to_parquet(path)
    return path


def record(store: Store, predictions: Path, first: int, last: int) -> None:
    """Record the runs with these numbers, a pairing for each PER_PAIRING."""
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
            record_run(store, parent, predictions, number)


def record_run(store: Store, parent: str, predictions: Path, number: int) -> None:
    seed = number % 5
    fold = str(number % 25 // 5)
    parameters = {**flat(Recipe()), "seed": seed, "fold": fold}
    tags = {tag: mark(tag) for tag in TAGS}
    log = store.start(TASK, parent, mark(number), fold, seed, parameters, tags)
    scores = dict.fromkeys((*SCORES, *NUMBERS), 0.5)
    store.client.log_artifact(log.run, str(predictions))
    log.close(scores, {"notes": "[]"})


def mark(name: object) -> str:
    """32 hex digits."""
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def cpu(work: Callable[[], object]) -> float:
    """CPU s of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def has(store: Store, numbers: Iterable[int]) -> float:
    """CPU ms of the fastest `Store.has` of these runs."""
    seconds = [cpu(partial(store.has, TASK, mark(number))) for number in numbers]
    return 1000 * min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=STEPS,
        help=f"runs recorded at each line {STEPS}",
    )
    steps = parser.parse_args().steps
    columns = ["runs of the task", "to record one, s", "`recorded`, s", "per run, ms"]
    columns += ["`has`: there, ms", "`has`: not, ms"]
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(None, Path(folder))
        store.recorded(TASK)
        predictions = write_predictions(Path(folder))
        before = 0
        for runs in steps:
            recording = cpu(partial(record, store, predictions, before, runs)) / (
                runs - before
            )
            seconds = cpu(partial(store.recorded, TASK))
            assert len(store.recorded(TASK)) == runs
            there = has(store, range(0, runs, runs // 10))
            absent = has(store, range(runs, runs + 10))
            per_run = 1000 * seconds / runs
            cells = f"{recording:.3f} | {seconds:.2f} | {per_run:.2f}"
            print(f"| {runs:,} | {cells} | {there:.0f} | {absent:.0f} |")
            before = runs
    whole = seconds / runs * GRID
    label = f"{GRID:,}, extrapolated in proportion"
    print(f"| {label} | {recording:.3f} | {whole:.0f} | {per_run:.2f} | | |")


if __name__ == "__main__":
    main()
