"""Calls measured, groups of them described and compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from math import inf
from typing import Literal

import numpy as np

from bench.trend.calls import ALL, Call
from bench.trend.groups import Comparison, Interval, Values, compare, holm, interval, spearman
from bench.trend.measures import ecr, nss

Measure = Literal["NSS", "ECR"]
MEASURES: tuple[Measure, ...] = ("NSS", "ECR")
RANGES = {"NSS": (0.0, inf), "ECR": (0.0, 1.0)}
FULL = "full"
TESTS = ("p_welch", "p_mann_whitney", "p_permutation")


@dataclass(frozen=True)
class Measured:
    """A call in one stage."""

    call: Call
    stage: str
    segments: int
    nss: int
    ecr: float | None  # None with fewer than two segments

    def value(self, measure: Measure) -> float | None:
        return self.nss if measure == "NSS" else self.ecr


@dataclass(frozen=True)
class Summary:
    """A measure over the calls of a group."""

    group: str
    stage: str
    measure: Measure
    calls: int  # that have the measure
    segments: float  # mean, of all calls of the group
    mean: float | None
    sd: float | None  # n - 1
    interval: Interval | None  # 95 %, of the mean


@dataclass(frozen=True)
class Contrast:
    """A measure in a group against another group."""

    group: str
    other: str
    stage: str
    measure: Measure
    calls: int
    other_calls: int
    found: Comparison
    holm: tuple[float | None, ...] | None = (
        None  # TESTS, corrected for all pairs; None with one pair
    )


@dataclass(frozen=True)
class Relation:
    """A measure against the scale score (Spearman)."""

    group: str  # ALL: of every group
    stage: str
    measure: Measure
    calls: int
    rho: float
    interval: Interval | None
    p: float


@dataclass(frozen=True)
class Analysis:
    stages: tuple[str, ...]  # the first minutes, if times are known, then the full call
    minutes: float  # of the first stage
    binarised: bool  # whether ECR is of decisions
    measured: tuple[Measured, ...]
    summaries: tuple[Summary, ...]
    contrasts: tuple[Contrast, ...]
    relations: tuple[Relation, ...]

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(m.call.group for m in self.measured))

    def of(self, stage: str, group: str | None = None) -> list[Measured]:
        """The calls in a stage, of a group or of every one."""
        return [m for m in self.measured if m.stage == stage and group in (None, m.call.group)]


def analyse(calls: Sequence[Call], minutes: float = 30.0, binarised: bool = False) -> Analysis:
    """Every figure of `bench trend` about calls whose segments all have a probability.

    The first stage holds the segments that begin within the first `minutes` of their call; there is
    none where start times are not known. Raises ValueError without calls.
    """
    if not calls:
        raise ValueError("there are no calls to analyse")
    timed = all(segment.start is not None for call in calls for segment in call.segments)
    stages = (*([first(minutes)] if timed else []), FULL)
    measured = tuple(
        _measured(c, s, minutes if s != FULL else inf, binarised) for s in stages for c in calls
    )
    bare = Analysis(stages, minutes, binarised, measured, (), (), ())
    cells: list[tuple[str, Measure]] = [
        (stage, measure) for stage in stages for measure in MEASURES
    ]
    return replace(
        bare,
        summaries=tuple(_summary(bare, group, *cell) for group in bare.groups for cell in cells),
        contrasts=tuple(contrast for cell in cells for contrast in _contrasts(bare, *cell)),
        relations=tuple(r for cell in cells for r in _relations(bare, *cell)),
    )


def first(minutes: float) -> str:
    """The name of the first stage."""
    return f"first {minutes:g} min"


def _measured(call: Call, stage: str, minutes: float, binarised: bool) -> Measured:
    within = [s for s in call.segments if s.start is None or s.start < 60 * minutes]
    probabilities = [s.probability for s in within if s.probability is not None]
    assert len(probabilities) == len(within), "calls come scored"
    return Measured(call, stage, len(within), nss(probabilities), ecr(probabilities, binarised))


def _summary(a: Analysis, group: str, stage: str, measure: Measure) -> Summary:
    members = a.of(stage, group)
    values = _values(members, measure)
    return Summary(
        group=group,
        stage=stage,
        measure=measure,
        calls=len(values),
        segments=float(np.mean([m.segments for m in members])),
        mean=float(values.mean()) if len(values) else None,
        sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        interval=interval(values, *RANGES[measure]),
    )


def _contrasts(a: Analysis, stage: str, measure: Measure) -> list[Contrast]:
    """Every pair of groups that have two calls or more."""
    values = {group: _values(a.of(stage, group), measure) for group in a.groups}
    found = [
        Contrast(
            g, h, stage, measure, len(values[g]), len(values[h]), compare(values[g], values[h])
        )
        for g, h in combinations(a.groups, 2)
        if min(len(values[g]), len(values[h])) > 1
    ]
    if len(a.groups) < 3:
        return found
    corrected = zip(*(holm([getattr(c.found, test) for c in found]) for test in TESTS), strict=True)
    return [replace(contrast, holm=tuple(p)) for contrast, p in zip(found, corrected, strict=True)]


def _relations(a: Analysis, stage: str, measure: Measure) -> Iterator[Relation]:
    relation = partial(_relation, stage=stage, measure=measure)
    of_groups = [(group, a.of(stage, group)) for group in a.groups] if len(a.groups) > 1 else []
    yield from filter(
        None, (relation(name, members) for name, members in [(ALL, a.of(stage)), *of_groups])
    )


def _relation(
    group: str, members: Sequence[Measured], stage: str, measure: Measure
) -> Relation | None:
    pairs = [(m.call.scale, m.value(measure)) for m in members]
    known = np.array(
        [(x, y) for x, y in pairs if x is not None and y is not None], dtype=np.float64
    ).reshape(-1, 2)
    found = spearman(known[:, 0], known[:, 1])
    return Relation(group, stage, measure, len(known), *found) if found else None


def _values(members: Sequence[Measured], measure: Measure) -> Values:
    return np.array([v for m in members if (v := m.value(measure)) is not None], dtype=np.float64)
