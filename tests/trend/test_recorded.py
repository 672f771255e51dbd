"""`bench trend` of recorded runs."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from bench.data.privacy import pseudonym
from bench.runs.records import PairingRecord
from bench.scoring.predictions import Predictions
from bench.trend import matching, source
from bench.trend.calls import read
from tests.helpers import open_store
from tests.trend.examples import Bench, printed, write

LABELS = ("negative", "non-negative")
FOLDS = {"fold 1": ("s1", "s2", "s3"), "fold 2": ("t1", "t2", "t3")}
OF_SEED = {  # seed -> probability of negative
    0: {"s1": 0.9, "s2": 0.2, "s3": 0.6, "t1": 0.1, "t2": 0.3, "t3": 0.5},
    1: {"s1": 0.7, "s2": 0.6, "s3": 0.6, "t1": 0.3, "t2": 0.3, "t3": 0.1},
}
NEGATIVE = {"s1", "s2", "s3", "t2"}
CALLS = [
    ["s", "s1", 0, "g"],
    ["s", "s2", 5, "g"],
    ["s", "s3", 9, "g"],
    ["t", "t1", 0, "h"],
    ["t", "t2", 1, "h"],
]
HEADER = "call,segment,start,group"


def record(
    results: Path, seeds: int = 2, task: str = "toy", labels: tuple[str, ...] = LABELS
) -> None:
    """A pairing of two folds as the harness leaves it; the task names no positive class."""
    store = open_store(None, results)
    folds = {"folds_asked": 2, "folds_expected": 2, "seeds": seeds}
    about = PairingRecord(
        task, "byol-s", "probe", "speaker", "full", labels=labels, **folds
    )
    parent = store.open_pairing(about, "key")
    for seed, (fold, clips) in itertools.product(range(seeds), FOLDS.items()):
        p = np.array(
            [
                [OF_SEED[seed][c], 1 - OF_SEED[seed][c], *[0.0] * (len(labels) - 2)]
                for c in clips
            ]
        )
        truth = np.array(
            [
                [c in NEGATIVE, c not in NEGATIVE, *[False] * (len(labels) - 2)]
                for c in clips
            ]
        )
        log = store.start(task, parent, f"{fold[-1]}{seed}abc", fold, seed, {}, {})
        log.finish(Predictions(labels, clips, clips, truth, p), {}, {}, [])


def test_a_recorded_pairing_is_pooled_over_folds_and_averaged_over_seeds(
    bench: Bench, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(results)
    calls = write(tmp_path / "calls.csv", HEADER, CALLS)
    found = printed(bench, capsys, "byol-s@toy", "--calls", calls, "--results", results)
    assert [[s["negative"] for s in c["segments"]] for c in found["calls"]] == [
        pytest.approx([0.8, 0.4, 0.6]),
        pytest.approx([0.2, 0.3]),
    ]
    notes = " ".join(found["notes"])
    assert (
        "NSS counts 50.0 % (2 of 4): g 66.7 % (2 of 3), h 0.0 % (0 of 1); "
        "of the others, 0.0 % (0 of 1)" in notes
    )
    assert (
        "recall of negative over all its test clips is 62.5 %" in notes
    )  # 2 of 4, and 3 of 4
    assert "1 test clip of the run in none of the calls" in notes
    assert "means over 2 seeds" in notes
    hidden = printed(
        bench, capsys, "byol-s@toy", "--calls", calls, "--results", results, "--private"
    )["calls"][1]
    assert (hidden["call"], hidden["group"]) == (pseudonym("t", "call"), "group 2")
    assert [s["segment"] for s in hidden["segments"]] == [
        pseudonym(clip, "clip") for clip in ("t1", "t2")
    ]
    other = printed(
        bench,
        capsys,
        "byol-s@toy",
        "--calls",
        calls,
        "--results",
        results,
        "--class",
        "non-negative",
    )
    assert other["calls"][0]["segments"][0]["non-negative"] == pytest.approx(0.2)


def test_segments_without_a_prediction(
    bench: Bench, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(results, seeds=1)
    calls = write(tmp_path / "calls.csv", HEADER, CALLS)
    alone = ["trend", "10abc", "--calls", calls, "--results", results]
    assert bench(*alone) == 1
    said = capsys.readouterr().err
    assert (
        "2 of 5 segments have no prediction in byol-s on toy, protocol speaker: "
        "row 5 (t1), row 6 (t2)" in said
    )
    assert "name the whole pairing" in said
    found = printed(bench, capsys, *alone[1:], "--skip-missing")
    assert [c["call"] for c in found["calls"]] == ["s"]
    assert (
        "fold fold 1, seed 0 alone, of 2 recorded runs of the pairing" in found["notes"]
    )
    write(calls, HEADER, [*CALLS, ["u", "s1", 0, "g"]])
    assert bench("trend", "byol-s@toy", "--calls", calls, "--results", results) == 1
    assert "row 7: the same segment as row 2" in capsys.readouterr().err
    write(calls, HEADER, [["u", "v", 0, "g"]])
    assert bench("trend", "byol-s@toy", "--calls", calls, "--results", results) == 1
    assert "no segment of the calls is a test clip" in capsys.readouterr().err


def test_a_run_must_be_binary_and_have_the_class(
    bench: Bench, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(results, seeds=1)
    record(results, seeds=1, task="three", labels=(*LABELS, "neutral"))
    arguments = [
        "--calls",
        write(tmp_path / "calls.csv", HEADER, CALLS),
        "--results",
        results,
    ]
    assert bench("trend", "byol-s@toy", *arguments, "--class", "negativ") == 2
    assert "no class negativ (did you mean negative?)" in capsys.readouterr().err
    assert bench("trend", "byol-s@three", *arguments) == 2
    assert "a trend needs a task of two classes" in capsys.readouterr().err


def test_a_segment_of_a_longer_recording_is_named_as_in_its_manifest(
    tmp_path: Path,
) -> None:
    clips = {"c/a.wav@0-2.5": 0.1, "c/a.wav@2.5-4": 0.9}
    run = source.Tested(
        "title", "negative", clips, dict.fromkeys(clips, True), 1.0, False, False, ()
    )
    by_times = write(
        tmp_path / "t.csv",
        "call,segment,start,end",
        [["a", "./c/a.wav", 0, 2.5], ["a", "c/a.wav", 2.50, 4]],
    )
    by_name = write(
        tmp_path / "n.csv",
        "call,segment,order",
        [["a", "c/a.wav@2.5-4", 2], ["a", "c/a.wav@0-2.5", 1]],
    )
    for path in (by_times, by_name):
        (call,) = matching.score(read(path), run).calls
        assert [segment.probability for segment in call.segments] == [0.1, 0.9]
