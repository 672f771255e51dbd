"""What the system refuses is one sentence, and stops no more than it must."""

import resource
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.cli import commands
from bench.data.cache import Cache
from bench.errors import BenchError, refused
from bench.memory import ran_out
from tests.helpers import open_store

Bench = Callable[..., int]
Said = pytest.CaptureFixture[str]


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A disk at a folder, with room for a file or two."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount the small disk of this test")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def no_folder(folder: Path) -> Iterator[None]:
    """A file where a folder should be."""
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(full_disk, "No space left on device"), (no_folder, "Not a directory")],
)
def test_artifacts_that_cannot_be_written_fail_their_runs_alone(
    bench: Bench,
    manifest: Path,
    results: Path,
    capsys: Said,
    fault: Callable[[Path], "contextmanager[None]"],
    reason: str,
) -> None:
    run = ("run", "-b", "mfcc-stats", "-t", manifest, "--set", "epochs=1")
    run = (*run, "--folds", "2", "--results", results)
    artifacts = results / "artifacts"
    with fault(artifacts):  # type: ignore[attr-defined]
        assert bench(*run) == 1
        said = capsys.readouterr().err
        assert "2 failed" in said
        assert said.count(": failed: the system refuses") == 2
        assert reason in said
        assert str(artifacts) in said
        assert "Traceback" not in said
    (pairing,) = open_store(None, results).records()
    assert all(reason in run.reason for run in pairing.runs)
    assert bench(*run) == 0
    assert "2 recorded now" in capsys.readouterr().err


def test_no_temporary_folder_fails_runs_with_a_sentence(
    bench: Bench,
    manifest: Path,
    results: Path,
    capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ("run", "-b", "mfcc-stats", "-t", manifest, "--set", "epochs=1")
    monkeypatch.setattr(tempfile, "tempdir", "/no/such")
    assert bench(*run, "--folds", "1", "--results", results) == 1
    said = capsys.readouterr().err
    assert "failed: the system refuses /no/such/" in said
    assert "Traceback" not in said


def test_a_failure_that_cannot_be_recorded_stops_nothing(results: Path) -> None:
    """A run that was deleted in MLflow's pages while it trained."""
    from bench.runs.records import PairingRecord
    from bench.runs.runner import record_failure

    store = open_store(None, results)
    record = PairingRecord("tones", "b", "finetune", "speaker", "tiny")
    parent = store.open_pairing(record, "key")
    log = store.start("tones", parent, "f" * 32, "1", 0, {}, {})
    store.client.delete_run(log.run)
    said: list[str] = []
    record_failure(log, "a reason", "a traceback", said.append)
    assert len(said) == 1
    assert said[0].startswith("this failure cannot be recorded: ")


def test_an_output_that_cannot_be_written_is_named() -> None:
    with pytest.raises(BenchError, match=r"/dev/full: No space left .*make room"):
        commands.write("text", Path("/dev/full"))


def test_a_deleted_working_folder_is_one_sentence(
    bench: Bench, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert bench("table") == 1
    said = capsys.readouterr().err
    assert "the folder in which the command was started" in said
    assert said.count("\n") == 1


def test_a_home_that_cannot_be_written_is_one_sentence(
    bench: Bench,
    manifest: Path,
    results: Path,
    capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SER_BENCH_HOME", "/proc/bench")
    run = ("run", "-b", "mfcc-stats", "-t", manifest, "--results", results, "--quiet")
    assert bench(*run) == 1
    said = capsys.readouterr().err
    assert "cannot write the cache at /proc/bench/cache" in said
    assert "SER_BENCH_HOME" in said
    assert "Traceback" not in said


def test_a_limit_on_the_size_of_files_is_named(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(
            BenchError, match=r"cannot write the cache .*File too large"
        ):
            Cache(tmp_path / "cache").put("f" * 32, "c" * 32, np.ones(1000, np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_mlflow_prints_nothing_before_our_sentence(
    bench: Bench, results: Path, capfd: Said
) -> None:
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        database.execute("DROP TABLE experiment_tags")
    assert bench("table", "--results", results) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "no such table: experiment_tags" in said


def test_what_the_system_refuses_names_no_file_of_a_private_task() -> None:
    error = FileNotFoundError(2, "No such file or directory", "/calls/anna.wav")
    assert "anna" in refused(error)
    assert "anna" not in refused(error, private=True)
    assert "No such file" in refused(error, private=True)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("libtorch.so: failed to map segment from shared object", True),
        ("[Errno 12] Cannot allocate memory", True),
        ("shapes cannot be multiplied", False),
    ],
)
def test_a_lack_of_memory_is_known_even_where_a_library_does_not_load(
    text: str, lacks: bool
) -> None:
    assert ran_out(ImportError(text)) == lacks
    assert ran_out(MemoryError())
