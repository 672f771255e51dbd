"""The record of a search keeps the layout of the file that a store holds of it."""

import json
import zipfile

from bench.contracts.space import Choice, Range
from bench.runs.search_record import SearchRecord, StudyRecord, TrialRecord
from tests.helpers import ROOT

BEST = TrialRecord(
    3, {"learning_rate": 0.01, "batch_size": 8}, "complete", 0.75, 0.5, 1.5
)
SEARCH = SearchRecord(
    study="a" * 32,
    name="b" * 32,
    task="tones",
    backbone="mfcc-stats",
    mode="finetune",
    protocol="speaker",
    scale="tiny",
    trials=5,
    nested=True,
    objective="UA",
    settings={"epochs": 3},
    space={"learning_rate": Range(1e-3, 1e-1, log=True), "batch_size": Choice((8, 16))},
    parts_expected=2,
    parts=(
        StudyRecord("1", ("1",), 4, 0, 1, 9.0, 0.5, BEST, {"learning_rate": 1.0}),
        StudyRecord("2", ("2",)),
    ),
    notes=("tuned",),
)


def test_a_record_comes_back_from_its_file_as_it_was() -> None:
    text = json.dumps(SEARCH.to_json())
    assert SearchRecord.from_json(json.loads(text)) == SEARCH
    assert SEARCH.choices == {"1": BEST.values}
    assert json.loads(text)["choices"] == {"1": BEST.values}
    assert "importances" not in json.loads(text)["parts"][1]


def test_a_file_of_the_first_release_is_read_and_written_unchanged() -> None:
    with zipfile.ZipFile(ROOT / "tests" / "runs" / "recorded" / "store.zip") as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("search.json")]
        recorded = json.loads(archive.read(name))
    search = SearchRecord.from_json(recorded)
    assert search.parts[0].ended == search.trials == 2
    assert json.loads(json.dumps(search.to_json())) == recorded


def test_entries_of_a_later_version_are_ignored() -> None:
    content = json.loads(json.dumps(SEARCH.to_json()))
    content["later"] = 1
    content["parts"][0]["later"] = 1
    assert SearchRecord.from_json(content) == SEARCH
