"""What clips add up to, and every score from such sums.

A score of a whole sample, and those of the sample without some of its clips, differ in their
sums alone, so that thousands of deletions are a few operations on arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import (
    Counts,
    Scores,
    f1,
    f1_macro,
    f1_micro,
    f1_weighted,
    outcomes_of_clips,
    recall,
    support_of,
    ua,
)

FALSE_ALARMS = 1  # in counts; before them stand hits, behind them misses
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Tally:
    """counts: (..., 3, classes), hits, false alarms and misses of each class; exact: (...), clips
    all of whose labels are right; clips: (...), the number of clips.
    """

    counts: Counts
    exact: Counts
    clips: Counts

    @property
    def support(self) -> Counts:
        """(..., classes): the clips of which each class is true."""
        return support_of(self.counts)

    def sum(self) -> "Tally":
        """The sum over the first axis, which is that of units."""
        counts = self.counts.sum(0)
        exact = self.exact.sum(0)
        clips = self.clips.sum(0)
        return Tally(counts, exact, clips)

    def without_each(self) -> "Tally":
        """(units, ...): what all units but one add up to, for each of them."""
        whole = self.sum()
        return Tally(
            counts=whole.counts - self.counts,
            exact=whole.exact - self.exact,
            clips=whole.clips - self.clips,
        )


def tally(predictions: Predictions, rows: Rows, units: int) -> Tally:
    """The sums of each unit, (units, ...); `rows`: the unit of each clip of the predictions."""
    of_clips = outcomes_of_clips(predictions)
    wrong = of_clips[:, FALSE_ALARMS:].any((1, 2))

    classes = len(predictions.labels)
    shape = (units, 3, classes)
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, rows, of_clips)
    exact = np.zeros(units, dtype=np.int64)
    np.add.at(exact, rows, ~wrong)
    clips = np.bincount(rows, minlength=units)
    return Tally(counts, exact, clips)


def stacked(tallies: list[Tally]) -> Tally:
    """Tallies of the same units, one per training seed: (units, seeds, ...)."""
    counts = [each.counts for each in tallies]
    exact = [each.exact for each in tallies]
    clips = [each.clips for each in tallies]
    return Tally(
        np.stack(counts, axis=1),
        np.stack(exact, axis=1),
        np.stack(clips, axis=1),
    )


# --- scores ---

Score = Callable[[Tally, Tally], Scores]  # of a part of a sample, given the whole


def score(name: str, labels: tuple[str, ...]) -> Score:
    """A score by its name in `bench.scoring.scores.scores`: UA, WA, F1 macro, weighted and micro,
    and the F1 or the recall of a class.
    """
    if name in _AVERAGES:
        return _AVERAGES[name]
    kind, _, rest = name.partition(" (")
    label = rest.removesuffix(")")
    number = labels.index(label)
    per_class = _OF_CLASSES[kind]

    def of_class(part: Tally, whole: Tally) -> Scores:
        values = per_class(part.counts, whole.counts)
        return values[..., number]

    return of_class


def _wa(part: Tally, whole: Tally) -> Scores:
    share = part.exact / part.clips
    return np.asarray(share)


def _f1_micro(part: Tally, whole: Tally) -> Scores:
    return f1_micro(part.counts)


def _by_counts(of: Callable[[Counts, Counts | None], Scores]) -> Score:
    return lambda part, whole: of(part.counts, whole.counts)


_AVERAGES: dict[str, Score] = {
    "UA": _by_counts(ua),
    "WA": _wa,
    "F1 macro": _by_counts(f1_macro),
    "F1 weighted": _by_counts(f1_weighted),
    "F1 micro": _f1_micro,
}
_OF_CLASSES = {"F1": f1, "recall": recall}
