"""Records for programs: JSON and CSV."""

import csv
import json
from dataclasses import replace

import pytest

from bench.tables.collect import rows
from bench.tables.formats import render
from bench.tables.row import Row
from tests.tables.pairings import (
    FIGURES,
    SMALL,
    fields,
    one,
    pairing,
)

JSON_KEYS = """
    task backbone mode protocol scale source status reason folds folds_expected seeds clips UA WA
    F1_macro F1_weighted UA_low UA_high parameters trainable_parameters train_seconds peak_memory_mb
    fingerprints citation
"""


def test_json_has_what_scripts_rely_on() -> None:
    for content in json.loads(render(rows(SMALL, {"calls": FIGURES}), "json")):
        assert set(JSON_KEYS.split()) <= set(content)
    row = fields(one(pairing()))
    assert row["F1_negative"] == pytest.approx(2 / 3)
    assert row["F1_non-negative"] == pytest.approx(4 / 5)
    assert row["UA_low"] <= row["UA"] <= row["UA_high"]
    assert row["fingerprints"] == ["a0", "b0"]


def test_json_has_null_and_never_nan() -> None:
    shown = render([replace(one(pairing()), scores={"UA": float("nan")})], "json")
    assert "NaN" not in shown
    assert json.loads(shown)[0]["UA"] is None
    assert fields(one(pairing(runs=[], skipped="no")))["UA"] is None


def test_csv_has_fractions() -> None:
    read = list(
        csv.DictReader(render(rows(SMALL, {"calls": FIGURES}), "csv").splitlines())
    )
    assert [line["backbone"] for line in read] == [
        "part",
        "whisper",
        "Lee",
        "floor",
        "big",
        "zh",
        "Wu",
    ]
    assert float(read[3]["F1_negative"]) == pytest.approx(2 / 3)
    assert read[4]["UA"] == ""
    assert read[3]["fingerprints"] == "a0; b0"


def test_class_called_macro_hides_no_average() -> None:
    row = Row(
        "t", "b", "p", "measured", "ok", scores={"F1 macro": 0.5, "F1 (macro)": 0.1}
    )
    assert (fields(row)["F1_macro"], fields(row)["F1 (macro)"]) == (0.5, 0.1)
