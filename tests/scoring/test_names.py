"""Labels as parts of other names."""

import itertools
from pathlib import Path

import pytest

from bench.scoring.names import escape, is_too_long, metric_name, unescape
from tests.conftest import Bench
from tests.helpers import open_store

LABELS = (
    "happy/",
    "a//b",
    "/",
    "..",
    ".",
    "../..",
    "sad (low)",
    "(",
    "😀",
    "très énervé",
    "愤怒",
    "क्रोध",
    "a_b",
    "_x2F_",
    "_x2F",
    "__x",
    "100 %",
    "a:b",
    "tab\there",
    "nul\0",
)


@pytest.mark.parametrize("label", LABELS)
def test_every_label_comes_back(label: str) -> None:
    assert unescape(escape(label)) == label


def test_no_two_labels_share_a_name() -> None:
    pieces = ("_", "x", "2F", "/", "x2F_", ".", "F")
    labels = {
        "".join(each)
        for n in range(1, 6)
        for each in itertools.product(pieces, repeat=n)
    }
    names = {escape(label) for label in labels}
    assert len(names) == len(labels)
    assert {unescape(name) for name in names} == labels


def test_usual_names_are_as_they_were() -> None:
    assert metric_name("F1 (non-negative)") == "F1/non-negative"
    assert metric_name("recall (very_sad 2.0)") == "recall/very_sad 2.0"
    assert metric_name("F1 macro") == "F1 macro"
    assert metric_name("valid UA") == "valid UA"
    assert metric_name("train_seconds") == "train_seconds"


def test_a_label_with_brackets_is_one_part() -> None:
    assert metric_name("F1 (sad (low))") == "F1/sad _x28_low_x29_"


def test_a_long_label_is_known_by_its_name() -> None:
    assert not is_too_long("a" * 200)
    assert is_too_long("a" * 201)
    assert is_too_long("/" * 41)


def test_mlflow_takes_every_label(bench: Bench, manifest: Path, results: Path) -> None:
    """Each as the label of a class, in one run from the manifest to the table."""
    strange = {"low": "happy/", "high": "a//b", "middle": "..😀 (%)" + "x" * 150}
    text = manifest.read_text()
    for label, name in strange.items():
        text = text.replace(f",{label},", f",{name},")
    manifest.write_text(text)
    assert bench("run", "-b", "mfcc-stats", "-t", manifest, "--folds", "1") == 0
    store = open_store(None, results)
    (record,) = store.records()
    assert set(record.labels) == set(strange.values())
    metrics = store.client.get_run(record.runs[0].id).data.metrics
    recalls = {
        unescape(name.partition("/")[2])
        for name in metrics
        if name.startswith("recall/")
    }
    assert recalls == set(strange.values())


def test_mlflow_takes_every_name_of_a_score(results: Path) -> None:
    from bench.runs.mlflow_runs import metrics

    store = open_store(None, results)
    run = store.client.create_run(store.runs.experiment("toy")).info.run_id
    scores = {f"precision ({label})": 0.5 for label in LABELS}
    store.client.log_batch(run, metrics=metrics(scores))
    assert len(store.client.get_run(run).data.metrics) == len(LABELS)
