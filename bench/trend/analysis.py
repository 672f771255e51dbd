"""Calls measured, groups of them described and compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import inf
from typing import Literal

import numpy as np

from bench.scoring.corrected import holm
from bench.trend.calls import ALL, Call
from bench.trend.groups import (
    Comparison,
    Interval,
    Values,
    compare,
    interval,
    spearman,
)
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
        if measure == "NSS":
            return self.nss
        return self.ecr


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
    # of TESTS, corrected for all pairs of groups; None with a single pair
    holm: tuple[float | None, ...] | None = None

    @property
    def p(self) -> tuple[float | None, ...]:
        """The p-values of TESTS, corrected where there are several pairs of groups."""
        if self.holm:
            return self.holm
        return tuple(getattr(self.found, test) for test in TESTS)


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
        names: dict[str, None] = {}
        for measured in self.measured:
            names[measured.call.group] = None
        return list(names)

    def of(self, stage: str, group: str | None = None) -> list[Measured]:
        """The calls in a stage, of a group or of every one."""
        members = []
        for measured in self.measured:
            within = group is None or measured.call.group == group
            if within and measured.stage == stage:
                members.append(measured)
        return members


def analyse(
    calls: Sequence[Call], minutes: float = 30.0, binarised: bool = False
) -> Analysis:
    """Every figure of `bench trend` about calls whose segments all have a probability.

    The first stage holds the segments that begin within the first `minutes` of their call; it is
    left out where start times are not known.

    Raises:
        ValueError: there are no calls.
    """
    if not calls:
        raise ValueError("there are no calls to analyse")
    lengths = {FULL: inf}
    if _timed(calls):
        lengths = {first(minutes): minutes, **lengths}
    measured = []
    for stage, length in lengths.items():
        measured += [_measured(call, stage, length, binarised) for call in calls]
    bare = Analysis(tuple(lengths), minutes, binarised, tuple(measured), (), (), ())
    questions = list(product(lengths, MEASURES))
    contrasts: list[Contrast] = []
    relations: list[Relation] = []
    for stage, measure in questions:
        contrasts += _contrasts(bare, stage, measure)
        relations += _relations(bare, stage, measure)
    summaries = []
    for group in bare.groups:
        summaries += [
            _summary(bare, group, stage, measure) for stage, measure in questions
        ]
    return replace(
        bare,
        summaries=tuple(summaries),
        contrasts=tuple(contrasts),
        relations=tuple(relations),
    )


def first(minutes: float) -> str:
    """The name of the first stage."""
    return f"first {minutes:g} min"


def _timed(calls: Sequence[Call]) -> bool:
    starts: list[float | None] = []
    for call in calls:
        starts += [segment.start for segment in call.segments]
    return None not in starts


def _measured(call: Call, stage: str, minutes: float, binarised: bool) -> Measured:
    probabilities = []
    for segment in call.segments:
        if segment.start is None or segment.start < 60 * minutes:
            assert segment.probability is not None, "calls come scored"
            probabilities.append(segment.probability)
    return Measured(
        call=call,
        stage=stage,
        segments=len(probabilities),
        nss=nss(probabilities),
        ecr=ecr(probabilities, binarised),
    )


def _summary(analysis: Analysis, group: str, stage: str, measure: Measure) -> Summary:
    members = analysis.of(stage, group)
    values = _values(members, measure)
    calls = len(values)
    segments = np.mean([member.segments for member in members])
    low, high = RANGES[measure]
    return Summary(
        group=group,
        stage=stage,
        measure=measure,
        calls=calls,
        segments=float(segments),
        mean=float(values.mean()) if calls else None,
        sd=float(values.std(ddof=1)) if calls > 1 else None,
        interval=interval(values, low, high),
    )


def _contrasts(analysis: Analysis, stage: str, measure: Measure) -> list[Contrast]:
    """Every pair of groups that have two calls or more."""
    values = {}
    for group in analysis.groups:
        values[group] = _values(analysis.of(stage, group), measure)
    contrasts = []
    for group, other in combinations(analysis.groups, 2):
        a = values[group]
        b = values[other]
        if min(len(a), len(b)) < 2:
            continue
        found = compare(a, b)
        contrasts.append(Contrast(group, other, stage, measure, len(a), len(b), found))
    return contrasts if len(analysis.groups) < 3 else _corrected(contrasts)


def _corrected(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The contrasts with the p-values of each test corrected for their number."""
    by_test = []
    for test in TESTS:
        by_test.append(holm([getattr(contrast.found, test) for contrast in contrasts]))
    corrected = []
    for contrast, *p_values in zip(contrasts, *by_test, strict=True):
        corrected.append(replace(contrast, holm=tuple(p_values)))
    return corrected


def _relations(analysis: Analysis, stage: str, measure: Measure) -> Iterator[Relation]:
    """Over all calls and, if there are several, within each group."""
    members = [(ALL, analysis.of(stage))]
    if len(analysis.groups) > 1:
        members += [(group, analysis.of(stage, group)) for group in analysis.groups]
    for group, measured in members:
        relation = _relation(group, measured, stage, measure)
        if relation:
            yield relation


def _relation(
    group: str, members: Sequence[Measured], stage: str, measure: Measure
) -> Relation | None:
    scales = []
    values = []
    for member in members:
        value = member.value(measure)
        if member.call.scale is not None and value is not None:
            scales.append(member.call.scale)
            values.append(value)
    found = spearman(np.array(scales, np.float64), np.array(values, np.float64))
    if found is None:
        return None
    rho, bounds, p = found
    return Relation(group, stage, measure, len(values), rho, bounds, p)


def _values(members: Sequence[Measured], measure: Measure) -> Values:
    """The measure of the members that have it."""
    values = []
    for member in members:
        value = member.value(measure)
        if value is not None:
            values.append(value)
    return np.array(values, dtype=np.float64)
