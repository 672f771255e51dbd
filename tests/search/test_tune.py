"""`bench tune`, from the command line to the tuned row: validation alone, resumed after a kill,
private.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.data.cache import Cache
from tests.conftest import Bench
from tests.helpers import open_store, wait_until

QUICK = ("--set", "epochs=3", "--results", "results")
FAST = ("-b", "mfcc-stats", "--trials", "5", *QUICK)


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """By recipe: "" for the default row."""
    found = json.loads(capsys.readouterr().out)
    return {row["recipe"]: row for row in found}


def trials(results: Path, task: str = "tones") -> list[Any]:
    """The trials as MLflow has them."""
    store = open_store(None, results)
    found = store.client.search_runs(
        [store.runs.experiment(task)], "tags.`ser.kind` = 'trial'", max_results=1000
    )
    return list(found)


def test_default_and_tuned_rows_stand_side_by_side(
    bench: Bench, manifest: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("tune", "-t", manifest, *FAST, "--format", "json") == 0
    found = rows(capsys)
    assert set(found) == {"", "tuned (5 trials)"}
    tuned, usual = found["tuned (5 trials)"], found[""]
    assert tuned["status"] == usual["status"] == "ok"
    assert tuned["folds"] == tuned["folds_expected"] == 5
    assert tuned["UA_gain"] == pytest.approx(tuned["UA"] - usual["UA"])
    assert tuned["UA_gain_low"] <= tuned["UA_gain"] <= tuned["UA_gain_high"]
    assert not set(tuned["fingerprints"]) & set(usual["fingerprints"])
    (note,) = [note for note in tuned["notes"] if note.startswith("tuned")]
    assert "best of 5 trials by validation UA on fold 1 for all folds" in note
    assert "learning_rate=" in note
    assert (
        "the search trained or validated on 67% of the clips tested here" in note
    )  # 24 of 36
    shared = [
        [other for other in row["notes"] if other != note and "interval" not in other]
        for row in (tuned, usual)
    ]
    assert shared[0] == shared[1]

    told = trials(results)
    assert sorted(int(run.data.tags["ser.trial"]) for run in told) == [0, 1, 2, 3, 4]
    assert len({run.data.tags["mlflow.parentRunId"] for run in told}) == 1
    assert {run.info.status for run in told} == {"FINISHED"}
    assert all(
        "best UA" in run.data.metrics and "valid UA" in run.data.metrics for run in told
    )
    assert len({run.data.params["learning_rate"] for run in told}) == 5
    plots = {path.name for path in (results / "tuning").rglob("*.png")}
    assert plots >= {"history.png", "slices.png", "parallel.png"}
    store = open_store(None, results)
    kept = {
        file.path
        for file in store.client.list_artifacts(
            told[0].data.tags["mlflow.parentRunId"], "plots"
        )
    }
    assert {f"plots/{name}" for name in plots} == kept

    assert (
        bench("run", "-b", "mfcc-stats", "-t", manifest, *QUICK, "--recipe", "tuned")
        == 0
    )
    out, err = capsys.readouterr()
    assert "0 recorded now, 5 recorded before" in err
    assert "mfcc-stats [epochs=3," in out
    assert "tuned (5" in out
    assert bench("tune", "-t", manifest, "--show", *QUICK) == 0
    shown = capsys.readouterr().out
    assert "5 of 5" in shown
    assert "never of test clips" in shown


def test_a_nested_search_reads_no_test_clip(
    bench: Bench,
    manifest: Path,
    results: Path,
    own_home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("tune", "-t", manifest, *FAST, "--nested", "--folds", "1")
    assert bench(*arguments, "--search-only") == 0
    assert "mfcc-stats" in capsys.readouterr().out
    (usage,) = [
        kind
        for kind in Cache(own_home / "cache").size()
        if kind.kind.startswith("features/")
    ]
    assert (
        usage.files == 24
    )  # of 36 clips: those of fold 1's two test speakers were never asked for
    assert bench(*arguments, "--format", "json") == 0
    tuned = rows(capsys)["tuned (5 trials)"]
    note = (
        "tuned: each fold by the best of 5 trials by validation UA "
        "on its own training and validation part"
    )
    assert note in tuned["notes"]
    assert len(trials(results)) == 5
    assert (
        bench("run", "-b", "mfcc-stats", "-t", manifest, *QUICK, "--recipe", "tuned")
        == 1
    )
    assert "its search covers the folds 1, not 2, 3, 4, 5" in capsys.readouterr().err


def test_each_fold_has_a_search_and_a_winner_of_its_own_in_probe_mode(
    bench: Bench, manifest: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = (
        "-b",
        "byol-s",
        "-t",
        manifest,
        "--mode",
        "probe",
        "--scale",
        "tiny",
        *QUICK,
        "--folds",
        "2",
    )
    assert bench("tune", *common, "--trials", "12", "--format", "json") == 0
    assert rows(capsys)["tuned (12 trials)"]["folds"] == 2
    told = trials(results)
    assert len(told) == 24
    (search,) = open_store(None, results).searches()
    assert [part.fold for part in search.parts] == ["1", "2"]
    for part in search.parts:
        mine = [run for run in told if run.data.tags["ser.fold"] == part.fold]
        assert part.best.score == pytest.approx(
            max(run.data.metrics["best UA"] for run in mine)
        )
        assert part.best.score >= part.default


def test_trials_that_train_side_by_side_score_as_ordinary_runs_do(
    bench: Bench, manifest: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual recipe is both trial 0 and the default row; epoch by epoch their validation is the
    same.
    """
    assert bench("tune", "-t", manifest, *FAST) == 0
    store = open_store(None, results)
    (zero,) = [run for run in trials(results) if run.data.tags["ser.trial"] == "0"]
    query = "tags.`ser.kind` = 'run' and tags.`ser.fold` = '1'"
    every = store.client.search_runs([store.runs.experiment("tones")], query)
    usual = min(every, key=lambda run: run.info.start_time)
    for name in ("valid UA", "valid loss"):
        histories = [
            [
                m.value
                for m in sorted(
                    store.client.get_metric_history(run.info.run_id, name),
                    key=lambda m: m.step,
                )
            ]
            for run in (zero, usual)
        ]
        assert len(histories[0]) == 3
        assert histories[0] == pytest.approx(histories[1], abs=1e-4)


@pytest.mark.parametrize(
    "backbone", ["mfcc-stats", "byol-s"]
)  # side by side; one by one
def test_a_search_over_several_folds_takes_their_mean(
    bench: Bench, manifest: Path, results: Path, backbone: str
) -> None:
    common = (
        "-b",
        backbone,
        "--scale",
        "tiny",
        "-t",
        manifest,
        "--trials",
        "2",
        *QUICK,
        "--set",
        "monitor=UA",
    )
    assert bench("tune", *common, "--search-folds", "2", "--search-only") == 0
    store = open_store(None, results)
    for run in trials(results):
        history = store.client.get_metric_history(run.info.run_id, "valid UA")
        scores = [m.value for m in sorted(history, key=lambda m: m.step)]
        assert len(scores) == 6  # 3 epochs of each fold
        assert run.data.metrics["best UA"] == pytest.approx(
            (max(scores[:3]) + max(scores[3:])) / 2
        )
    (search,) = store.searches()
    assert search.parts[0].folds == ("1", "2")
    assert "on folds 1, 2 for all folds" in search.notes[0]


def test_hopeless_trials_are_pruned_and_say_so(
    bench: Bench,
    manifest: Path,
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bench.toml").write_text(
        "[space]\nlearning_rate = [2e-3, 1e-9]\nbatch_size = [8]\n"
    )
    common = (
        "-b",
        "byol-s",
        "-t",
        manifest,
        "--scale",
        "tiny",
        "--set",
        "epochs=8",
        "--results",
        "results",
    )
    assert bench("tune", *common, "--trials", "12", "--search-only") == 0
    (search,) = open_store(None, results).searches()
    (part,) = search.parts
    assert part.complete + part.pruned == 12
    assert part.pruned > 0
    states = [run.data.tags["ser.state"] for run in trials(results)]
    assert states.count("pruned") == part.pruned
    assert f"{part.pruned} pruned" in capsys.readouterr().out
    assert not list((results / "checkpoints").glob("*"))


def test_a_diverging_trial_counts_and_harms_nobody(
    bench: Bench, manifest: Path, results: Path, tmp_path: Path
) -> None:
    (tmp_path / "bench.toml").write_text("[space]\nlearning_rate = [1e-2, 1e38]\n")
    assert bench("tune", "-t", manifest, *FAST, "--search-only") == 0
    (search,) = open_store(None, results).searches()
    (part,) = search.parts
    assert part.failed > 0
    assert part.complete + part.failed == 5
    assert part.best.values["learning_rate"] == 1e-2


def test_a_search_in_which_nothing_works_fails_with_a_sentence_and_the_others_go_on(
    bench: Bench, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bench.toml").write_text("[space.mfcc-stats]\nlearning_rate = [1e38]\n")
    backbones = ("-b", "mfcc-stats,byol-s", "--scale", "tiny")
    assert (
        bench(
            "tune",
            *backbones,
            "-t",
            manifest,
            "--trials",
            "2",
            *QUICK,
            "--format",
            "json",
        )
        == 1
    )
    out, err = capsys.readouterr()
    assert "no trial was completed: the loss is not finite" in err
    assert {(row["backbone"], row["recipe"]) for row in json.loads(out)} >= {
        ("mfcc-stats", ""),
        ("byol-s", ""),
        ("byol-s", "tuned (2 trials)"),
    }


def test_a_recipe_that_was_never_searched_is_a_failed_row(
    bench: Bench, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        bench(
            "run",
            "-b",
            "mfcc-stats",
            "-t",
            manifest,
            *QUICK,
            "--recipe",
            "tuned",
            "--format",
            "json",
        )
        == 1
    )
    row = rows(capsys)["tuned"]
    assert row["status"] == "failed"
    assert "`bench tune -b mfcc-stats -t tones`" in row["reason"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--trials", "0"), "trials"),
        (("--sampler", "tep"), "must be one of tpe, random"),
        (("--pruner", "medain"), "did you mean median?"),
        (("-b", "mfcc-stast"), "did you mean mfcc-stats?"),
        (("--storage", "nonsense://x"), "database of searches"),
        (("--storage", "nonsense"), "storage must be a URL"),
    ],
)
def test_a_wrong_command_is_a_sentence(
    bench: Bench,
    manifest: Path,
    arguments: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench("tune", "-b", "mfcc-stats", "-t", manifest, *QUICK, *arguments) in (
        1,
        2,
    )
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


KILLED = """
import os, time
import bench.search.optuna_study as studies
from bench.cli.app import main

studies.BEAT, studies.GRACE = 1, 2
report = studies.Trial.hopeless

def hold_the_last(trial, score, step):
    if "HOLD" in os.environ and trial.number == 7:
        time.sleep(3600)  # the search cannot end before it is killed
    return report(trial, score, step)

studies.Trial.hopeless = hold_the_last
main()
"""


def test_a_killed_search_goes_on_without_a_lost_or_a_double_trial(
    manifest: Path, results: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-c",
        KILLED,
        "tune",
        "-b",
        "byol-s",
        "-t",
        str(manifest),
        "--scale",
        "tiny",
    ]
    command += [
        "--trials",
        "8",
        "--pruner",
        "none",
        "--search-only",
        "--results",
        str(results),
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HOLD": "1"},
    )

    def finished() -> int:
        return sum(run.info.status == "FINISHED" for run in trials(results))

    def two_recorded() -> bool:
        return process.poll() is not None or finished() >= 2

    wait_until(two_recorded, "two recorded trials", pause=0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    before = [run for run in trials(results) if run.info.status == "FINISHED"]
    assert 2 <= len(before) < 8
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = trials(results)
    assert len(told) == 8
    assert {run.info.status for run in told} == {"FINISHED"}
    lost = {run.info.run_id for run in before} - {run.info.run_id for run in told}
    assert (
        len(lost) <= 1
    )  # one that was recorded, but not yet counted, is run again in its place
    assert len({tuple(sorted(run.data.params.items())) for run in told}) == 8
    assert "8 of 8" in done.stdout
