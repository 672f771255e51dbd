"""What clips add up to, and every score from such sums.

A score of a whole sample, and those of the sample without some of its clips, differ in their
sums alone, so that thousands of deletions are a few operations on arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import Counts, Scores, decisions, f1, f1_micro, recall

HITS, MISSES = 0, 2  # in counts
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
        hits = self.counts[..., HITS, :]
        misses = self.counts[..., MISSES, :]
        return hits + misses

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
    truth = predictions.truth
    decided = decisions(predictions)
    hits = truth & decided
    false_alarms = ~truth & decided
    misses = truth & ~decided
    of_clips = np.stack(
        [hits, false_alarms, misses],
        axis=1,
    )
    agrees = truth == decided
    is_exact = agrees.all(1)

    classes = len(predictions.labels)
    shape = (units, 3, classes)
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, rows, of_clips)
    exact = np.zeros(units, dtype=np.int64)
    np.add.at(exact, rows, is_exact)
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

    The score of a part of a sample is over the classes of the whole one. A class that no clip of
    the part has keeps the recall and the F1 that it has in the whole.
    """
    if name in _AVERAGES:
        return _AVERAGES[name]
    kind, _, rest = name.partition(" (")
    label = rest.removesuffix(")")
    number = labels.index(label)
    per_class = _OF_CLASSES[kind]

    def of_class(part: Tally, whole: Tally) -> Scores:
        values = per_class(part, whole)
        return values[..., number]

    return of_class


def _wa(part: Tally, whole: Tally) -> Scores:
    share = part.exact / part.clips
    return np.asarray(share)


def _ua(part: Tally, whole: Tally) -> Scores:
    occurs = whole.support > 0
    recalls = _recall(part, whole)
    return _weighted(recalls, occurs)


def _f1_macro(part: Tally, whole: Tally) -> Scores:
    counts = whole.counts
    clips = counts.sum(-2)
    occurs = clips > 0
    of_classes = _f1(part, whole)
    return _weighted(of_classes, occurs)


def _f1_weighted(part: Tally, whole: Tally) -> Scores:
    lost = _is_lost(part, whole)
    clips = np.where(
        lost,
        whole.support,
        part.support,
    )
    of_classes = _f1(part, whole)
    return _weighted(of_classes, clips)


def _f1_micro(part: Tally, whole: Tally) -> Scores:
    return f1_micro(part.counts)


def _recall(part: Tally, whole: Tally) -> Scores:
    return np.where(
        _is_lost(part, whole),
        recall(whole.counts),
        recall(part.counts),
    )


def _f1(part: Tally, whole: Tally) -> Scores:
    return np.where(
        _is_lost(part, whole),
        f1(whole.counts),
        f1(part.counts),
    )


def _weighted(values: Scores, weights: NDArray[Any]) -> Scores:
    """The mean over classes."""
    weighted = values * weights
    total = weighted.sum(-1)
    weight = weights.sum(-1)
    mean = total / weight
    return np.asarray(mean)


def _is_lost(part: Tally, whole: Tally) -> NDArray[np.bool_]:
    """Whether only the clips that are left out have the class."""
    had_clips = whole.support > 0
    has_none = part.support == 0
    return np.asarray(had_clips & has_none)


_AVERAGES: dict[str, Score] = {
    "UA": _ua,
    "WA": _wa,
    "F1 macro": _f1_macro,
    "F1 weighted": _f1_weighted,
    "F1 micro": _f1_micro,
}
_OF_CLASSES: dict[str, Score] = {"F1": _f1, "recall": _recall}
