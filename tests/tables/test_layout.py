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
    assert "\x1b[1m100.0 [64.6, 100.0]\x1b[0m" in shown
    assert [line.split()[0] for line in shown.splitlines() if "\x1b" in line] == [
        "whisper",
        "floor",
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


def skilled(backbone: str, wrong: int, **kwargs: Any) -> PairingRecord:
    """10 speakers of 20 clips in one fold, `wrong` or one more of each 10 misread."""
    truth = "n" * 100 + "p" * 100
    said = list(truth)
    for speaker in range(10):
        for k in range(wrong + speaker % 2):
            said[10 * speaker + k] = "p"
            said[100 + 10 * speaker + k] = "n"
    clips = [f"{i:03d}" for i in range(200)]
    one_hot = [np.array([[c == "n", c == "p"] for c in text]) for text in (truth, said)]
    predictions = Predictions(
        ("negative", "non-negative"),
        tuple(clips),
        tuple(f"s{i % 100 // 10}" for i in range(200)),
        one_hot[0],
        one_hot[1] * 1.0,
    )
    record = RunRecord(backbone, "a", 0, "ok", predictions=lambda: predictions)
    return pairing(backbone, [record], folds_asked=1, folds_expected=1, **kwargs)


def test_stars_are_for_what_does_not_differ_from_the_best() -> None:
    found = rows([skilled("good", 1), skilled("as-good", 1), skilled("bad", 4)], {})
    assert {row.backbone: row.best for row in found} == {
        "good": True,
        "as-good": True,
        "bad": False,
    }
    about = {row.backbone: fields(row) for row in found}
    assert (about["bad"]["ranked_by"], about["bad"]["best"]) == ("UA", False)
    assert about["bad"]["interval_unit"] == "speaker"
    assert about["bad"]["interval_units"] == 10
    assert about["bad"]["UA_low"] < about["bad"]["UA"] < about["bad"]["UA_high"]
    assert about["bad"]["F1_macro_low"] < about["bad"]["F1_macro_high"]
    text = render(found, "text", width=200)
    assert "intervals over 10 speakers" in text
    assert "85.0* [" in text
    assert "55.0  [" in text


def test_rows_on_other_clips_have_no_star_and_say_why() -> None:
    other = skilled("x", 1)
    found = rows([other, pairing("y")], {})
    assert not any(row.best for row in found)
    assert "no row is starred: the rows were not tested on the same clips" in render(
        found
    )


def test_several_labels_are_ranked_by_f1_macro() -> None:
    labels = ("a", "b")
    truth = np.array([[1, 0], [0, 1], [1, 1], [1, 0]], dtype=bool)
    good = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.8], [0.4, 0.1]])
    everything = np.ones((4, 2))  # a mean recall of 100 %

    def record(backbone: str, said: Any) -> PairingRecord:
        clips, speakers = ("1", "2", "3", "4"), ("s", "s", "t", "t")
        found = Predictions(labels, clips, speakers, truth, said, multilabel=True)
        one_run = RunRecord(backbone, "a", 0, "ok", predictions=lambda: found)
        made = pairing(backbone, [one_run], folds_asked=1, folds_expected=1)
        return replace(made, labels=labels, multilabel=True)

    found = rows([record("everything", everything), record("good", good)], {})
    assert [row.backbone for row in found] == ["good", "everything"]
    about = fields(found[1])
    assert (about["UA"], about["ranked_by"]) == (1.0, "F1 macro")
    assert {"F1_macro_low", "F1_macro_high", "UA_low", "UA_gain"} <= set(about)
    shown = render(found, "markdown")
    header = next(line for line in shown.splitlines() if "[95 %]" in line)
    names = [name.strip() for name in header.split("|")]
    assert names[2:5] == ["F1 macro [95 %]", "mean recall", "WA"]
