"""Tables of calls, read and refused."""

from pathlib import Path

import numpy as np
import pytest

from bench.errors import CorpusError
from bench.scoring.corrected import holm
from bench.trend.analysis import FULL
from bench.trend.calls import read
from tests.trend.examples import Bench, printed, write


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
