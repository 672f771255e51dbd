"""The printed plan fits the width it is printed on, and gives each reason once."""

import pytest

from bench.runs.dry_run import Planned, show_plan
from bench.terminal import display_width

LONG = "2500 trainings of unknown length, 885 features to compute"
REASON = (
    "the weights are not in the hub cache and cannot be fetched: " + "say more, " * 20
)
PLAN = [
    Planned("ravdess", "feature-fusion:released", "finetune", "speaker", 24, 4, LONG),
    Planned(
        "hotline-fine", "hubert", "finetune", "speaker", 0, 0, "cannot run", REASON
    ),
    Planned(
        "心理热线", "wavlm:large", "finetune", "speaker", 0, 0, "cannot run", REASON
    ),
    Planned(
        "demo", "strl", "probe", "speaker", 0, 0, "skipped", "there is nothing to probe"
    ),
]


@pytest.mark.parametrize("width", [80, 100, 120, 140, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = show_plan(PLAN, width).splitlines()
    assert max(display_width(line) for line in lines) <= width
    for heading in ("task", "backbone", "to run", "estimated cost"):
        assert heading in lines[0]


def test_the_least_needed_columns_go_first() -> None:
    columns = ["mode", "protocol", "runs", "recorded"]
    seen = set()
    for width in range(80, 201):
        head = show_plan(PLAN, width).splitlines()[0]
        kept = [name in head.replace("to run", "").split() for name in columns]
        assert kept == sorted(kept)
        seen.add(sum(kept))
    assert len(seen) > 2
    assert all(kept)


def test_a_reason_that_pairings_share_is_given_once() -> None:
    text = " ".join(show_plan(PLAN, 100).split())
    assert text.count("cannot be fetched") == 1
    assert (
        "2 pairings (hubert on hotline-fine, wavlm:large on 心理热线): cannot run: the"
        in text
    )
    assert "strl on demo: skipped: there is nothing to probe" in text


def test_a_plan_of_runs_alone_is_a_table_alone() -> None:
    assert len(show_plan(PLAN[:1], 120).splitlines()) == 3
