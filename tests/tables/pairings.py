"""Small records of pairings whose scores can be worked out by hand."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.contracts.task import Published
from bench.runs.records import PairingRecord, RunRecord
from bench.scoring.predictions import Predictions
from bench.tables.collect import rows
from bench.tables.formats import render
from bench.tables.row import Row

LABELS = ("negative", "non-negative")
FOLDS = {
    "a": ("nnpp", "nppp"),
    "b": ("nppp", "nnpp"),
}  # fold -> truth and prediction of each clip
EVIL = r"l|m & a_b < 50 % é *x* {y} $z$ ~ ^ # \end [1](u) `c` <script>"


def predictions(fold: str, truth: str, predicted: str) -> Predictions:
    chosen = np.array([[c == "n", c == "p"] for c in predicted])
    clips = tuple(f"{fold}{i}" for i in range(len(truth)))
    return Predictions(
        LABELS,
        clips,
        tuple(f"s{c}" for c in clips),
        np.array([[c == "n", c == "p"] for c in truth]),
        chosen * 1.0,
    )


def run(
    fold: str, answers: Sequence[str] = (), seed: int = 0, **kwargs: Any
) -> RunRecord:
    said = predictions(fold, *(answers or FOLDS[fold]))
    values = {
        "parameters": 1500,
        "trainable_parameters": 10,
        "train_seconds": 30.0,
        "peak_memory_mb": 100.0,
        **kwargs,
    }
    return RunRecord(
        f"{fold}{seed}", fold, seed, "ok", predictions=lambda: said, **values
    )


def failed(fold: str, reason: str, seed: int = 0) -> RunRecord:
    return RunRecord(f"{fold}{seed}", fold, seed, "failed", reason)


def pairing(
    backbone: str = "hubert", runs: Sequence[RunRecord] | None = None, **kwargs: Any
) -> PairingRecord:
    values = {
        "mode": "probe",
        "protocol": "speaker",
        "scale": "full",
        "folds_asked": 2,
        "folds_expected": 2,
        **kwargs,
    }
    own = (run("a"), run("b")) if runs is None else tuple(runs)
    return PairingRecord(
        "calls", backbone, labels=LABELS, positive="negative", runs=own, **values
    )


def perfect() -> list[RunRecord]:
    return [run("a", ("nnpp", "nnpp")), run("b", ("nppp", "nppp"))]


def one(*records: PairingRecord) -> Row:
    (row,) = rows(records, {})
    return row


def fields(row: Row) -> dict[str, Any]:
    return dict(json.loads(render([row], "json"))[0])


def evil() -> list[Row]:
    record = pairing(EVIL, notes=(EVIL,), settings={"note": f"{EVIL}\n{EVIL}"})
    return rows(
        [record, pairing(skipped=EVIL, runs=[])],
        {"calls": [Published(EVIL, {"UA": 0.1}, EVIL, EVIL)]},
    )


FIGURES = (
    Published(
        "Lee",
        {"UA": 0.9, "F1 (negative)": 0.91},
        "speaker",
        "Lee 2024, Table 2",
        "one seed",
    ),
    Published("Wu", {"WA": 0.955}, "random 80/20", "Wu 2023"),
)
SMALL = [
    pairing("floor", notes=("acted",)),
    pairing("whisper", perfect(), notes=("acted",)),
    pairing("part", perfect()[:1], folds_asked=1, notes=("acted",)),
    pairing("zh", [], skipped="it reads Chinese alone"),
    pairing("big", [failed("a", "out of memory"), failed("b", "out of memory")]),
]
