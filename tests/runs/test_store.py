"""Runs are recorded whole or not at all, in a real MLflow store, on disk and behind a server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bench.errors import UsageError
from bench.runs.records import PairingRecord
from bench.runs.search_record import SearchRecord
from bench.scoring.predictions import Predictions
from bench.tables.collect import rows
from tests.conftest import Bench
from tests.helpers import PATIENCE, open_store
from tests.servers import DumbServer, TrackingServer, free_port, wait_for

if TYPE_CHECKING:
    from bench.runs.store import Store

RECORD = PairingRecord(
    task="toy",
    backbone="hubert:released",
    mode="finetune",
    protocol="speaker",
    scale="full",
    weights="random",
    settings={"epochs": "3"},
    labels=("negative", "non-negative"),
    positive="negative",
    folds_asked=2,
    folds_expected=5,
    notes=("a caveat; with “quotes” and | bars",),
)
PREDICTIONS = Predictions(
    labels=("negative", "non-negative"),
    clips=("a", "b", "c"),
    speakers=("1", None, "2"),
    truth=np.array([[True, False], [False, True], [False, True]]),
    probabilities=np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]]),
)


def record_run(
    store: "Store",
    parent: str,
    fingerprint: str = "f1",
    fold: str = "fold 1",
    wa: float = 1.0,
) -> None:
    log = store.start(
        "toy", parent, fingerprint, fold, 0, {"epochs": 3}, {"corpus": "abc"}
    )
    log.epoch(1, {"train loss": 0.5, "UA": 0.25})
    log.finish(
        PREDICTIONS,
        {"WA": wa, "F1 (non-negative)": 0.5},
        {"parameters": 1234, "train_seconds": 1.5},
        ["slow"],
    )


@pytest.fixture
def store(results: Path) -> "Store":
    return open_store(None, results)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server on loopback with its own database and artifact store."""
    folder = tmp_path_factory.mktemp("server")
    running = TrackingServer(folder, f"sqlite:///{folder}/db.sqlite")
    yield running.url
    running.kill(signal.SIGTERM)


def test_what_is_recorded_comes_back(store: "Store") -> None:
    parent = store.open_pairing(RECORD, "key")
    record_run(store, parent)
    (found,) = store.records()
    assert replace(found, runs=()) == RECORD
    (run,) = found.runs
    assert (run.fingerprint, run.fold, run.seed, run.status, run.notes) == (
        "f1",
        "fold 1",
        0,
        "ok",
        ("slow",),
    )
    assert (run.parameters, run.train_seconds) == (1234, 1.5)
    assert run.predictions
    again = run.predictions()
    assert again.clips == PREDICTIONS.clips
    assert again.speakers == PREDICTIONS.speakers
    np.testing.assert_array_equal(again.probabilities, PREDICTIONS.probabilities)
    assert store.recorded("toy") == {"f1"}


def test_a_person_finds_parameters_scores_epochs_and_artifacts_in_mlflow(
    store: "Store",
) -> None:
    parent = store.open_pairing(RECORD, "key")
    record_run(store, parent)
    experiment = store.client.get_experiment_by_name("toy")
    runs = {
        r.info.run_id: r for r in store.client.search_runs([experiment.experiment_id])
    }
    child = next(
        r for r in runs.values() if r.data.tags.get("mlflow.parentRunId") == parent
    )
    assert child.data.params["epochs"] == "3"
    assert child.data.metrics["F1/non-negative"] == 0.5
    assert [
        m.step for m in store.client.get_metric_history(child.info.run_id, "train loss")
    ] == [1]
    names = {a.path for a in store.client.list_artifacts(child.info.run_id)}
    assert names == {"predictions.parquet", "confusion.png"}
    assert child.data.tags["ser.corpus"] == "abc"


def test_metrics_are_there_while_the_run_is_under_way_but_it_does_not_count(
    store: "Store",
) -> None:
    parent = store.open_pairing(RECORD, "key")
    log = store.start("toy", parent, "f1", "fold 1", 0, {}, {})
    log.epoch(1, {"train loss": 0.5})
    assert store.client.get_run(log.run).data.metrics["train loss"] == 0.5
    assert store.recorded("toy") == set()
    assert store.records()[0].runs == ()


def test_a_run_cut_short_is_replaced_by_the_next(store: "Store") -> None:
    parent = store.open_pairing(RECORD, "key")
    store.start("toy", parent, "f1", "fold 1", 0, {}, {})  # killed here
    record_run(store, parent)
    experiment = store.client.get_experiment_by_name("toy").experiment_id
    assert len(store.client.search_runs([experiment], "tags.`ser.kind` = 'run'")) == 1


def test_a_failure_is_kept_with_its_reason_and_tried_again(store: "Store") -> None:
    parent = store.open_pairing(RECORD, "key")
    store.start("toy", parent, "f1", "fold 1", 0, {}, {}).fail(
        "no memory", "Traceback ..."
    )
    (run,) = store.records()[0].runs
    assert (run.status, run.reason, run.predictions) == ("failed", "no memory", None)
    assert store.recorded("toy") == set()
    record_run(store, parent)
    assert [r.status for r in store.records()[0].runs] == ["ok"]


def test_a_kill_before_a_failure_is_removed_hides_no_success(store: "Store") -> None:
    parent = store.open_pairing(RECORD, "key")
    store.start("toy", parent, "f1", "fold 1", 0, {}, {}).fail("no memory")
    log = store.start("toy", parent, "f1", "fold 1", 0, {}, {})
    log.earlier = []  # what is left when the command is killed after the end of the run
    log.finish(PREDICTIONS, {}, {}, [])
    (record,) = store.records()
    assert [run.status for run in record.runs] == ["failed", "ok"]  # oldest first
    [row] = rows([record], {})
    assert row.folds == 1
    assert "no memory" not in row.reason
    record_run(store, parent)
    assert [run.status for run in store.records()[0].runs] == ["ok"]


def test_a_failed_repetition_loses_nothing_recorded(store: "Store") -> None:
    parent = store.open_pairing(RECORD, "key")
    record_run(store, parent)
    store.start("toy", parent, "f1", "fold 1", 0, {}, {}).fail("no memory")
    assert store.recorded("toy") == {"f1"}


def test_a_pairing_is_one_parent_whose_record_is_renewed(store: "Store") -> None:
    first = store.open_pairing(RECORD, "key", failed="no weights")
    assert store.records()[0].runs[0].reason == "no weights"
    assert store.open_pairing(replace(RECORD, folds_asked=5), "key") == first
    (found,) = store.records()
    assert (found.folds_asked, found.runs) == (5, ())
    store.open_pairing(replace(RECORD, backbone="other"), "other key")
    assert [r.backbone for r in store.records(["toy"])] == ["hubert:released", "other"]
    assert store.records(["else"]) == []


def test_a_server_serves_as_well(server: str, tmp_path: Path) -> None:
    store = open_store(server, tmp_path / "results")
    record_run(store, store.open_pairing(RECORD, "key"))
    (found,) = open_store(server, tmp_path / "elsewhere").records()
    assert found.runs[0].predictions
    assert found.runs[0].predictions().clips == PREDICTIONS.clips


def test_a_store_that_does_not_answer_is_a_sentence_soon(tmp_path: Path) -> None:
    from bench.runs.store import StoreError

    with pytest.raises(StoreError, match=r"http://127.0.0.1:9 does not answer"):
        open_store("http://127.0.0.1:9", tmp_path)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    with (
        DumbServer() as dumb,
        pytest.raises(StoreError, match=rf"{dumb.url} does not answer"),
    ):
        open_store(dumb.url, tmp_path)
    assert (
        1 <= dumb.requests <= 2
    )  # MLflow alone repeats a request 7 times, over minutes


def test_results_that_cannot_be_a_folder_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UsageError, match=r"file cannot be used: .*name another with --results"
    ):
        open_store(None, tmp_path / "file")


def test_the_pages_open_on_loopback(
    store: "Store", results: Path, tmp_path: Path
) -> None:
    record_run(store, store.open_pairing(RECORD, "key"))
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "bench",
        "ui",
        "--port",
        str(port),
        "--results",
        str(results),
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE
    )
    assert process.stderr
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/health", process)
        with urllib.request.urlopen(address, timeout=PATIENCE) as page:
            assert b"MLflow" in page.read()
        assert (
            process.stderr.readline().decode().strip()
            == f"{address}/#/experiments?workflowType=machine_learning"
        )
        scores = process.stderr.readline().decode()
        assert scores.startswith(f"toy: {address}/#/experiments/1/runs?")
        with urllib.request.urlopen(
            f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=toy",
            timeout=PATIENCE,
        ) as answer:
            assert json.load(answer)["experiment"]["name"] == "toy"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_two_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from bench.runs.store import Store; Store(None, Path({str(tmp_path)!r})).records()"  # noqa: E501 - a table, or code, of one line each
    both = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        assert process.wait(PATIENCE) == 0, (
            process.stderr and process.stderr.read().decode()
        )


def test_two_parents_that_were_made_at_one_moment_are_one_pairing(
    store: "Store",
) -> None:
    first = store.open_pairing(RECORD, "key")
    content = {
        t: v
        for t, v in store.client.get_run(first).data.tags.items()
        if t.startswith("ser.")
    }
    twin = store.client.create_run(
        store.runs.experiment("toy"), run_name="twin", tags=content
    ).info.run_id
    record_run(store, first, "f1", "fold 1")
    record_run(store, twin, "f2", "fold 2")
    (record,) = store.records()
    assert sorted(run.fold for run in record.runs) == ["fold 1", "fold 2"]
    assert store.open_pairing(RECORD, "key") == first


def test_two_parents_of_one_search_are_one_search(store: "Store") -> None:
    first = store.open_search("toy", "name", "key", "label")
    twin = store.client.create_run(
        store.runs.experiment("toy"),
        tags={"ser.kind": "search", "ser.key": "name", "ser.pairing": "key"},
    ).info.run_id
    kept = SearchRecord(
        "", "name", "toy", "byol-s", "probe", "speaker", "tiny", 3, False, "UA"
    )
    for search in (first, twin):
        store.keep_search(search, kept)
    assert store.searches() == [kept]
    assert store.search("toy", "key") is None  # not complete yet
    assert store.open_search("toy", "name", "key", "label") == first


def test_what_is_recorded_is_not_abandoned(store: "Store") -> None:
    parent = store.open_search("toy", "name", "key", "label")
    done, interrupted = (
        store.start("toy", parent, mark, "1", 0, {}, {}, kind="trial") for mark in "ab"
    )
    done.close({"UA": 0.5}, {"state": "complete"})
    for log in (done, interrupted):
        log.abandon()
    left = store.client.search_runs(
        [store.runs.experiment("toy")], "tags.`ser.kind` = 'trial'"
    )
    assert [run.data.tags["ser.fingerprint"] for run in left] == ["a"]


@pytest.mark.parametrize("name", ['a"b', "a#b", "a b", "a'b;c&d=e"])
def test_a_results_path_of_odd_characters_keeps_everything_inside(
    bench: Bench,
    manifest: Path,
    tmp_path: Path,
    new_store: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = tmp_path / name / "results"
    shutil.copytree(new_store, results)
    before = set(tmp_path.iterdir())
    common = ("-b", "mfcc-stats", "-t", manifest, "--folds", "1", "--set", "epochs=1")
    assert bench("run", *common, "--results", results) == 0
    assert bench("run", *common, "--results", results) == 0
    assert "0 recorded now, 1 recorded before" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["a?b", "a%20b"])
def test_a_results_path_that_no_database_can_have_is_refused(
    bench: Bench, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(tmp_path.iterdir())
    assert bench("table", "--results", tmp_path / name / "results") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot hold results, since its path has a" in said
    assert set(tmp_path.iterdir()) == before
