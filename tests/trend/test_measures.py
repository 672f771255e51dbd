"""The measures of the hand-worked example."""

import math
from pathlib import Path

import numpy as np
import pytest

from bench.trend.analysis import FULL
from bench.trend.measures import ecr, nss
from tests.trend.examples import ECR, NSS, Bench, printed


def test_measures_of_a_call_worked_out_by_hand() -> None:
    call = [0.9, 0.4, 0.6, 0.5]
    assert nss(call) == 3  # all but 0.4: from 0.5 on
    assert ecr(call) == pytest.approx((0.5 + 0.2 + 0.1) / 3, abs=1e-15)
    assert ecr(call, binarised=True) == pytest.approx(
        2 / 3, abs=1e-15
    )  # 1 0 1 1 changes twice in three steps


def test_measures_at_their_ends() -> None:
    assert (nss([]), ecr([]), ecr([0.7])) == (0, None, None)
    assert ecr([0.0, 1.0, 0.0]) == 1.0
    assert ecr([0.6, 0.9]) == pytest.approx(0.3)
    assert ecr([0.6, 0.9], binarised=True) == 0.0
    with pytest.raises(ValueError, match="not a number within"):
        nss([0.5, math.nan])


def test_the_hand_worked_example(
    bench: Bench, example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(bench, capsys, "--probabilities", example)
    for stage in NSS:
        for group in ("risk", "other"):
            calls = [c for c in found["calls"] if c["group"] == group]
            measured = [
                next(s for s in c["stages"] if s["stage"] == stage) for c in calls
            ]
            assert [m["nss"] for m in measured] == NSS[stage][group]
            assert [m["ecr"] for m in measured] == [
                e if e is None else pytest.approx(e) for e in ECR[stage][group]
            ]
            mean = {
                s["measure"]: s
                for s in found["groups"]
                if (s["group"], s["stage"]) == (group, stage)
            }
            assert mean["NSS"]["mean"] == pytest.approx(np.mean(NSS[stage][group]))
            known = [e for e in ECR[stage][group] if e is not None]
            assert mean["ECR"]["mean"] == pytest.approx(np.mean(known))
            assert (mean["NSS"]["calls"], mean["ECR"]["calls"]) == (3, len(known))
    (whole,) = [
        c for c in found["comparisons"] if (c["stage"], c["measure"]) == (FULL, "NSS")
    ]
    # 3 2 1 against 0 1 0: means 2 and 1/3, variances 1 and 1/3, so se^2 = 4/9
    assert whole["difference"] == pytest.approx(5 / 3)
    assert whole["t"] == pytest.approx((5 / 3) / (2 / 3))
    assert whole["df"] == pytest.approx(
        (4 / 9) ** 2 / ((1 / 3) ** 2 / 2 + (1 / 9) ** 2 / 2)
    )
    assert whole["u"] == 8.5  # of nine pairs only 1 against 1 is a tie
    assert whole["delta"] == pytest.approx(8 / 9)
    assert whole["p_permutation"] == pytest.approx(
        4 / 20
    )  # 123|001 and 1 other way, each with its mirror image
    assert whole["g"] == pytest.approx(
        math.gamma(2) / (math.sqrt(2) * math.gamma(1.5)) * (5 / 3) / math.sqrt(2 / 3)
    )
    assert [c["scale"] for c in found["calls"]] == [3, 5, 1, 2, 4, 0]


def test_one_segment_has_no_ecr_and_is_not_dropped_silently(
    bench: Bench, example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = printed(bench, capsys, "--probabilities", example)["notes"]
    assert "full: 1 call with fewer than two segments, which only NSS includes" in notes
    assert (
        "first 30 min: 3 calls with fewer than two segments, which only NSS includes"
        in notes
    )
    assert any(
        "1 comparison left out" in note for note in notes
    )  # ECR of a single call of risk at first


def test_the_script_binarises(
    bench: Bench, example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(bench, capsys, "--probabilities", example, "--ecr", "binarised")
    assert [s["ecr"] for s in found["calls"][0]["stages"]] == [
        1.0,
        pytest.approx(2 / 3),
    ]


def test_a_stage_holds_what_begins_in_it(
    bench: Bench, example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(bench, capsys, "--probabilities", example, "--first", "10")
    assert [s["segments"] for s in found["calls"][0]["stages"]] == [
        1,
        4,
    ]  # the one at 10 min is past the first ten
    assert found["calls"][0]["stages"][0]["stage"] == "first 10 min"
