"""Two classes: every confusion matrix that fits printed figures, by trying all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.auditing.figures import Claim, Printing

Array = NDArray[np.float64]
AVERAGES = ("macro", "weighted")
KINDS = ("recall", "precision", "F1")
# how columns UA and WA may be meant: which of them is the mean recall
NAMINGS: Mapping[str, Mapping[str, str]] = {
    "UA and WA as named": {"UA": "mean recall", "WA": "accuracy"},
    "UA and WA exchanged": {"UA": "accuracy", "WA": "mean recall"},
    "UA and WA both accuracy": {"UA": "accuracy", "WA": "accuracy"},
}


@dataclass(frozen=True)
class Reading:
    """What the columns of a row mean: the class or the averaging of recall, precision and F1, and
    what UA and WA are.
    """

    averaging: str  # a label, macro or weighted; empty where no column needs it
    naming: str  # a key of NAMINGS; empty where no column needs it

    def __str__(self) -> str:
        about = self.averaging
        if about and about not in AVERAGES:
            about = f"of the class {about}"
        said = filter(None, (about, self.naming))
        return ", ".join(said) or "as named"


@dataclass(frozen=True)
class Matrices:
    """Confusion matrices of two classes: the hits of each, (n,) and (n,)."""

    labels: tuple[str, str]
    counts: tuple[int, int]
    hits: tuple[Array, Array]

    def __len__(self) -> int:
        return len(self.hits[0])

    @property
    def names(self) -> list[str]:
        """Every score that a matrix has."""
        names = ["UA", "WA"]
        for kind in KINDS:
            names += [f"{kind} {average}" for average in AVERAGES]
            names += [f"{kind} ({label})" for label in self.labels]
        return names

    def score(self, name: str) -> Array:
        """(n,): a score by its name: `UA`, `WA`, `F1 macro`, `recall (a)`, ..."""
        if name == "UA":
            name = "recall macro"
        if name == "WA":
            name = "recall weighted"
        kind, _, averaging = name.partition(" ")
        if averaging not in AVERAGES:
            label = averaging.removeprefix("(").removesuffix(")")
            return self._of_class(kind, self.labels.index(label))

        one = self._of_class(kind, 0)
        other = self._of_class(kind, 1)
        if averaging == "macro":
            return (one + other) / 2
        size, other_size = self.counts
        weighted = size * one + other_size * other
        return weighted / (size + other_size)

    def _of_class(self, kind: str, place: int) -> Array:
        hits = self.hits[place]
        size = self.counts[place]
        if kind == "recall":
            return hits / size
        missed_by_other = self.counts[1 - place] - self.hits[1 - place]
        predicted = hits + missed_by_other
        if kind == "precision":
            return _ratio(hits, predicted)
        return _ratio(2 * hits, predicted + size)

    def within(self, name: str, low: float, high: float) -> "Matrices":
        """Those whose score lies within the bounds."""
        values = self.score(name)
        fits = (low <= values) & (values <= high)
        hits, other_hits = self.hits
        chosen = (hits[fits], other_hits[fits])
        return Matrices(self.labels, self.counts, chosen)


def every(labels: tuple[str, str], counts: tuple[int, int]) -> Matrices:
    """All matrices of these class counts."""
    own, other = (np.arange(size + 1, dtype=np.float64) for size in counts)
    first, second = np.meshgrid(own, other, indexing="ij")
    return Matrices(labels, counts, (first.ravel(), second.ravel()))


def readings(claims: Iterable[Claim], labels: Sequence[str]) -> list[Reading]:
    """Every way to read the columns."""
    kinds = {claim.kind for claim in claims}
    averagings: tuple[str, ...] = ("",)
    if kinds & set(KINDS):
        averagings = (*labels, *AVERAGES)
    namings: Iterable[str] = ("",)
    if kinds & {"UA", "WA"}:
        namings = NAMINGS
    found = []
    for averaging in averagings:
        for naming in namings:
            found.append(Reading(averaging, naming))
    return found


def fitting(
    matrices: Matrices, claims: Iterable[Claim], reading: Reading, printing: Printing
) -> Matrices:
    """The matrices that give every figure, read and printed so."""
    fitting = matrices
    for claim in claims:
        name = score_of(claim, reading)
        low, high = claim.bounds(printing)
        fitting = fitting.within(name, low, high)
    return fitting


def score_of(claim: Claim, reading: Reading) -> str:
    """The score that a figure is under a reading."""
    if claim.kind == "accuracy":
        return "WA"
    if claim.kind in ("UA", "WA"):
        meaning = NAMINGS[reading.naming][claim.kind]
        return "UA" if meaning == "mean recall" else "WA"
    if reading.averaging in AVERAGES:
        return f"{claim.kind} {reading.averaging}"
    return f"{claim.kind} ({reading.averaging})"


def _ratio(part: Array, whole: Array) -> Array:
    """0 for 0 / 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
