"""The audit of rows of published figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import sqrt

from bench.auditing import many_classes, two_classes
from bench.auditing.figures import PRINTINGS, Claim, Printing, claims
from bench.auditing.two_classes import Matrices, Reading
from bench.contracts.task import Published
from bench.scoring.jackknife import t_quantile

Range = tuple[float, float]
LARGE = 10**9  # degrees of freedom of a normal distribution


@dataclass(frozen=True)
class Fit:
    """What fits under a reading.

    matrices: how many confusion matrices, None where they are not counted; hits: of the only one,
    by class; ranges: score -> the least and the largest value over all of them; without: the
    column that is left out, empty where all figures fit.
    """

    reading: str
    printing: Printing
    matrices: int | None
    hits: Mapping[str, int]
    ranges: Mapping[str, Range]
    without: str = ""


@dataclass(frozen=True)
class Finding:
    """A row's audit. fits: of all its figures together; else of all but one, if anything fits so;
    unread: columns that are not judged; reason: why the row cannot be judged at all.
    """

    row: Published
    claims: tuple[Claim, ...] = ()
    fits: tuple[Fit, ...] = ()
    unread: tuple[str, ...] = ()
    reason: str = ""
    accuracy: Range | None = None  # Wilson's 95 % interval
    baseline: Mapping[str, float] = field(default_factory=dict)

    @property
    def possible(self) -> bool:
        """Whether all figures fit together under some reading."""
        return any(not fit.without for fit in self.fits)

    @property
    def correct(self) -> int | None:
        """The clips that are right, where the printed accuracy leaves one number."""
        part = self.row.test_part
        if not part or not self.fits:
            return None
        right = set()
        for fit in self.fits:
            low, high = fit.ranges["WA"]
            right.add(round(low * part.clips))
            right.add(round(high * part.clips))
        if len(right) > 1:
            return None
        (only,) = right
        return only


def audit(rows: Iterable[Published]) -> list[Finding]:
    """The audit of each row."""
    return [_finding(row) for row in rows]


def best_p(one: Finding, other: Finding) -> float | None:
    """The least p that McNemar's exact test of two rows on the same clips could give: every clip
    that they differ in is one that the better one alone has right.
    """
    right = one.correct
    other_right = other.correct
    if right is None or other_right is None:
        return None
    clips = abs(right - other_right)
    p = 2 * 0.5**clips
    return min(1.0, p)


def wilson(share: float, clips: int) -> Range:
    """The 95 % interval of a share (Wilson, Journal of the American Statistical Association 22,
    1927).
    """
    z = t_quantile(LARGE)
    weight = z**2 / clips
    whole = 1 + weight
    centre = share + weight / 2

    variance = share * (1 - share)
    quarter = weight / 4
    spread = (variance + quarter) / clips
    half = z * sqrt(spread)

    low = centre - half
    high = centre + half
    return low / whole, high / whole


def majority(counts: Mapping[str, int]) -> dict[str, float]:
    """The scores of calling every clip the largest class."""
    clips = sum(counts.values())
    label, size = max(counts.items(), key=lambda entry: entry[1])
    total = size + clips
    f1 = 2 * size / total
    return {
        "WA": size / clips,
        "UA": 1 / len(counts),
        "F1 macro": f1 / len(counts),
        f"F1 ({label})": f1,
    }


def _finding(row: Published) -> Finding:
    found = claims(row)
    part = row.test_part
    if not part or not found:
        missing = "its test clips are not known" if not part else "no column is a score"
        return Finding(row, tuple(found), reason=missing)
    if part.folds > 1:
        folds = f"its figures are means of {part.folds} folds, which fix no matrix"
        return Finding(row, tuple(found), reason=folds)
    counts = dict(part.classes)
    judged, fit = _judge(found, counts, part.clips)
    fits = _all_fits(judged, fit) or _fits_without_one(judged, fit)
    unread = [claim.column for claim in found if claim not in judged]
    return Finding(
        row,
        tuple(found),
        tuple(fits),
        tuple(unread),
        accuracy=_accuracy(judged, part.clips),
        baseline=majority(counts) if counts else {},
    )


Judge = Callable[[Sequence[Claim], Printing], list[Fit]]


def _judge(
    found: Sequence[Claim], counts: Mapping[str, int], clips: int
) -> tuple[list[Claim], Judge]:
    """The figures that can be judged with these counts, and what judges them."""
    if len(counts) == 2:
        return list(found), partial(_fits_of_two, counts)
    known = many_classes.KINDS if counts else ("accuracy", "UA", "WA")
    judged = [claim for claim in found if claim.kind in known]
    if not counts:
        return judged, partial(_fits_of_clips, clips)
    return judged, partial(_fits_of_many, counts)


def _all_fits(found: Sequence[Claim], judge: Judge) -> list[Fit]:
    """What fits all figures, under each reading: rounded, or else cut off."""
    fits: dict[str, Fit] = {}
    for printing in PRINTINGS:
        for fit in judge(found, printing):
            fits.setdefault(fit.reading, fit)
    return list(fits.values())


def _fits_without_one(found: Sequence[Claim], judge: Judge) -> list[Fit]:
    """What fits all figures but one, for each that may be the wrong one."""
    fits = []
    for wrong in found:
        others = [claim for claim in found if claim is not wrong]
        for fit in _first_fits(others, judge):
            fits.append(replace(fit, without=wrong.column))
    return fits


def _first_fits(found: Sequence[Claim], judge: Judge) -> list[Fit]:
    """What fits all figures if they are rounded; if nothing does, what fits them cut off."""
    if not found:
        return []
    for printing in PRINTINGS:
        fits = judge(found, printing)
        if fits:
            return fits
    return []


def _fits_of_two(
    counts: Mapping[str, int], found: Sequence[Claim], printing: Printing
) -> list[Fit]:
    first, second = counts
    matrices = two_classes.every((first, second), (counts[first], counts[second]))
    # an accuracy leaves few matrices, whatever the reading
    for claim in found:
        if claim.kind == "accuracy":
            low, high = claim.bounds(printing)
            matrices = matrices.within("WA", low, high)
    fits = []
    for reading in two_classes.readings(found, list(counts)):
        fitting = two_classes.fitting(matrices, found, reading, printing)
        if len(fitting):
            fits.append(_fit_of(fitting, reading, printing))
    return fits


def _fit_of(fitting: Matrices, reading: Reading, printing: Printing) -> Fit:
    ranges = {}
    for name in fitting.names:
        values = fitting.score(name)
        ranges[name] = (float(values.min()), float(values.max()))
    hits = {}
    if len(fitting) == 1:
        for label, number in zip(fitting.labels, fitting.hits, strict=True):
            hits[label] = int(number[0])
    return Fit(str(reading), printing, len(fitting), hits, ranges)


def _fits_of_many(
    counts: Mapping[str, int], found: Sequence[Claim], printing: Printing
) -> list[Fit]:
    fits = []
    scores = ["UA", "WA", *(f"recall ({label})" for label in counts)]
    for reading in many_classes.readings(found):
        hits = many_classes.Hits(counts, found, reading, printing)
        if hits.exist():
            ranges = {score: hits.bounds(score) for score in scores}
            fits.append(Fit(str(reading), printing, None, {}, ranges))
    return fits


def _fits_of_clips(clips: int, found: Sequence[Claim], printing: Printing) -> list[Fit]:
    """Without class counts: whether each accuracy is a whole number of clips."""
    counts = {"every clip": clips}
    fits = []
    for reading in many_classes.readings(found):
        judged = [claim for claim in found if _is_accuracy(claim, reading)]
        hits = many_classes.Hits(counts, judged, reading, printing)
        if judged and hits.exist():
            ranges = {"WA": hits.bounds("WA")}
            fits.append(Fit(str(reading), printing, None, {}, ranges))
    return fits


def _is_accuracy(claim: Claim, reading: Reading) -> bool:
    if claim.kind == "accuracy":
        return True
    naming = two_classes.NAMINGS.get(reading.naming, {})
    return naming.get(claim.kind) == "accuracy"


def _accuracy(found: Sequence[Claim], clips: int) -> Range | None:
    for claim in found:
        if claim.kind in ("accuracy", "WA"):
            return wilson(claim.value, clips)
    return None
