"""Forgotten runs leave the tables, are run again, and can be restored."""

import io
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.errors import BenchError, UsageError
from tests.conftest import Bench
from tests.helpers import open_store

TINY: dict[str, Any] = {"scale": "tiny", "set": {"epochs": 1}, "folds": 2}


def test_what_is_forgotten_is_run_again(
    bench: Bench,
    manifest: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = (
        "run",
        "-t",
        manifest,
        "--scale",
        "tiny",
        "--set",
        "epochs=1",
        "--folds",
        "2",
    )
    assert bench(*run, "-b", "mfcc-stats") == 0
    assert bench(*run, "-b", "mfcc-stats", "--mode", "probe") == 0
    capsys.readouterr()
    assert bench("forget", "mfcc-stats", "-t", manifest, "--mode", "probe") == 2
    said = capsys.readouterr()
    assert said.out == "mfcc-stats@tones, probe, speaker, tiny, epochs=1: 2 runs\n"
    assert "2 runs of 1 pairings: add --yes" in said.err
    with monkeypatch.context() as patch:
        answers = io.StringIO("n\n")
        answers.isatty = lambda: True  # type: ignore[method-assign]
        patch.setattr("sys.stdin", answers)
        assert bench("forget", "mfcc-stats", "-t", manifest, "--mode", "probe") == 1
        assert "Remove 2 runs of 1 pairings? [y/N]" in capsys.readouterr().err
    assert (
        bench("forget", "mfcc-stats", "-t", manifest, "--mode", "probe", "--yes") == 0
    )
    assert "removed 2 runs" in capsys.readouterr().err
    store = open_store(None, results)
    (left,) = store.records()
    assert (left.mode, len(left.runs)) == ("finetune", 2)
    assert bench(*run, "-b", "mfcc-stats", "--mode", "probe") == 0
    assert "2 recorded now, 0 recorded before" in capsys.readouterr().err
    assert bench(*run, "-b", "mfcc-stats") == 0
    assert "0 recorded now, 2 recorded before" in capsys.readouterr().err


def test_one_run_is_forgotten_and_restored(
    results: Path, tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.runs.run_locks import run_lock

    monkeypatch.chdir(tmp_path)
    bench.run("mfcc-stats", manifest, **TINY)
    store = open_store(None, results)
    first, second = store.records()[0].runs
    assert bench.forget(first.fingerprint[:12], dry_run=True).runs == 1
    lock = run_lock(results, first.fingerprint, timeout=0)
    with lock, pytest.raises(BenchError, match="under way"):
        bench.forget("mfcc-stats")
    assert len(store.records()[0].runs) == 2
    assert bench.forget(first.id).frame["runs"].tolist() == [1]
    assert [run.id for run in store.records()[0].runs] == [second.id]
    assert bench.forget(second.fingerprint).runs == 1
    assert store.records() == []  # nor does an empty pairing stay
    with pytest.raises(
        UsageError, match="nothing that is recorded is called mfcc-stats"
    ):
        bench.forget("mfcc-stats")
    for run in (first.pairing, first.id, second.id):
        store.client.restore_run(run)
    assert (
        bench.run("mfcc-stats", manifest, **TINY).summary
        == "0 recorded now, 2 recorded before"
    )


def test_the_start_of_several_fingerprints_removes_nothing(
    results: Path, tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.runs.forgetting import Removal, removals
    from bench.runs.lookup import Where

    monkeypatch.chdir(tmp_path)
    bench.run(
        "mfcc-stats", manifest, **{**TINY, "seeds": 17, "folds": 1}
    )  # two begin alike
    store = open_store(None, results)
    firsts = [run.fingerprint[0] for run in store.records()[0].runs]
    twice = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(UsageError, match=f"{twice} means .* runs: name each by more"):
        removals(store, [twice], Where())
    with pytest.raises(UsageError, match="did you mean mfcc-stats"):
        removals(store, ["mfcc-stast"], Where())
    (whole,) = removals(store, ["mfcc-stats", store.records()[0].runs[0].id], Where())
    assert isinstance(whole, Removal)
    assert len(whole.runs) == 17
