"""Numbers as a table prints them."""

from math import isnan

NOTHING = "–"  # in a cell without a value


def percent(score: float | None) -> str:
    """`60.5` for 0.605; a dash for no number."""
    if score is None or isnan(score):
        return NOTHING
    return f"{100 * score:.1f}"


def quantity(number: int) -> str:
    """`94.4M` for 94,371,712; a dash for 0."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return count(number)


def duration(seconds: float) -> str:
    """`48 s`, `3.2 min`, `1.5 h`; a dash for 0."""
    if not seconds:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 60 else f"{minutes / 60:.1f} h"


def count(number: int) -> str:
    """The number; a dash for 0."""
    return str(number) if number else NOTHING


def many(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
