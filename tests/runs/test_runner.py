"""From the command line to the table: plan, run, record, resume, fail, interrupt. Real audio, real
store.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bench
from tests.helpers import PATIENCE, open_store

QUICK = ("--set", "epochs=4", "--results", "results")


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return list(json.loads(capsys.readouterr().out))


def test_from_a_manifest_to_a_table(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str], results: Path
) -> None:
    assert (
        bench("run", "-b", "mfcc-stats", "-t", manifest, *QUICK, "--format", "json")
        == 0
    )
    (row,) = rows(capsys)
    assert row["backbone"] == "mfcc-stats"
    assert row["status"] == "ok"
    assert row["clips"] == 36
    assert row["folds"] == row["folds_expected"]
    assert row["UA"] > 0.8
    assert row["UA_low"] <= row["UA"] <= row["UA_high"]
    assert row["parameters"] > 0
    assert row["source"] == "measured"
    assert not list((results / "checkpoints").glob("*"))


def test_what_is_recorded_is_not_run_again_and_the_rest_is(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("run", "-b", "mfcc-stats", "-t", manifest, *QUICK)
    assert bench(*common, "--folds", "1", "--format", "json") == 0
    (row,) = rows(capsys)
    assert (row["status"], row["folds"]) == ("partial", 1)
    assert bench(*common, "--dry-run") == 0
    assert "mfcc-stats" in capsys.readouterr().out
    assert bench(*common) == 0
    assert "4 recorded now, 1 recorded before" in capsys.readouterr().err
    assert bench(*common) == 0
    assert "0 recorded now, 5 recorded before" in capsys.readouterr().err
    assert bench(*common, "--seeds", "2") == 0
    assert "5 recorded now, 5 recorded before" in capsys.readouterr().err
    assert bench(*common, "--set", "epochs=5") == 0
    assert "5 recorded now" in capsys.readouterr().err
    assert (
        bench("table", "-t", manifest, "--results", "results", "--format", "json") == 0
    )
    found = rows(capsys)
    assert [r["seeds"] for r in found if r["status"] == "ok"] == [2, 1] or len(
        found
    ) == 2


def test_the_same_run_gives_the_same_bits(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = (
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        manifest,
        *QUICK,
        "--folds",
        "1",
        "--format",
        "json",
    )
    assert bench(*common) == 0
    first = rows(capsys)
    assert bench(*common, "--fresh") == 0
    again = rows(capsys)
    timing = ("train_seconds", "peak_memory_mb")
    assert [{k: v for k, v in r.items() if k not in timing} for r in first] == [
        {k: v for k, v in r.items() if k not in timing} for r in again
    ]


def test_a_failed_pairing_does_not_stop_the_others(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "run",
        "-b",
        "byol-s,mfcc-stats",
        "-t",
        manifest,
        *QUICK,
        "--mode",
        "probe",
        "--folds",
        "1",
    )
    broken = manifest.parent / "broken.pth"
    broken.write_bytes(b"not weights")
    assert bench(*arguments, "--weights", f"byol-s={broken}", "--format", "json") == 1
    found = {r["backbone"].split()[0]: r for r in rows(capsys)}
    assert found["byol-s"]["status"] == "failed"
    assert found["byol-s"]["reason"]
    assert found["mfcc-stats"]["UA"] is not None


def test_a_pairing_that_failed_before_leaves_no_row_of_its_own(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here with an option at its default, by which its rows were told apart."""
    arguments = ("run", "-b", "mfcc-stats", "-t", manifest, *QUICK, "--folds", "1")
    arguments += ("--set", "weight_decay=0.03")
    broken = manifest.parent / "low_a_0.wav"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    assert bench(*arguments) == 1
    broken.write_bytes(whole)
    capsys.readouterr()
    assert bench(*arguments, "--format", "json") == 0
    assert [row["status"] for row in rows(capsys)] == ["partial"]


def test_a_run_that_breaks_is_recorded_with_its_reason(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("run", "-b", "mfcc-stats", "-t", manifest, *QUICK, "--folds", "1")
    assert (
        bench(
            *arguments,
            "--set",
            "learning_rate=3e37",
            "--set",
            "clip_norm=0",
            "--format",
            "json",
        )
        == 1
    )
    (row,) = rows(capsys)
    assert row["status"] == "failed"
    assert "not finite" in row["reason"]


def test_bad_audio_is_one_error_before_any_training(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest.parent / "low_a_0.wav").write_bytes(b"")
    (manifest.parent / "low_b_0.wav").unlink()
    arguments = ("run", "-b", "mfcc-stats", "-t", manifest, *QUICK)
    assert bench(*arguments) == 1
    told = capsys.readouterr()
    assert "2 of 36 clips cannot be used" in told.err
    assert "low_a_0.wav" in told.err
    assert "low_b_0.wav" in told.err
    assert "--skip-bad-audio" in told.err
    assert bench(*arguments, "--skip-bad-audio") == 0
    assert "2 unreadable clips" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-b", "mfcc-stast"), "did you mean mfcc-stats"),
        (("-b", "mfcc-stats", "--protocol", "speker"), "did you mean speaker"),
        (("-b", "mfcc-stats", "--set", "epoch=3"), "did you mean epochs"),
        (("-b", "mfcc-stats", "--set", "byol.epochs=3"), "did you mean byol-s"),
        (("-b", "mfcc-stats", "--set", "epochs=none"), "epochs must be a whole number"),
        (("-b", "mfcc-stats", "--data", "emodbb=."), "did you mean emodb"),
        (("-b", "mfcc-stats", "--device", "cuda:77"), "no device cuda:77"),
        (("-b", "mfcc-stats", "--device", "gpu"), "there is no device called gpu"),
        (("-b", "mfcc-stats", "--format", "xml"), "xml"),
        (("--backbome", "hubert"), "--backbone"),
    ],
)
def test_a_wrong_command_is_a_sentence_and_exit_code_2(
    bench: Bench,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    assert bench("run", "-t", manifest, *arguments) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told


def test_a_protocol_that_only_some_tasks_offer_skips_the_others(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        f"{manifest},emodb",
        *QUICK,
        "--protocol",
        "random",
    )
    assert bench(*arguments, "--format", "json") == 0
    found = {row["task"]: row for row in rows(capsys) if row["source"] == "measured"}
    assert found["tones"]["status"] == "ok"
    assert found["emodb"]["status"] == "skipped"
    assert "has no protocol random" in found["emodb"]["reason"]


def test_a_table_of_nothing_says_so(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("table", "--results", "results") == 2
    assert "nothing is recorded" in capsys.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_command_is_finished_by_the_next(
    manifest: Path, results: Path, tmp_path: Path, how: signal.Signals
) -> None:
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        str(manifest),
        "--set",
        "epochs=120",
    ]
    command += ["--set", "patience=0", "--results", str(results)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in (
        process.stderr
    ):  # as soon as the first run is recorded, while the second is under way
        if "seed 0: UA" in line:
            break
    time.sleep(0.3)
    process.send_signal(how)
    rest = process.stderr.read()
    assert process.wait(PATIENCE) == (
        130 if how is signal.SIGINT else -signal.SIGKILL
    ), rest
    assert ("the same command continues from there" in rest) == (how is signal.SIGINT)
    before = open_store(None, results).recorded("tones")
    assert 1 <= len(before) < 5
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (
        f"{5 - len(before)} recorded now, {len(before)} recorded before" in done.stderr
    )
    (record,) = open_store(None, results).records()
    assert [r.status for r in record.runs] == ["ok"] * 5


def test_two_commands_at_once_share_the_work(
    manifest: Path, results: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        str(manifest),
        "--seeds",
        "3",
    ]
    command += [*QUICK[:2], "--results", str(results)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in "ab"
    ]
    told = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    (record,) = open_store(None, results).records()
    assert sorted((r.fold, r.seed) for r in record.runs) == sorted(
        {(r.fold, r.seed) for r in record.runs}
    )
    assert len(record.runs) == 15
