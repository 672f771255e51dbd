"""Exported runs are imported whole: into folders and servers, once, and after an interruption."""

import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.errors import BenchError, UsageError
from tests.helpers import open_store
from tests.servers import TrackingServer

QUICK: dict[str, Any] = {"set": {"epochs": 2}, "folds": 2, "quiet": True}
ADDED = "2 runs added, 0 there before"


@pytest.fixture
def archive(
    results: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two runs of one pairing with their networks, and a pairing that failed, as a file."""
    monkeypatch.chdir(tmp_path)
    bench.run("mfcc-stats", manifest, save_weights=True, **QUICK)
    path = tmp_path / "runs.zip"
    bench.export_runs(path)
    return path


def table(**options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bench.table(**options).text("json"))
    return found


def history(results: Path) -> list[Any]:
    """Parameters, curves and times of each run, in order."""
    store = open_store(None, results)
    found = []
    for record in store.records()[0].runs:
        run = store.client.get_run(record.id)
        metrics = []
        for name in sorted(run.data.metrics):
            for each in store.client.get_metric_history(record.id, name):
                metrics.append((name, each.value, each.timestamp, each.step))
        times = (run.info.start_time, run.info.end_time, run.info.status)
        corpora = [each.dataset for each in run.inputs.dataset_inputs]
        inputs = [(each.name, each.digest, each.profile) for each in corpora]
        found.append((times, run.data.params, metrics, inputs))
    return found


def test_another_folder_has_the_same_table_and_repeats_nothing(
    archive: Path, manifest: Path, tmp_path: Path, results: Path
) -> None:
    again = tmp_path / "again.zip"
    bench.export_runs(again, ["mfcc-stats"], task=manifest)
    assert again.read_bytes() == archive.read_bytes()
    other = tmp_path / "other"
    assert str(bench.import_runs(archive, results=other)) == ADDED
    assert table(results=other) == table()
    assert history(other) == history(results)
    said = bench.import_runs(archive, results=other)
    assert str(said) == "0 runs added, 2 there before"
    ran = bench.run("mfcc-stats", manifest, results=other, **QUICK)
    assert ran.summary == "0 recorded now, 2 recorded before"
    names = zipfile.ZipFile(archive).namelist()
    assert not any(name.endswith(".wav") for name in names)


def test_networks_travel_if_asked(
    archive: Path, manifest: Path, tmp_path: Path
) -> None:
    audio = next(manifest.parent.glob("*.wav"))
    name = "mfcc-stats@tones"
    other = tmp_path / "other"
    bench.import_runs(archive, results=other)
    with pytest.raises(UsageError, match="no network was saved"):
        bench.predict(name, audio, results=other)
    bench.export_runs(archive, with_weights=True)
    assert str(bench.import_runs(archive, results=other)) == ADDED
    there = bench.predict(name, audio, results=other).frame
    assert there.equals(bench.predict(name, audio).frame)
    assert len(open_store(None, other).records()[0].runs) == 2


@pytest.mark.slow
def test_a_server_takes_and_gives_runs(
    archive: Path, tmp_path: Path, results: Path
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    server = TrackingServer(folder, f"sqlite:///{folder}/mlflow.db")
    try:
        said = bench.import_runs(archive, tracking_uri=server.url)
        assert str(said) == ADDED
        assert table(tracking_uri=server.url) == table()
        back = tmp_path / "back.zip"
        bench.export_runs(back, tracking_uri=server.url)
    finally:
        server.kill()
    other = tmp_path / "other"
    bench.import_runs(back, results=other)
    assert table(results=other) == table()
    assert history(other) == history(results)


KILL = """
import os, sys
from bench.runs.mlflow_client import Client
import bench
made = 0
inner = Client.__getattr__
def counted(self, name):
    global made
    made += name == "create_run"
    if made == 3 and name == "set_terminated":  # of a pairing and its second run
        os.kill(os.getpid(), 9)
    return inner(self, name)
Client.__getattr__ = counted
bench.import_runs(sys.argv[1], results="other")
"""


def test_a_killed_import_leaves_nothing_half(archive: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILL, str(archive)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    check_repeated(archive, tmp_path / "other")


@pytest.mark.slow
def test_an_import_that_is_interrupted_leaves_nothing_half(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.runs.importing import _Target

    write, other = _Target._write, tmp_path / "other"
    names: set[str] = set()

    def interrupted(self: Any, name: str, *rest: Any) -> None:
        write(self, name, *rest)
        names.add(name)
        if len(names) == 3:  # the pairing, and the second of its runs
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_Target, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.import_runs(archive, results=other)
    check_repeated(archive, other)


def check_repeated(archive: Path, other: Path) -> None:
    """The first run is there and whole, the second is not; and a repetition adds it."""
    store = open_store(None, other)
    (pairing,) = store.records()
    (run,) = pairing.runs
    assert run.status == "ok"
    assert run.predictions is not None
    assert len(run.predictions().clips) > 0
    said = bench.import_runs(archive, results=other)
    assert str(said) == "1 runs added, 1 there before"
    assert table(results=other) == table()
    experiment = store.runs.experiment("tones")
    assert len(list(store.runs.search(experiment, ""))) == 3  # none is left behind


def test_a_failure_shadows_no_success(
    archive: Path, results: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    bench.import_runs(archive, results=other)
    store = open_store(None, results)
    (pairing,) = store.records()
    for run in pairing.runs:
        store.client.set_terminated(run.id, "FAILED")
    store.runs.tag(pairing.runs[0].pairing, {"updated": "9e9", "failed": "no memory"})
    failed = tmp_path / "failed.zip"
    bench.export_runs(failed)
    before = table(results=other)
    said = bench.import_runs(failed, results=other)
    assert str(said) == "0 runs added, 2 there before"
    assert table(results=other) == before
    third = tmp_path / "third"
    assert str(bench.import_runs(failed, results=third)) == ADDED
    bench.import_runs(archive, results=third)  # a success replaces its failure
    runs = open_store(None, third).records()[0].runs
    assert [run.status for run in runs if run.fingerprint] == ["ok", "ok"]


def rewritten(
    path: Path, change: Callable[[dict[str, bytes]], None], **how: Any
) -> None:
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w", **how) as target:
        for name, content in entries.items():
            target.writestr(name, content)


def replaced(old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        assert old in entries["index.json"]
        entries["index.json"] = entries["index.json"].replace(old, new)

    return change


def flipped(entries: dict[str, bytes]) -> None:
    name = next(name for name in entries if name.startswith("files/"))
    entries[name] = entries[name][:-1] + b"\x00\x00"


def with_more(entries: dict[str, bytes]) -> None:
    entries["../evil"] = b"x"


DAMAGES = {
    "flipped": flipped,
    "more": with_more,
    "up": replaced(b'"predictions.parquet"', b'"../../predictions.parquet"'),
    "absolute": replaced(b'"predictions.parquet"', b'"/tmp/predictions.parquet"'),
    "fingerprint": replaced(b'"ser.fingerprint": "', b'"ser.fingerprint": "../../'),
    "foreign": replaced(b'"ser-bench runs"', b'"others"'),
    "newer": replaced(b'"layout": 1', b'"layout": 99'),
    "artifact": replaced(
        b'"ser.record.labels": "', b'"ser.record.labels": "file:/etc/x'
    ),
    "kind": replaced(b'"status": "FINISHED"', b'"status": 7'),
}


def test_damaged_and_foreign_files_are_one_sentence(
    archive: Path, manifest: Path, tmp_path: Path
) -> None:
    whole = archive.read_bytes()
    other = tmp_path / "other"

    def refused() -> None:
        with pytest.raises(BenchError, match=str(archive)) as error:
            bench.import_runs(archive, results=other)
        assert "\n" not in str(error.value)
        assert not other.exists()

    for change in DAMAGES.values():
        archive.write_bytes(whole)
        rewritten(archive, change)
        refused()
    archive.write_bytes(whole)
    rewritten(archive, lambda _: None, compression=zipfile.ZIP_DEFLATED)
    refused()
    for content in (b"", b"noise", whole[: len(whole) // 2], manifest.read_bytes()):
        archive.write_bytes(content)
        refused()
    archive.unlink()
    refused()


def test_nothing_to_export_leaves_no_file(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    with pytest.raises(UsageError, match="nothing is recorded"):
        bench.export_runs("runs.zip")
    with pytest.raises(UsageError, match="name a file"):
        bench.export_runs("absent/runs.zip")
    assert set(tmp_path.iterdir()) == before


def test_a_private_task_travels_with_its_pseudonyms_alone(
    results: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest.with_suffix(".toml").write_text("private = true\n", encoding="utf-8")
    bench.run("mfcc-stats", manifest, **QUICK)
    bench.export_runs("runs.zip")
    content = Path("runs.zip").read_bytes()  # nothing in it is compressed
    key = next(tmp_path.rglob("privacy.key"), None)
    assert key is None or key.read_bytes() not in content
    clips = [path.stem for path in manifest.parent.glob("*.wav")]
    for name in (*clips, str(tmp_path), manifest.name):
        assert name.encode() not in content
