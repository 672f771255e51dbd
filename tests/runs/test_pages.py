"""What people find on MLflow's own pages, in a real store."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conftest import Bench
from tests.helpers import open_store
from tests.runs.test_store import RECORD, record_run

if TYPE_CHECKING:
    from mlflow.entities import Run

    from bench.runs.store import Store

WORDS = {
    "backbone": "mfcc-stats",
    "variant": "default",
    "task": "tones",
    "mode": "finetune",
    "protocol": "speaker",
    "scale": "full",
}
TWO = ("-b", "mfcc-stats", "--seeds", "2", "--folds", "2", "--set", "epochs=1")
TWO += ("--results", "results")


def runs(store: "Store", task: str) -> "tuple[list[Run], list[Run]]":
    """The parent runs of a task, and their children."""
    found = store.client.search_runs([store.runs.experiment(task)])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return parents, [run for run in found if run not in parents]


def files(store: "Store", run: "Run") -> set[str]:
    return {file.path for file in store.client.list_artifacts(run.info.run_id)}


def test_a_pairing_and_its_runs_say_what_they_are(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str], results: Path
) -> None:
    """And the figures of the parent are those of the table, over two seeds."""
    assert bench("run", "-t", manifest, *TWO, "--format", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["seeds"] == 2
    store = open_store(None, results)
    (parent,), children = runs(store, "tones")
    for run in (parent, *children):
        params = run.data.params
        assert {name: params.get(name) for name in WORDS} == WORDS
        (used,) = run.inputs.dataset_inputs
        assert used.dataset.name == "tones"
        assert used.dataset.digest == children[0].data.tags["ser.corpus"]
        assert run.data.tags["mlflow.user"]
        assert run.data.tags["mlflow.source.name"] == "bench run"
    names = {run.info.run_name for run in children}
    assert {"mfcc-stats · fold 1 · seed 0", "mfcc-stats · fold 2 · seed 1"} <= names

    assert parent.info.status == "FINISHED"
    numbers = parent.data.metrics
    for name in ("UA", "WA", "F1 macro"):
        expected = row[name.replace(" ", "_")]
        assert numbers[name] == pytest.approx(expected, abs=1e-9)
    for bound in ("low", "high"):
        assert numbers[f"UA {bound}"] == pytest.approx(row[f"UA_{bound}"], abs=1e-9)
    assert files(store, parent) == {"confusion.png", "table.html"}


def test_a_pairing_sums_up_one_division_into_folds(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str], results: Path
) -> None:
    """The newest, as its row of the table does; runs of an earlier one stay out."""
    command = ("run", "-t", manifest, "-b", "mfcc-stats", "--set", "epochs=1")
    command += ("--results", "results", "--format", "json")
    assert bench(*command) == 0
    manifest.with_suffix(".toml").write_text("k = 2\n", "utf-8")
    capsys.readouterr()
    assert bench(*command) == 0
    rows = json.loads(capsys.readouterr().out)
    (newest,) = (row for row in rows if row["folds"] == 2)
    (parent,), children = runs(open_store(None, results), "tones")
    assert len({run.data.tags["ser.split"] for run in children}) == 2
    numbers = parent.data.metrics
    for name in ("UA", "UA low", "UA high", "WA"):
        assert numbers[name] == pytest.approx(newest[name.replace(" ", "_")], abs=1e-9)


def test_what_cannot_run_has_ended(results: Path) -> None:
    store = open_store(None, results)
    skipped = store.open_pairing(replace(RECORD, skipped="no such protocol"), "1")
    failed = store.open_pairing(RECORD, "2", failed="no corpus")
    ready = store.open_pairing(RECORD, "3")
    ended = [store.client.get_run(parent) for parent in (skipped, failed, ready)]
    assert [run.info.status for run in ended] == ["FINISHED", "FAILED", "RUNNING"]
    assert json.loads(ended[0].data.tags["ser.record.skipped"]) == "no such protocol"


def test_an_interrupted_pairing_has_ended_until_it_goes_on(
    bench: Bench,
    manifest: Path,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench.runs import training_run

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "train_and_record", stop)
        assert bench("run", "-t", manifest, *TWO) != 0
    store = open_store(None, results)
    (parent,), _ = runs(store, "tones")
    assert parent.info.status == "KILLED"
    assert bench("run", "-t", manifest, *TWO) == 0
    assert store.client.get_run(parent.info.run_id).info.status == "FINISHED"


def test_a_search_that_fails_has_ended(
    bench: Bench, manifest: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.errors import BenchError
    from bench.search import tune

    def fail(*_: Any) -> None:
        raise BenchError("no trial was completed")

    monkeypatch.setattr(tune._Search, "run", fail)
    command = ("tune", "-b", "mfcc-stats", "-t", manifest, "--search-only")
    assert bench(*command, "--results", "results") != 0
    store = open_store(None, results)
    (search,), _ = runs(store, "tones")
    assert search.info.status == "FAILED"
    assert search.data.tags["mlflow.source.name"] == "bench tune"


def test_the_figures_of_an_older_version_are_computed_anew(
    bench: Bench, manifest: Path, results: Path
) -> None:
    """As they were where a pairing was killed before its end."""
    assert bench("run", "-t", manifest, *TWO) == 0
    store = open_store(None, results)
    (parent,), _ = runs(store, "tones")
    number = parent.info.run_id
    right = parent.data.metrics["UA"]
    store.client.log_metric(number, "UA", 0.123)
    store.client.delete_tag(number, "ser.totals")
    with sqlite3.connect(results / "mlflow.db") as database:
        database.execute(
            "update runs set status = 'RUNNING' where run_uuid = ?", [number]
        )
    assert bench("run", "-t", manifest, *TWO) == 0
    again = store.client.get_run(number)
    assert (again.info.status, again.data.metrics["UA"]) == ("FINISHED", right)


def test_an_experiment_opens_on_its_runs_and_has_a_view_of_their_scores(
    results: Path,
) -> None:
    """The form of the view is that of MLflow 3.17's `Save view`."""
    store = open_store(None, results)
    tags = store.client.get_experiment(store.runs.experiment("toy")).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    view = json.loads(tags["mlflow.sharedViewState.scores"])
    state = json.loads(view["state"])
    assert state["selectedColumns"][:2] == ["metrics.`UA`", "metrics.`UA low`"]
    assert "metrics.`F1 macro`" in state["selectedColumns"]
    parent = store.open_pairing(RECORD, "key")
    record_run(store, parent)
    found = store.runs.search(store.runs.experiment("toy"), state["searchFilter"])
    assert [run.info.run_id for run in found] == [parent]


def test_of_a_private_corpus_no_label_is_told(tmp_path: Path) -> None:
    from bench.runs import pages
    from tests.helpers import tones

    corpus, _ = tones(tmp_path)
    told = json.loads(pages.dataset(corpus).dataset.profile)
    assert (told["clips"], told["speakers"]) == (36, 6)
    assert told["labels"] == ["low", "high", "middle"]
    corpus.task.private = True
    assert "labels" not in json.loads(pages.dataset(corpus).dataset.profile)


def test_a_run_without_a_system_is_called_by_its_fold(results: Path) -> None:
    store = open_store(None, results)
    parent = store.open_pairing(RECORD, "key")
    record_run(store, parent)
    _, (child,) = runs(store, "toy")
    assert child.info.run_name == "fold 1 · seed 0"


LOAD = """
import json, sys
import mlflow, numpy, soundfile
uri, run, *paths = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model(f"runs:/{run}/network")
by_path = model.predict(paths)
arrays = [soundfile.read(path, dtype="float32")[0] for path in paths]
by_array = model.predict(arrays)
registered = len(mlflow.MlflowClient().search_registered_models())
numbers = [by_path.to_numpy().tolist(), by_array.to_numpy().tolist()]
print(json.dumps([list(by_path.columns), *numbers, registered]))
"""


def test_a_saved_network_is_a_model_of_mlflow(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str], results: Path
) -> None:
    """In a process of its own it gives the probabilities that were recorded."""
    assert bench("run", "-t", manifest, *TWO, "--save-weights") == 0
    store = open_store(None, results)
    _, children = runs(store, "tones")
    child = children[0]
    recorded = store.reader.run(child).predictions
    assert recorded
    known = recorded()
    paths = [str(manifest.parent / clip) for clip in known.clips]
    command = [sys.executable, "-c", LOAD, store.uri, child.info.run_id, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    columns, by_path, by_array, registered = json.loads(done.stdout.splitlines()[-1])
    assert tuple(columns) == known.labels
    np.testing.assert_allclose(by_path, known.probabilities, atol=1e-5)
    np.testing.assert_allclose(by_array, known.probabilities, atol=1e-5)
    assert registered == 0
    assert "WARNING" not in done.stderr
    requirements = results.rglob("requirements.txt")
    assert "torch==" in next(requirements).read_text()
