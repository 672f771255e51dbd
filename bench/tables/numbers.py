"""Numbers as a table prints them."""

from math import isnan

NOTHING = "–"  # in a cell without a value
UNITS = {"G": 1e9, "M": 1e6, "k": 1e3}


def percent(score: float | None) -> str:
    """`60.5` for 0.605; a dash for no number."""
    if score is None or isnan(score):
        return NOTHING
    value = 100 * score
    return f"{value:.1f}"


def signed(difference: float) -> str:
    """`+3.4` for 0.034."""
    value = 100 * difference
    return f"{value:+.1f}"


def probability(p: float | None) -> str:
    """`0.012`, `<0.001`; a dash for none."""
    if p is None:
        return NOTHING
    if p < 0.0005:
        return "<0.001"
    return f"{p:.3f}"


def quantity(number: int) -> str:
    """`94.4M` for 94,371,712; a dash for 0."""
    for unit, size in UNITS.items():
        if number >= 0.9995 * size:
            scaled = number / size
            return f"{scaled:.3g}{unit}"
    return count(number)


def duration(seconds: float) -> str:
    """`48 s`, `3.2 min`, `1.5 h`; a dash for 0."""
    if not seconds:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes = seconds / 60
    if minutes < 60:
        return f"{minutes:.1f} min"
    hours = minutes / 60
    return f"{hours:.1f} h"


def count(number: int) -> str:
    """The number; a dash for 0."""
    if number == 0:
        return NOTHING
    return str(number)


def many(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}s"
