"""Numbers as tables print them."""

import pytest

from bench.tables.numbers import duration, percent, quantity


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "–"), (999, "999"), (94_371_712, "94.4M"), (999_600, "1M")],
)
def test_quantity(number: int, shown: str) -> None:
    assert quantity(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "–"), (31.4, "31 s"), (192, "3.2 min"), (5400, "1.5 h")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("score", "shown"),
    [(0.605, "60.5"), (1.0, "100.0"), (None, "–"), (float("nan"), "–")],
)
def test_percent(score: float | None, shown: str) -> None:
    assert percent(score) == shown
