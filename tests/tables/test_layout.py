"""Tables: what a reader must be told, and which figures are best."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.runs.records import PairingRecord, RunRecord
from bench.scoring.predictions import Predictions
from bench.tables.collect import rows
from bench.tables.formats import render
from bench.tables.row import Row
from tests.tables.pairings import (
    FIGURES,
    SMALL,
    failed,
    fields,
    one,
    pairing,
    perfect,
    run,
)


@pytest.mark.parametrize(
    ("record", "note"),
    [
        (pairing(scale="tiny"), "tiny scale"),
        (pairing(weights="random"), "random weights"),
        (pairing(clips_missing=3), "3 unreadable clips are left out"),
        (pairing(notes=("speaker 0 is unknown",)), "speaker 0 is unknown"),
        (
            pairing(runs=[run("a", notes=("batch halved to 8",)), run("b")]),
            "batch halved to 8 (1 of 2 runs)",
        ),
        (pairing(runs=[run("a")], folds_asked=1), "partial: first 1 of 2 folds"),
        (
            pairing(runs=[], skipped="it reads Chinese alone"),
            "skipped: it reads Chinese alone",
        ),
        (pairing(runs=[failed("a", "broke")]), "failed: broke"),
    ],
)
@pytest.mark.parametrize("format", ["text", "markdown", "latex", "html"])
def test_every_caveat_is_a_footnote(
    record: PairingRecord, note: str, format: Any
) -> None:
    shown = render(rows([record], {}), format)
    assert f"{'{[}' if format == 'latex' else '['}1] {note}" in shown
    assert shown.count("1]") == 2  # the mark and the note


def test_bold_is_for_complete_measured_rows_only() -> None:
    shown = render(rows(SMALL, {"calls": FIGURES}), "text", colour=True)
    assert "\x1b[1m100.0 [100.0, 100.0]\x1b[0m" in shown
    assert [line.split()[0] for line in shown.splitlines() if "\x1b" in line] == [
        "whisper"
    ]
    assert "*" not in shown


def test_ties_are_all_bold_and_a_lone_row_is_not() -> None:
    tied = render(rows([pairing("x"), pairing("y")], {}), "markdown")
    assert tied.count("**73.3 [") == 2
    assert "**75" not in render(
        rows([pairing("x"), pairing("z", perfect()[:1], folds_asked=1)], {}), "markdown"
    )


def test_tiny_rows_compete_among_themselves_alone() -> None:
    tiny, full = pairing("tiny", perfect(), scale="tiny"), [pairing("x"), pairing("y")]
    mixed = rows([tiny, *full], {})
    assert [row.backbone for row in mixed] == ["x", "y", "tiny"]
    assert "**100.0" not in render(mixed, "markdown")
    assert "**100.0" in render(rows([tiny, pairing("t", scale="tiny")], {}), "markdown")


def test_task_with_more_than_two_classes_shows_no_class_f1() -> None:
    labels = ("a", "b", "c")
    said = Predictions(
        labels, ("1", "2", "3"), (None,) * 3, np.eye(3, dtype=bool), np.eye(3)
    )
    runs = [RunRecord("f", "a", 0, "ok", predictions=lambda: said)]
    record = replace(pairing(runs=runs, folds_asked=1, folds_expected=1), labels=labels)
    assert "F1 (" not in render(rows([record], {}), "markdown")
    assert fields(one(record))["F1_a"] == 1.0


def test_wa_of_several_labels_is_explained() -> None:
    several = Row(
        "calls",
        "hubert",
        "speaker",
        "measured",
        "ok",
        scores={"UA": 0.5, "WA": 0.1, "F1 micro": 0.4},
    )
    assert "correct only if all of its labels are" in render([several], "text")
    assert "all of its labels" not in render(
        [replace(several, scores={"UA": 0.5, "WA": 0.1})], "text"
    )
