"""Tests of whether two systems differ on the same clips, beside the jackknife's."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import NDArray

from bench.scoring.sample import Sample, same_clips
from bench.scoring.scores import Counts, Scores, decisions
from bench.scoring.tally import Tally, score

EXACT_UNITS = 14  # up to which every way of swapping is tried: 2^14 of them
DRAWS = 10_000  # ways of swapping beyond that
SEED = 0
CHUNK = 500  # ways at a time, which bounds memory
Ways = NDArray[np.float64]  # (ways, kinds of units): how many units are swapped
TOLERANCE = 1e-12  # by which equal differences may differ after rounding


@dataclass(frozen=True)
class Permutation:
    """p of a paired permutation test; smallest: the least p that it could have given."""

    p: float
    smallest: float
    exact: bool  # whether every way of swapping was tried


@dataclass(frozen=True)
class McNemar:
    """Clips that one system alone has right, and the exact two-sided p of their difference."""

    one_alone: int
    other_alone: int
    p: float


def permutation(one: Sample, other: Sample, name: str) -> Permutation:
    """Swap the two systems' predictions of whole speakers (or clips of unknown speakers), in every
    way up to 14 of them, else in 10,000 random ways of a fixed seed; p is the share of ways that
    give a difference at least as large (Good, Permutation Tests, 2000).

    Raises:
        ValueError: They do not hold predictions of the same clips and speakers.
    """
    if not same_clips(one, other):
        raise ValueError("a permutation test needs predictions of the same clips")
    pair = _Pair(one, other, name)
    unswapped = np.zeros((1, pair.kinds))
    (difference,) = pair.differences(unswapped)
    observed = abs(difference) - TOLERANCE

    extreme = 0
    ways = 0
    for swapped in pair.ways():
        found = pair.differences(swapped)
        is_extreme = abs(found) >= observed
        extreme += int(is_extreme.sum())
        ways += len(found)

    if pair.exact:
        smallest = min(1.0, 2 / ways)
        return Permutation(extreme / ways, smallest, exact=True)
    # the observed way is one of them
    ways += 1
    extreme += 1
    return Permutation(extreme / ways, 1 / ways, exact=False)


def mcnemar(one: Sample, other: Sample) -> McNemar:
    """McNemar's exact test of the accuracy (all labels of a clip right) of the first seeds
    (Psychometrika 12, 1947; binomial).
    """
    right = _right(one)
    other_right = _right(other)
    alone = 0
    other_alone = 0
    for place, is_right in right.items():
        if is_right and not other_right[place]:
            alone += 1
        elif other_right[place] and not is_right:
            other_alone += 1

    fewer = min(alone, other_alone)
    p = _two_sided(fewer, alone + other_alone)
    return McNemar(alone, other_alone, p)


class _Pair:
    """Two systems unit by unit. Units whose swapping does the same are one kind.

    A system of fewer seeds repeats them, so that each seed of one meets one of the other.
    """

    def __init__(self, one: Sample, other: Sample, name: str) -> None:
        seeds = lcm(len(one.by_seed), len(other.by_seed))
        mine = _repeated(one, seeds)
        theirs = _repeated(other, seeds)
        self._mine = mine.sum()
        self._theirs = theirs.sum()
        self._shape = mine.counts.shape[1:]
        self._score = score(name, one.labels)

        changes = _flat(theirs) - _flat(mine)
        self.exact = len(changes) <= EXACT_UNITS
        self._changes = changes
        self._sizes = np.ones(len(changes), dtype=np.int64)
        if not self.exact:
            self._changes, self._sizes = np.unique(changes, axis=0, return_counts=True)

    @property
    def kinds(self) -> int:
        """How many kinds of units there are."""
        return len(self._sizes)

    def ways(self) -> Iterable[Ways]:
        """Every way of swapping, or random ones, some at a time."""
        if self.exact:
            return _every_way(self.kinds)
        return self._drawn()

    def differences(self, swapped: Ways) -> Scores:
        """(ways,): the difference in score, where so many units of each kind are swapped."""
        # a matrix product of floats is fast, and exact for whole numbers of this size
        products = swapped @ self._changes
        whole = np.rint(products).astype(np.int64)
        moved = self._as_tally(whole)

        mine = _plus(self._mine, moved, 1)
        theirs = _plus(self._theirs, moved, -1)
        of_mine = self._score(mine, self._mine)
        of_theirs = self._score(theirs, self._theirs)
        by_seed = of_mine - of_theirs
        return np.asarray(by_seed.mean(-1))

    def _drawn(self) -> Iterator[Ways]:
        generator = np.random.default_rng(SEED)
        shape = (CHUNK, self.kinds)
        for _ in range(0, DRAWS, CHUNK):
            swapped = generator.binomial(
                self._sizes,
                p=0.5,
                size=shape,
            )
            yield swapped.astype(np.float64)

    def _as_tally(self, flat: Counts) -> Tally:
        """What `_flat` made flat, way by way."""
        seeds = self._shape[0]
        ends = [-2 * seeds, -seeds]
        counts, exact, clips = np.split(
            flat,
            ends,
            axis=1,
        )
        shape = (len(flat), *self._shape)
        return Tally(counts.reshape(shape), exact, clips)


def _every_way(units: int) -> Iterator[Ways]:
    """Every way of swapping, CHUNK ways at a time."""
    places = np.arange(units)
    last = 2**units
    for start in range(0, last, CHUNK):
        end = min(start + CHUNK, last)
        numbers = np.arange(start, end)
        shifted = numbers[:, None] >> places
        bits = shifted & 1
        yield bits.astype(np.float64)


def _repeated(sample: Sample, seeds: int) -> Tally:
    """The sums of each unit for so many seeds."""
    units = sample.by_unit
    there = len(sample.by_seed)
    places = np.arange(seeds) % there
    return Tally(
        units.counts[:, places],
        units.exact[:, places],
        units.clips[:, places],
    )


def _flat(tally: Tally) -> Counts:
    """(units, numbers)"""
    units = len(tally.clips)
    counts = tally.counts.reshape(units, -1)
    return np.concatenate(
        [counts, tally.exact, tally.clips],
        axis=1,
    )


def _plus(whole: Tally, moved: Tally, sign: int) -> Tally:
    return Tally(
        whole.counts + sign * moved.counts,
        whole.exact + sign * moved.exact,
        whole.clips + sign * moved.clips,
    )


def _right(sample: Sample) -> dict[tuple[str, int], bool]:
    """Whether a clip is right, each time that it was tested, by the first seed."""
    predictions = sample.by_seed[0]
    agrees = decisions(predictions) == predictions.truth
    is_right = agrees.all(1)

    times: Counter[str] = Counter()
    right = {}
    for clip, value in zip(predictions.clips, is_right, strict=True):
        times[clip] += 1
        right[clip, times[clip]] = bool(value)
    return right


def _two_sided(fewer: int, of: int) -> float:
    """The chance of a division of coin throws that is at least as uneven."""
    from scipy.stats import binomtest

    if not of:
        return 1.0
    return float(binomtest(fewer, of).pvalue)
