"""What a printed figure says: a kind of score, and the values that are printed so."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from bench.contracts.task import Figure, Published

Kind = Literal["accuracy", "UA", "WA", "recall", "precision", "F1", "class recall"]
Printing = Literal["rounded", "cut off"]
PRINTINGS: tuple[Printing, ...] = get_args(Printing)
SLACK = 1e-9  # of values that are computed in floating point

# words of a column's header -> what such columns hold; the first that is found counts
HEADERS: Mapping[str, Kind] = {
    r"f1|f-score|f-measure": "F1",
    r"\buar?\b|unweighted": "UA",
    r"\bwar?\b|weighted acc": "WA",
    r"acc": "accuracy",
    r"prec": "precision",
    r"rec|sensitivity": "recall",
}
SCORES: Mapping[str, Kind] = {"WA": "accuracy", "UA": "UA"}


@dataclass(frozen=True)
class Claim:
    """A printed figure. label: of a recall that the source itself gives for one class."""

    column: str
    text: str
    kind: Kind
    value: float  # a fraction
    step: float  # of its last digit
    label: str = ""

    def bounds(self, printing: Printing) -> tuple[float, float]:
        """The least and the largest value that is printed so."""
        if printing == "rounded":
            half = self.step / 2
            low = self.value - half
            high = self.value + half
            return low - SLACK, high + SLACK
        next_printed = self.value + self.step
        return self.value - SLACK, next_printed - SLACK


def claims(row: Published) -> list[Claim]:
    """The figures of a row whose kind their column tells."""
    labels = row.test_part.classes if row.test_part else {}
    found = []
    for figure in row.figures:
        label = _label(figure, list(labels))
        kind: Kind | None = "class recall" if label else _kind(figure)
        if kind:
            step = _step(figure)
            claim = Claim(figure.column, figure.text, kind, figure.value, step, label)
            found.append(claim)
    return found


def _label(figure: Figure, labels: list[str]) -> str:
    """The class whose recall the source says the figure is; empty if it says none.

    In a task of two classes a column may be read as either.
    """
    if len(labels) < 3:
        return ""
    for label in labels:
        if figure.score == f"recall ({label})":
            return label
    return ""


def _kind(figure: Figure) -> Kind | None:
    header = figure.column.lower()
    for pattern, kind in HEADERS.items():
        if re.search(pattern, header):
            return kind
    return SCORES.get(figure.score)


def _step(figure: Figure) -> float:
    exponent = Decimal(figure.text).as_tuple().exponent
    assert isinstance(exponent, int), "a printed figure is a finite number"
    in_percent = float(figure.text) > figure.value
    scale = 100 if in_percent else 1
    step: float = 10.0**exponent / scale
    return step
