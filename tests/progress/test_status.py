"""Counts and the remaining time."""

import pytest

from bench.progress.status import Status, Step, duration


def step(done: float, seconds: float, before: float = 0.0) -> Step:
    made = Step("feature log-mel", 885, "clips", lambda: None, before)
    made.started -= seconds
    made.advance(done)
    return made


def test_a_headline_names_position_step_count_and_time() -> None:
    status = Status(
        "pairing 3 of 16", "hubert on ravdess", 1, [60.0], [step(237, 88.0)]
    )
    assert status.headline == (
        "pairing 3 of 16 · feature log-mel · 237/885 clips · about 4 min left"
    )


def test_later_runs_count_by_those_that_are_done() -> None:
    status = Status("", "", 11, [300.0, 420.0], [step(237, 88.0)])
    assert (
        status.time_left == "about 64 min left"
    )  # 10 runs of 6 min, and 4 min of this one


def test_until_a_run_is_done_the_time_is_a_lower_bound() -> None:
    assert Status("", "", 11, [], [step(237, 88.0)]).time_left == "at least 4 min left"
    assert Status("", "", 0, [], [step(237, 88.0)]).time_left == "about 4 min left"


def test_no_time_is_shown_before_a_rate_is_known() -> None:
    assert Status("", "", 0, [60.0], [step(0, 100.0)]).time_left == ""
    assert Status("", "", 0, [60.0], [step(5, 0.0)]).time_left == ""
    assert Status("", "", 0, [60.0], []).headline == ""


def test_the_rate_is_of_this_command_and_not_of_what_was_done_before() -> None:
    resumed = step(85, 60.0, before=400.0)
    assert resumed.count == "485/885 clips"
    assert resumed.seconds_left == pytest.approx(60.0 * 400 / 85, rel=0.01)


def test_fractions_of_a_unit_count_when_they_are_whole() -> None:
    epochs = Step("training", 3, "epochs", lambda: None)
    for _ in range(10):
        epochs.advance(0.1)
    assert epochs.count == "1/3 epochs"
    assert epochs.share == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "10 s"), (44, "40 s"), (100, "2 min"), (5_000, "83 min"), (9_000, "2.5 h")],
)
def test_durations_are_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text
