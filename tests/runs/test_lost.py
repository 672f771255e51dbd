"""What is lost, damaged or foreign in a store: one failed row with its reason, and run again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bench
from tests.helpers import open_store
from tests.runs.test_store import PREDICTIONS, RECORD, record_run

Table = Callable[[], tuple[int, list[dict[str, Any]]]]

DAMAGES: dict[str, Callable[[Path], None]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "noise inside": lambda path: path.write_bytes(
        b"PAR1" + bytes(range(256)) + b"PAR1"
    ),
    "folder": lambda path: (path.unlink(), path.mkdir())[0],
}


@pytest.fixture
def table(bench: Bench, capsys: pytest.CaptureFixture[str]) -> Table:
    """The exit code of `bench table`, and its rows."""

    def call() -> tuple[int, list[dict[str, Any]]]:
        capsys.readouterr()
        code = bench("table", "--format", "json")
        return code, json.loads(capsys.readouterr().out)

    return call


def test_runs_that_cannot_be_read_are_failed_ones(table: Table, results: Path) -> None:
    store = open_store(None, results)
    parent = store.open_pairing(replace(RECORD, folds_expected=2), "key")
    record_run(store, parent, "whole", "whole")
    for damage, do in DAMAGES.items():
        record_run(store, parent, damage, "broken")
        broken = store.open_pairing(replace(RECORD, backbone=damage), damage)
        record_run(store, broken, f"only {damage}", "fold 1")
        for record in store.records():
            for run in record.runs:
                if run.fingerprint.endswith(damage):
                    path = (
                        results
                        / "artifacts"
                        / run.id
                        / "artifacts"
                        / "predictions.parquet"
                    )
                    do(path)
    code, rows = table()
    assert code == 1
    by_name = {row["backbone"]: row for row in rows}
    partial = by_name.pop(RECORD.backbone)
    assert (partial["status"], partial["folds"]) == ("partial", 1)
    assert "1 of 2 runs failed: its predictions cannot be read" in partial["reason"]
    assert set(by_name) == set(DAMAGES)
    for row in by_name.values():
        assert row["status"] == "failed"
        assert "its predictions cannot be read: " in row["reason"]
    assert store.recorded("toy") == {"whole"}
    assert store.recorded("toy", among=set(DAMAGES)) == set()
    assert [store.has("toy", each) for each in ("whole", *DAMAGES)] == [True] + [
        False
    ] * 6


def test_what_is_lost_is_run_again_by_the_same_command(
    bench: Bench,
    table: Table,
    manifest: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = (
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        manifest,
        "--set",
        "epochs=2",
        "--folds",
        "2",
    )
    assert bench(*command) == 0
    whole = table()
    kept = (results / "artifacts").rglob("predictions.parquet")
    first, second = sorted(path.parents[1] for path in kept)
    shutil.rmtree(first)
    (second / "artifacts" / "predictions.parquet").write_bytes(b"")
    assert table()[0] == 1
    capsys.readouterr()
    assert bench(*command) == 0
    assert "2 recorded now, 0 recorded before" in capsys.readouterr().err
    again = table()
    assert again[0] == 0
    assert [row["UA"] for row in again[1]] == [row["UA"] for row in whole[1]]
    assert bench(*command) == 0
    assert "0 recorded now, 2 recorded before" in capsys.readouterr().err


def test_a_network_that_is_lost_is_not_recorded(results: Path) -> None:
    store = open_store(None, results)
    log = store.start(
        "toy", store.open_pairing(RECORD, "key"), "f1", "fold 1", 0, {}, {}
    )
    log.finish(
        PREDICTIONS, {}, {}, [], lambda folder: (folder / "network.json").touch()
    )
    assert store.recorded("toy", network=True) == {"f1"}
    (
        results / "artifacts" / log.run / "artifacts" / "network" / "network.json"
    ).unlink()
    assert store.recorded("toy", network=True) == set()
    assert not store.has("toy", "f1", network=True)
    assert store.recorded("toy") == {"f1"}


def test_nothing_that_is_written_is_cut(results: Path) -> None:
    store = open_store(None, results)
    long = replace(
        RECORD,
        labels=tuple(f"a class with a long name, {n}" for n in range(600)),
        notes=("ä" * 9000,),
        settings={"layers": "1," * 5000},
    )
    parent = store.open_pairing(long, "key")
    log = store.start("toy", parent, "f1", "fold 1", 0, {"layers": "1," * 5000}, {})
    log.finish(PREDICTIONS, {}, {}, ["a note " * 2000])
    (record,) = store.records()
    assert replace(record, runs=()) == long
    assert record.runs[0].notes == ("a note " * 2000,)
    for run in store.client.search_runs([store.runs.experiment("toy")]):
        assert max(map(len, run.data.tags.values())) <= 4000
    child = store.client.get_run(log.run)
    assert child.data.params["layers"].endswith("…")
    path = results / "artifacts" / log.run / "artifacts" / "parameters.json"
    assert json.loads(path.read_text())["layers"] == "1," * 5000
    store.open_pairing(RECORD, "key")
    assert replace(store.records()[0], runs=()) == RECORD


def test_a_record_that_cannot_be_read_is_one_failed_row(
    bench: Bench, table: Table, results: Path
) -> None:
    store = open_store(None, results)
    record_run(store, store.open_pairing(RECORD, "key"))
    for number, (name, text) in enumerate(
        {"labels": '["a", "b', "settings": "3", "notes": "file:gone.json"}.items()
    ):
        other = replace(RECORD, backbone=f"other{number}")
        parent = store.open_pairing(other, f"key {number}")
        store.runs.tag(parent, {f"record.{name}": text})
    code, rows = table()
    assert code == 1
    assert [row["status"] for row in rows] == ["partial", "failed", "failed", "failed"]
    for row, name in zip(rows[1:], ("labels", "settings", "notes"), strict=True):
        assert f"the tag ser.record.{name} is damaged" in row["reason"]
    store.open_pairing(
        replace(RECORD, backbone="other0"), "key 0"
    )  # what `bench run` does
    assert sum("damaged" in row["reason"] for row in table()[1]) == 2


def test_foreign_runs_with_half_our_tags_break_nothing(
    table: Table, results: Path
) -> None:
    store = open_store(None, results)
    parent = store.open_pairing(RECORD, "key")
    record_run(store, parent)
    experiment = store.runs.experiment("toy")
    make = store.client.create_run
    foreign = make(experiment, tags={"ser.kind": "pairing", "ser.updated": "yesterday"})
    for tags in (
        {"ser.kind": "run"},
        {"ser.kind": "run", "ser.fingerprint": "f2"},
        {"ser.kind": "run", "mlflow.parentRunId": parent},
        {"ser.kind": "run", "mlflow.parentRunId": parent, "ser.fingerprint": "f1"},
        {"ser.kind": "search", "ser.key": "name", "ser.complete": "soon"},
    ):
        store.client.set_terminated(make(experiment, tags=tags).info.run_id)
    code, rows = table()
    assert code == 1
    theirs, ours = sorted(rows, key=lambda row: str(row["status"]))
    assert ours["folds"] == 1
    assert theirs["status"] == "failed"
    assert foreign.info.run_id in theirs["reason"]
    assert "it has no tag ser.record.task" in theirs["reason"]
    assert store.recorded("toy") == {"f1"}
    assert store.searches() == []
    assert store.search("toy", "key") is None


def test_a_search_that_cannot_be_read_does_not_count(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(None, results)
    search = store.open_search("toy", "name", "key", "label")
    store.runs.tag(search, {"complete": "1.0"})
    for text in ("", "[]", '{"study": 3}', "{"):
        store.client.log_text(search, text, "search.json")
        assert store.searches() == []
        assert store.search("toy", "key") is None
    assert f"the search {search} cannot be read" in capsys.readouterr().err


def test_an_experiment_that_was_deleted_in_mlflow_is_restored(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(None, results)
    record_run(store, store.open_pairing(RECORD, "key"))
    store.client.delete_experiment(store.runs.experiment("toy"))
    again = open_store(None, results)
    assert again.records() == []
    record_run(again, again.open_pairing(RECORD, "key"), "f2", "fold 2")
    assert (
        "the experiment toy had been deleted in MLflow: it is restored"
        in capsys.readouterr().err
    )
    assert again.recorded("toy") == {"f1", "f2"}
    assert [run.fold for run in again.records()[0].runs] == ["fold 1", "fold 2"]


def test_the_command_after_a_deletion_goes_on(
    bench: Bench, manifest: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        manifest,
        "--set",
        "epochs=2",
        "--folds",
        "1",
    )
    assert bench(*command) == 0
    store = open_store(None, results)
    store.client.delete_experiment(store.runs.experiment("tones"))
    capsys.readouterr()
    assert bench(*command) == 0
    told = capsys.readouterr().err
    assert "the experiment tones had been deleted in MLflow: it is restored" in told
    assert "0 recorded now, 1 recorded before" in told


def test_an_experiment_that_was_renamed_in_mlflow_keeps_its_task(results: Path) -> None:
    store = open_store(None, results)
    record_run(store, store.open_pairing(RECORD, "key"))
    store.client.rename_experiment(store.runs.experiment("toy"), "else")
    again = open_store(None, results)
    assert again.recorded("toy") == {"f1"}
    assert [record.task for record in again.records(["toy"])] == ["toy"]
    assert again.records(["else"]) == []
    other = replace(RECORD, task="else")  # a task whose name that experiment has now
    again.open_pairing(other, "other")
    assert [record.task for record in open_store(None, results).records(["else"])] == [
        "else"
    ]
    assert again.recorded("else") == set()


def test_an_experiment_of_an_older_version_gets_its_task(results: Path) -> None:
    store = open_store(None, results)
    number = store.client.create_experiment("toy", store.artifacts)
    assert store.runs.experiment("toy") == number
    store.client.rename_experiment(number, "renamed")
    assert open_store(None, results).runs.experiment("toy") == number


def test_runs_that_were_deleted_or_restored_in_mlflow(
    table: Table, results: Path
) -> None:
    store = open_store(None, results)
    parent = store.open_pairing(RECORD, "key")
    record_run(store, parent, "f1", "fold 1")
    record_run(store, parent, "f2", "fold 2")
    before = table()
    [first] = [run.id for run in store.records()[0].runs if run.fold == "fold 1"]
    store.client.delete_run(first)
    assert store.recorded("toy") == {"f2"}
    record_run(store, parent, "f1", "fold 1")
    store.client.restore_run(first)
    assert table()[1][0]["UA"] == before[1][0]["UA"]
    store.client.update_run(parent, name="a name of somebody's")
    store.client.delete_run(parent)  # its runs are in no table any more
    again = open_store(None, results)
    assert again.recorded("toy") == set()
    assert not again.has("toy", "f1")
    record_run(again, again.open_pairing(RECORD, "key"), "f1", "fold 1")
    assert again.recorded("toy") == {"f1"}
    assert [run.fold for run in again.records()[0].runs] == ["fold 1"]
    again.client.restore_run(parent)  # of two parents of one pairing, both count
    assert [run.fold for run in again.records()[0].runs] == ["fold 2", "fold 1"]
