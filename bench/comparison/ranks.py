"""Systems over several tasks: mean ranks, and which of them differ (Demšar, Statistical Comparisons
of Classifiers over Multiple Data Sets, Journal of Machine Learning Research 7, 2006).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, sqrt

import numpy as np

from bench.comparison.systems import System
from bench.errors import UsageError
from bench.scoring.best import ALPHA
from bench.scoring.corrected import holm
from bench.scoring.scores import Scores


@dataclass(frozen=True)
class Wilcoxon:
    """The signed-rank test of two systems' scores over tasks; corrected: p after Holm."""

    one: str
    other: str
    p: float
    corrected: float | None


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of systems over tasks, 1 the best.

    friedman: p that all systems are equal, None for two systems; critical: Nemenyi's critical
    difference, by which mean ranks must differ at 5 %.
    """

    tasks: tuple[str, ...]
    mean: Mapping[str, float]
    friedman: float | None
    critical: float
    pairs: tuple[Wilcoxon, ...]


def ranks(by_task: Mapping[str, Sequence[System]]) -> Ranks:
    """The ranks of the systems that every task has, by the score that ranks each task's rows.

    Raises:
        UsageError: fewer than two systems are recorded on every task.
    """
    names = _shared(by_task)
    table = np.array([_scores(systems, names) for systems in by_task.values()])
    means = _ranks(table).mean(0)
    pairs = list(zip(names, means.tolist(), strict=True))
    pairs.sort(key=lambda pair: pair[1])
    return Ranks(
        tuple(by_task),
        dict(pairs),
        _friedman(table),
        _critical(len(names), len(table)),
        _wilcoxon(table, names),
    )


def _shared(by_task: Mapping[str, Sequence[System]]) -> list[str]:
    """The names of the systems that every task has, in order."""
    first, *others = by_task.values()
    names = [system.name for system in first]
    for systems in others:
        there = {system.name for system in systems}
        names = [name for name in names if name in there]
    if len(names) < 2:
        tasks = ", ".join(by_task)
        raise UsageError(
            f"fewer than two systems are recorded whole on each of {tasks}: run them there first"
        )
    return names


def _scores(systems: Sequence[System], names: Sequence[str]) -> list[float]:
    found = {}
    for system in systems:
        row = system.row
        found[system.name] = row.rank
    return [found[name] for name in names]


def _ranks(table: Scores) -> Scores:
    """(tasks, systems): 1 for the best score; equal scores share their mean rank."""
    from scipy.stats import rankdata

    ranked = rankdata(-table, axis=1)
    return np.asarray(ranked)


def _friedman(table: Scores) -> float | None:
    from scipy.stats import friedmanchisquare

    if table.shape[1] < 3:
        return None
    columns = list(table.T)
    p = float(friedmanchisquare(*columns).pvalue)
    return 1.0 if np.isnan(p) else p  # all scores are equal


def _critical(systems: int, tasks: int) -> float:
    from scipy.stats import studentized_range

    probability = 1 - ALPHA
    quantile = float(studentized_range.ppf(probability, systems, inf))
    pairs = systems * (systems + 1)
    variance = pairs / (6 * tasks)
    half = variance / 2
    return quantile * sqrt(half)


def _wilcoxon(table: Scores, names: Sequence[str]) -> tuple[Wilcoxon, ...]:
    places = range(len(names))
    pairs = list(combinations(places, 2))
    found = []
    for one, other in pairs:
        differences = table[:, one] - table[:, other]
        found.append(_signed_rank(differences))

    tests = []
    for (one, other), p, corrected in zip(pairs, found, holm(found), strict=True):
        test = Wilcoxon(names[one], names[other], p, corrected)
        tests.append(test)
    return tuple(tests)


def _signed_rank(differences: Scores) -> float:
    from scipy.stats import wilcoxon

    if not differences.any():
        return 1.0
    return float(wilcoxon(differences).pvalue)
