"""Two systems at a time: how much they differ, and whether that is more than luck."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from bench.comparison.systems import System
from bench.scoring.corrected import holm
from bench.scoring.jackknife import Difference, detectable, difference
from bench.scoring.paired import McNemar, Permutation, mcnemar, permutation


@dataclass(frozen=True)
class Pair:
    """A system minus another in the score that ranks the task's rows.

    difference: None where all clips are of one speaker; detectable: the smallest difference that
    these test clips would have shown in 4 of 5 cases, None where all speakers agree; wa: the
    difference in accuracy; clips: how many there are. Corrected p values are Holm's over all pairs
    of the comparison.
    """

    one: str
    other: str
    score: str
    value: float
    difference: Difference | None
    permutation: Permutation
    mcnemar: McNemar
    detectable: float | None
    wa: float
    clips: int
    corrected: float | None = None  # of the difference's p
    permutation_corrected: float | None = None
    mcnemar_corrected: float | None = None

    @property
    def clips_won(self) -> float:
        """How many more clips are right: the mean over seeds."""
        return self.wa * self.clips


def pairs(systems: Sequence[System]) -> list[Pair]:
    """Every pair of systems, which come best first; the largest difference first."""
    score = systems[0].row.ranked_by
    found = []
    for one, other in combinations(systems, 2):
        found.append(_pair(one, other, score))
    corrected = _corrected(found)
    return sorted(
        corrected,
        key=lambda pair: pair.value,
        reverse=True,
    )


def _pair(one: System, other: System, score: str) -> Pair:
    mine, theirs = one.sample, other.sample
    found = difference(mine, theirs, score)
    return Pair(
        one.name,
        other.name,
        score,
        value=mine.value(score) - theirs.value(score),
        difference=found,
        permutation=permutation(mine, theirs, score),
        mcnemar=mcnemar(mine, theirs),
        detectable=detectable(found) if found and found.error else None,
        wa=mine.value("WA") - theirs.value("WA"),
        clips=len(mine.clips),
    )


def _corrected(found: Sequence[Pair]) -> list[Pair]:
    usual = holm([pair.difference.p if pair.difference else None for pair in found])
    swapped = holm([pair.permutation.p for pair in found])
    exact = holm([pair.mcnemar.p for pair in found])
    corrected = []
    for pair, p, p_swapped, p_exact in zip(found, usual, swapped, exact, strict=True):
        new = replace(
            pair,
            corrected=p,
            permutation_corrected=p_swapped,
            mcnemar_corrected=p_exact,
        )
        corrected.append(new)
    return corrected
