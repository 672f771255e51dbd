"""Trends: a hand-worked example, statistics against what they are defined by, and `bench trend`
from end to end.
"""

import csv
import io
import itertools
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli import app
from bench.data.privacy import pseudonym
from bench.errors import CorpusError
from bench.runs.records import PairingRecord
from bench.scoring.predictions import Predictions
from bench.trend import matching, source
from bench.trend.analysis import ALL, FULL, analyse
from bench.trend.calls import read
from bench.trend.groups import (
    compare,
    hedges_g,
    hedges_interval,
    holm,
    interval,
    permutation_p,
    spearman,
)
from bench.trend.measures import ecr, nss
from tests.helpers import open_store, write_tones

Bench = Callable[..., int]

# The hand-worked example: call -> group, scale, and per segment its start (min) and probability.
EXAMPLE: dict[str, tuple[str, int, list[tuple[float, float]]]] = {
    "a1": ("risk", 3, [(0, 0.9), (10, 0.4), (29.9, 0.6), (30, 0.5)]),
    "a2": ("risk", 5, [(0, 0.8), (31, 0.6)]),
    "a3": ("risk", 1, [(5, 0.7)]),
    "b1": ("other", 2, [(0, 0.1), (1, 0.3), (2, 0.2)]),
    "b2": ("other", 4, [(0, 0.5), (1, 0.0), (2, 0.1)]),
    "b3": ("other", 0, [(0, 0.2), (40, 0.4)]),
}
NSS = {
    FULL: {"risk": [3, 2, 1], "other": [0, 1, 0]},
    "first 30 min": {"risk": [2, 1, 1], "other": [0, 1, 0]},
}
# 0.8 / 3 is |.4 - .9| + |.6 - .4| + |.5 - .6| over three steps; a3 has one segment
ECR: dict[str, dict[str, list[float | None]]] = {
    FULL: {"risk": [0.8 / 3, 0.2, None], "other": [0.15, 0.3, 0.2]},
    "first 30 min": {"risk": [0.35, None, None], "other": [0.15, 0.3, None]},
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """`bench ARGUMENTS`, in this process and the test's folder; its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            app.main()
        return int(done.value.code or 0)

    return call


def write(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def example_rows() -> Iterator[tuple[object, ...]]:
    for call, (group, scale, segments) in EXAMPLE.items():
        for number, (minute, p) in enumerate(segments):
            yield (
                call,
                f"{call}-{number}",
                60 * minute,
                60 * minute + 5,
                group,
                scale,
                p,
            )


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return write(
        tmp_path / "example.csv",
        "call,segment,start,end,group,scale,negative",
        list(example_rows()),
    )


def printed(
    bench: Bench, capsys: pytest.CaptureFixture[str], *arguments: object
) -> Any:
    assert bench("trend", *arguments, "--format", "json") == 0
    return json.loads(capsys.readouterr().out)


# --- measures ---


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


# --- statistics ---


A, B = np.array([1.0, 2, 3]), np.array([2.0, 4, 6])


def test_comparison_worked_out_by_hand() -> None:
    found = compare(A, B)
    assert found.difference == -2
    assert found.t == pytest.approx(-2 / math.sqrt(5 / 3))
    assert found.df == pytest.approx(
        (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    )
    assert found.u == 1.5  # 3 > 2, and 2 = 2 by half
    assert found.delta == pytest.approx(-2 / 3)
    assert found.g == pytest.approx(
        -2 / math.sqrt(2.5) / (math.sqrt(2) * math.gamma(1.5))
    )
    assert hedges_interval(0.0, 50, 50) == pytest.approx((-1.959964 / 5, 1.959964 / 5))


def test_tests_agree_with_scipy_and_with_enumeration() -> None:
    from scipy import stats

    random = np.random.default_rng(5)
    for n, m in ((5, 4), (12, 9)):
        a, b = random.gamma(2, 10, n).round(), random.gamma(2, 14, m).round()
        found, welch = compare(a, b), stats.ttest_ind(a, b, equal_var=False)
        assert (found.t, found.p_welch) == pytest.approx(
            (welch.statistic, welch.pvalue)
        )
        assert found.difference_interval == pytest.approx(
            tuple(welch.confidence_interval())
        )
        assert found.p_mann_whitney == pytest.approx(stats.mannwhitneyu(a, b).pvalue)
        assert found.delta == pytest.approx(np.mean(np.sign(a[:, None] - b[None])))
        pooled = np.concatenate([a, b])
        ts = (
            [_t(pooled, list(rows)) for rows in itertools.combinations(range(n + m), n)]
            if n == 5
            else []
        )
        if ts:
            assert found.p_permutation == pytest.approx(
                np.mean(np.array(ts) >= _t(pooled, list(range(n))) - 1e-9)
            )
        else:
            assert found.p_permutation == pytest.approx(welch.pvalue, abs=0.03)


def _t(pooled: np.ndarray, rows: list[int]) -> float:
    a, b = pooled[rows], np.delete(pooled, rows)
    return float(
        abs(a.mean() - b.mean())
        / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    )


def test_calls_that_are_all_alike_are_not_tested() -> None:
    same = compare(np.ones(4), np.ones(5))
    assert (same.t, same.p_welch, same.p_mann_whitney, same.p_permutation, same.g) == (
        None,
    ) * 5
    assert same.delta == 0
    apart = compare(np.zeros(3), np.ones(3))
    assert (apart.t, apart.g, apart.delta) == (None, None, -1)
    assert apart.p_permutation == pytest.approx(2 / 20)
    assert interval(np.full(9, 0.1)) is None
    with pytest.raises(ValueError, match="two calls or more"):
        compare(np.ones(1), np.ones(5))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]


def test_spearman_by_hand() -> None:
    found = spearman(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 2, 3, 5, 4]))
    assert found
    assert found[0] == pytest.approx(1 - 6 * 2 / (5 * 24))
    half = 1.959964 * math.sqrt((1 + 0.81 / 2) / 2)
    assert found[1] == pytest.approx(
        (math.tanh(math.atanh(0.9) - half), math.tanh(math.atanh(0.9) + half))
    )
    assert spearman(np.ones(5), np.arange(5.0)) is None
    assert spearman(np.arange(4.0), np.arange(4.0)) is None
    perfect = spearman(np.arange(6.0), np.arange(6.0))
    assert perfect
    assert perfect[:2] == (1.0, None)


def counts(random: np.random.Generator, n: int) -> np.ndarray:
    """NSS as skewed as Table VII has it: mean 30, deviation 27 over 24 calls give about its [20,
    42].
    """
    return random.poisson(random.gamma(1.3, 30 / 1.3, n)).astype(float)


@pytest.mark.parametrize("n", [8, 24])
@pytest.mark.parametrize(
    ("draw", "mean", "high"),
    [(counts, 30.0, math.inf), (lambda random, n: random.beta(2, 10, n), 2 / 12, 1.0)],
    ids=["NSS", "ECR"],
)
def test_intervals_cover_at_their_rate(
    n: int, draw: Any, mean: float, high: float
) -> None:
    random = np.random.default_rng(n)
    found = [interval(draw(random, n), 0.0, high, draws=2000) for _ in range(500)]
    covered = [
        low <= mean <= top for low, top in (bounds for bounds in found if bounds)
    ]
    assert len(covered) == 500
    assert 0.92 <= np.mean(covered) <= 0.975


def test_effect_sizes_and_correlations_cover_at_their_rate() -> None:
    random = np.random.default_rng(2)
    hits = []
    for _ in range(400):
        g = hedges_g(random.normal(0.8, 1, 22), random.normal(0, 1, 24))
        assert g is not None
        low, high = hedges_interval(g, 22, 24)
        pairs = random.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 20)
        found = spearman(pairs[:, 0], pairs[:, 1])
        assert found
        assert found[1]
        hits.append(
            (
                low <= 0.8 <= high,
                found[1][0] <= 6 / math.pi * math.asin(0.25) <= found[1][1],
            )
        )
    assert np.all((np.mean(hits, axis=0) >= 0.92) & (np.mean(hits, axis=0) <= 0.975))


def test_a_permutation_of_unequal_spreads_keeps_its_level() -> None:
    """Equal means, few calls with a large spread: a test of the plain difference would reject far
    too often.
    """
    random = np.random.default_rng(6)
    p = [
        permutation_p(random.normal(0, 5, 6), random.normal(0, 1, 20))
        for _ in range(40)
    ]
    assert np.mean([value <= 0.05 for value in p if value is not None]) <= 0.1


# --- tables of calls ---


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("call,start", ["a,0"], "has no column segment"),
        ("call,segment", ["a,x"], "has neither start nor order"),
        ("call,segment,start,start", ["a,x,0,0"], "two columns called start"),
        ("call,segment,start", [], "has no rows"),
        ("call,segment,start", [",x,0", "a,,0"], "row 2: no call; row 3: no segment"),
        (
            "call,segment,start",
            ["a,x,soon"],
            r"row 2: start is not a number of seconds \(soon\)",
        ),
        ("call,segment,start", ["a,x,0", "a,y,"], r"row 3: no start \(1 such rows\)"),
        ("call,segment,start,end", ["a,x,3,3"], "row 2: end is not after start"),
        (
            "call,segment,start",
            ["a,x,5", "a,y,2"],
            "row 3: does not begin after row 2 of the same call: sort",
        ),
        (
            "call,segment,start,end",
            ["a,x,0,5", "a,y,4,6"],
            "row 3: begins before row 2 of the same call has ended",
        ),
        (
            "call,segment,start,order",
            ["a,x,0,2", "a,y,4,1"],
            "row 3: comes before row 2 by order",
        ),
        ("call,segment,order", ["a,x,1", "a,y,1"], "row 3: the same order as row 2"),
        ("call,segment,order", ["a,x,1", "a,x,2"], "row 3: the same segment as row 2"),
        (
            "call,segment,order,group",
            ["a,x,1,g", "a,y,2,h"],
            "row 3: another group than row 2",
        ),
        ("call,segment,order,group", ["a,x,1,"], "row 2: no group"),
        ("call,segment,order", ["a,x,1", "nan,y,2"], "row 3: no call"),
        ("call,segment,order", ["a 1,x,1", "A1,y,2"], "call a 1 .row 2., A1 .row 3."),
        (
            "call,segment,order,group",
            ["a,x,1,Calm", "b,y,2,calm"],
            "group Calm .row 2., calm .row 3.: use one spelling",
        ),
        (
            "call,segment,order,scale",
            ["a,x,1,4", "a,y,2,", "a,z,3,5"],
            "row 4: another scale than row 2",
        ),
        ("call,segment,order", ["a,x"], "row 2: 2 cells where the header has 3"),
    ],
)
def test_tables_that_cannot_be_used(
    tmp_path: Path, header: str, rows: list[str], said: str
) -> None:
    path = write(tmp_path / "calls.csv", header, [row.split(",") for row in rows])
    with pytest.raises(CorpusError, match=said):
        read(path)


def test_the_error_of_a_private_table_names_rows_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "ward7.csv", "call,segment,start", [["anna", "x", "soon"]])
    with pytest.raises(
        CorpusError,
        match=r"^the table of calls has .* row 2: start is not a number of seconds; fix",
    ):
        read(path, private=True)


def test_rows_in_an_order_need_no_times(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["a", 3, 0.9], ["a", 1, 0.1], ["b", 1, 0.5], ["b", 2, 0.5], ["a", 2, 0.2]]
    path = write(tmp_path / "p.csv", "call,order,sad", rows)
    found = printed(bench, capsys, "--probabilities", path, "--class", "sad")
    assert [[s["sad"] for s in c["segments"]] for c in found["calls"]] == [
        [0.1, 0.2, 0.9],
        [0.5, 0.5],
    ]
    assert found["first_minutes"] is None
    assert {s["stage"] for s in found["groups"]} == {FULL}
    assert (
        "there are no first 30 minutes, since only the order of segments is known"
        in found["notes"]
    )
    assert any(note.startswith("one group") for note in found["notes"])
    assert found["comparisons"] == []


def test_probabilities_that_are_missing(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path / "p.csv",
        "call,order,negative",
        [["a", 1, 0.5], ["a", 2, ""], ["a", 3, 0.9], ["b", 1, ""]],
    )
    assert bench("trend", "--probabilities", path) == 1
    assert (
        "2 segments have no probability, the first in row 3" in capsys.readouterr().err
    )
    found = printed(bench, capsys, "--probabilities", path, "--skip-missing")
    assert [c["call"] for c in found["calls"]] == ["a"]
    (note,) = [n for n in found["notes"] if "without a prediction" in n]
    assert note.startswith(
        "2 segments of 2 calls without a prediction left out as requested, among them every segment"
    )
    write(path, "call,order,negative", [["a", 1, 1.5]])
    assert bench("trend", "--probabilities", path) == 1
    assert "row 2: negative is not a probability (1.5)" in capsys.readouterr().err


def test_three_groups_are_corrected_and_a_group_of_one_call_is_told(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(1)
    rows = [
        [f"{g}{c}", i, g, round(p, 3)]
        for g, n in (("x", 6), ("y", 7), ("z", 5), ("alone", 1))
        for c in range(n)
        for i, p in enumerate(random.random(8))
    ]
    path = write(tmp_path / "p.csv", "call,order,group,negative", rows)
    found = printed(bench, capsys, "--probabilities", path)
    pairs = [c for c in found["comparisons"] if c["measure"] == "ECR"]
    assert [(c["group"], c["other"]) for c in pairs] == [
        ("x", "y"),
        ("x", "z"),
        ("y", "z"),
    ]
    assert [c["p_welch_holm"] for c in pairs] == pytest.approx(
        holm([c["p_welch"] for c in pairs])
    )
    assert any("6 comparisons left out" in note for note in found["notes"])
    assert bench("trend", "--probabilities", path, "--format", "text") == 0
    assert "Holm" in capsys.readouterr().out


# --- the command ---


def test_segments_that_are_written_are_read_again(
    bench: Bench, example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = printed(
        bench, capsys, "--probabilities", example, "--segments", "again.csv"
    )
    assert printed(bench, capsys, "--probabilities", "again.csv") == first


@pytest.mark.parametrize("format", ["text", "markdown", "csv", "latex", "html"])
def test_formats(bench: Bench, example: Path, tmp_path: Path, format: str) -> None:
    assert (
        bench("trend", "--probabilities", example, "--format", format, "-o", "out") == 0
    )
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "risk" in text
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {row["kind"] for row in rows} == {"group", "comparison", "correlation"}
        assert (
            next(
                row["mean"]
                for row in rows
                if row["group"] == "risk" and row["stage"] == FULL
            )
            == "2.0"
        )
    else:
        assert "biases NSS low" in " ".join(text.split())
        assert "2.0" in text


@pytest.mark.parametrize(
    ("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_figures(
    bench: Bench, example: Path, tmp_path: Path, suffix: str, begins: bytes
) -> None:
    assert (
        bench(
            "trend", "--probabilities", example, "--figure", f"f.{suffix}", "-o", "out"
        )
        == 0
    )
    content = (tmp_path / f"f.{suffix}").read_bytes()
    assert content.startswith(begins)
    if suffix == "svg":
        drawn = content.decode()
        assert "a1 · risk · score 3" in drawn
        assert "NSS 3 of 4, ECR 0.267" in drawn
        assert "a3 · risk" not in drawn  # by default, only calls that have a trend
        assert "grey: the first 30" in drawn


def test_a_figure_shows_the_calls_that_are_named(
    bench: Bench, example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["trend", "--probabilities", example, "--figure", "f.svg"]
    assert bench(*arguments, "--show-calls", "b3,a3") == 0
    drawn = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert "b3 · other" in drawn
    assert "a3 · risk" in drawn
    assert "a1 · risk" not in drawn
    assert bench(*arguments, "--show-calls", "b3,a33") == 2
    assert "a33 (did you mean a3?)" in capsys.readouterr().err


def test_a_figure_is_drawn_whatever_calls_are_called(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        ["$甲_", 1, "\U00012000", 0.2],
        ["$甲_", 2, "\U00012000", 0.6],
    ]  # of cuneiform no machine here has a font
    path = write(tmp_path / "p.csv", "call,order,group,negative", rows)
    assert (
        bench("trend", "--probabilities", path, "--figure", "f.png", "-o", "out") == 0
    )
    assert "boxes stand for characters that no font here has" in capsys.readouterr().err
    assert (tmp_path / "f.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs RUN with --calls FILE, or --probabilities FILE alone"),
        (["byol-s@demo"], "needs RUN with --calls FILE"),
        (
            ["byol-s@demo", "--probabilities", "example.csv"],
            "--probabilities stands alone",
        ),
        (["byol-s@demo", "--calls", "no.csv"], "no table of calls at no.csv"),
        (
            ["--probabilities", "example.csv", "--show-calls", "a"],
            "--show-calls needs --figure",
        ),
        (
            ["--probabilities", "example.csv", "--figure", "f.gif"],
            "f.gif must end in .png, .svg or .pdf",
        ),
        (
            ["--probabilities", "example.csv", "--figure", "no/f.png"],
            "no folder no to write f.png to",
        ),
    ],
)
def test_what_does_not_go_together(
    bench: Bench,
    example: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert bench("trend", *arguments) == 2
    assert said in capsys.readouterr().err


def test_help_and_usage_errors_import_nothing_heavy_and_a_table_needs_no_store(
    example: Path, tmp_path: Path
) -> None:
    script = (
        "import sys\nfrom bench.cli.app import main\n"
        "def loaded(*words):\n"
        " sys.argv = ['bench', 'trend', *words]\n"
        " try: main()\n"
        " except SystemExit: pass\n"
        " return {'numpy', 'scipy', 'matplotlib', 'mlflow', 'torch'} & set(sys.modules)\n"
        "assert not loaded('--help')\nassert not loaded()\n"
        "assert loaded('--probabilities', 'example.csv') == {'numpy', 'scipy'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["example.csv"]


# --- recorded runs ---

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


# --- private calls ---

PLANTED = (
    "zhang-wei",
    "ward7",
    "verzweifelt",
    "ruhig",
    "sitzung",
    "klinik",
    "suizid",
    "4711",
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Path:
    """A folder with calls in which every name is planted, and a run on their private manifest."""
    folder = tmp_path_factory.mktemp("private") / "klinik"
    tones = write_tones(folder / "sitzung")
    names = {"low": "ruhig", "high": "verzweifelt"}
    clips = [
        p for p in sorted(tones.glob("*.wav")) if p.stem.partition("_")[0] in names
    ]
    rows, calls, places = [], [], dict.fromkeys("abcdef", 0)
    for path in clips:
        label, speaker, number = path.stem.split("_")
        renamed = path.rename(
            path.with_name(f"zhang-wei_{label}_{speaker}_{number}.wav")
        )
        rows.append([f"sitzung/{renamed.name}", names[label], f"zhang-wei-{speaker}"])
        group = "suizid" if speaker in "abc" else "suizid-nein"
        calls.append(
            [
                f"ward7-{speaker}",
                f"./sitzung/{renamed.name}",
                places[speaker],
                group,
                f"4711.{ord(speaker)}",
            ]
        )
        places[speaker] += 60
    write(folder / "m.csv", "path,label,speaker", rows)
    (folder / "m.toml").write_text(
        'private = true\npositive = "verzweifelt"\n', encoding="utf-8"
    )
    write(folder / "calls.csv", "call,segment,start,group,scale", calls)
    results = shutil.copytree(new_store, folder / "results")
    command = [
        "bench",
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        folder / "m.csv",
        "--set",
        "epochs=3",
        "--results",
        results,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_BENCH_HOME", str(folder / "home"))
        patch.setattr(sys, "argv", [*map(str, command)])
        with pytest.raises(SystemExit) as done:
            app.main()
    assert not done.value.code
    return folder


@pytest.fixture
def private(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The arguments of a trend of private calls."""
    monkeypatch.setenv("SER_BENCH_HOME", str(recorded / "home"))
    task = open_store(None, recorded / "results").records()[0].task
    return [
        f"mfcc-stats@{task}",
        "--calls",
        recorded / "calls.csv",
        "--results",
        recorded / "results",
    ]


def leaks(text: str) -> list[str]:
    return [name for name in PLANTED if name in text.lower()]


def test_private_calls_are_found_and_leave_no_name(
    private: list[object],
    bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    extra = ["--figure", "f.svg", "--segments", "s.csv"]
    assert (
        bench(
            "trend",
            *private,
            *extra,
            "--show-calls",
            "ward7-a,ward7-e",
            "--format",
            "json",
        )
        == 0
    )
    said = capsys.readouterr()
    written = [
        (tmp_path / name).read_text(encoding="utf-8") for name in ("f.svg", "s.csv")
    ]
    assert leaks("".join([said.out, said.err, *written])) == []
    found = json.loads(said.out)
    secret = pseudonym("ward7-a", "call")
    assert secret in written[0]
    assert found["calls"][0]["call"] == secret
    assert found["calls"][0]["group"] == "group 1"
    assert [len(c["segments"]) for c in found["calls"]] == [4] * 6
    assert found["correlations"]  # the scores count, in aggregate alone
    assert not any("scale" in call for call in found["calls"])
    for format in ("text", "csv", "html"):
        assert bench("trend", *private, "--format", format) == 0
        assert leaks(capsys.readouterr().out) == []


def test_errors_about_private_calls_name_rows_alone(
    private: list[object], bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(str(private[2]))
    good = path.read_text(encoding="utf-8")
    header, first, *_ = good.splitlines()
    capsys.readouterr()
    unknown = "ward7-z,sitzung/zhang-wei_none.wav"
    strange = first.replace("zhang-wei", "zhang-wei-wei")
    again = first.replace("ward7-", "ward7-z")
    broken = {
        f"{good}{unknown},0,suizid,4711\n": "have no prediction in",
        f"{good}{unknown},klinik,suizid,4711\n": "row 26: start is not a number of seconds",
        f"{header}\n{strange}\n": "as its manifest does, on the machine whose key",
        f"{good}{again}\n": "row 26: the same segment as row",
    }
    for text, expected in broken.items():
        path.write_text(text, encoding="utf-8")
        assert bench("trend", *private) == 1
        said = capsys.readouterr().err
        assert expected in said
        assert leaks(said) == []
    path.write_text(good, encoding="utf-8")
    assert (
        bench("trend", *private, "--figure", "f.svg", "--show-calls", "zhang-wei") == 2
    )
    said = capsys.readouterr().err
    assert "--show-calls names 1 that are not among the calls analysed" in said
    assert leaks(said) == []


def test_private_probabilities_are_shown_under_pseudonyms(
    bench: Bench, example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(bench, capsys, "--probabilities", example, "--private")
    assert [c["call"] for c in found["calls"]] == [
        pseudonym(name, "call") for name in EXAMPLE
    ]
    assert {c["group"] for c in found["calls"]} == {"group 1", "group 2"}
    assert "scale" not in found["calls"][0]
    assert {r["group"] for r in found["correlations"]} == {ALL}
    assert '"a1-0"' not in json.dumps(found)


def test_nothing_to_analyse_is_an_error() -> None:
    with pytest.raises(ValueError, match="no calls"):
        analyse([])
