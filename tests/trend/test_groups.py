"""Statistics of groups against what they are defined by."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from bench.trend.groups import (
    compare,
    hedges_g,
    hedges_interval,
    interval,
    permutation_p,
    spearman,
)

A, B = np.array([1.0, 2, 3]), np.array([2.0, 4, 6])


def test_comparison_worked_out_by_hand() -> None:
    found = compare(A, B)
    assert found.difference == -2
    assert found.t == pytest.approx(-2 / math.sqrt(5 / 3))
    assert found.df == pytest.approx(
        (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    )
    assert found.u == 1.5  # 3 > 2, and 2 = 2 by half
    assert found.delta == pytest.approx(-2 / 3)
    assert found.g == pytest.approx(
        -2 / math.sqrt(2.5) / (math.sqrt(2) * math.gamma(1.5))
    )
    assert hedges_interval(0.0, 50, 50) == pytest.approx((-1.959964 / 5, 1.959964 / 5))


def test_tests_agree_with_scipy_and_with_enumeration() -> None:
    from scipy import stats

    random = np.random.default_rng(5)
    for n, m in ((5, 4), (12, 9)):
        a, b = random.gamma(2, 10, n).round(), random.gamma(2, 14, m).round()
        found, welch = compare(a, b), stats.ttest_ind(a, b, equal_var=False)
        assert (found.t, found.p_welch) == pytest.approx(
            (welch.statistic, welch.pvalue)
        )
        assert found.difference_interval == pytest.approx(
            tuple(welch.confidence_interval())
        )
        assert found.p_mann_whitney == pytest.approx(stats.mannwhitneyu(a, b).pvalue)
        assert found.delta == pytest.approx(np.mean(np.sign(a[:, None] - b[None])))
        pooled = np.concatenate([a, b])
        ts = (
            [_t(pooled, list(rows)) for rows in itertools.combinations(range(n + m), n)]
            if n == 5
            else []
        )
        if ts:
            assert found.p_permutation == pytest.approx(
                np.mean(np.array(ts) >= _t(pooled, list(range(n))) - 1e-9)
            )
        else:
            assert found.p_permutation == pytest.approx(welch.pvalue, abs=0.03)


def _t(pooled: np.ndarray, rows: list[int]) -> float:
    a, b = pooled[rows], np.delete(pooled, rows)
    return float(
        abs(a.mean() - b.mean())
        / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    )


def test_calls_that_are_all_alike_are_not_tested() -> None:
    same = compare(np.ones(4), np.ones(5))
    assert (same.t, same.p_welch, same.p_mann_whitney, same.p_permutation, same.g) == (
        None,
    ) * 5
    assert same.delta == 0
    apart = compare(np.zeros(3), np.ones(3))
    assert (apart.t, apart.g, apart.delta) == (None, None, -1)
    assert apart.p_permutation == pytest.approx(2 / 20)
    assert interval(np.full(9, 0.1)) is None
    with pytest.raises(ValueError, match="two calls or more"):
        compare(np.ones(1), np.ones(5))


def test_spearman_by_hand() -> None:
    found = spearman(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 2, 3, 5, 4]))
    assert found
    assert found[0] == pytest.approx(1 - 6 * 2 / (5 * 24))
    half = 1.959964 * math.sqrt((1 + 0.81 / 2) / 2)
    assert found[1] == pytest.approx(
        (math.tanh(math.atanh(0.9) - half), math.tanh(math.atanh(0.9) + half))
    )
    assert spearman(np.ones(5), np.arange(5.0)) is None
    assert spearman(np.arange(4.0), np.arange(4.0)) is None
    perfect = spearman(np.arange(6.0), np.arange(6.0))
    assert perfect
    assert perfect[:2] == (1.0, None)


def counts(random: np.random.Generator, n: int) -> np.ndarray:
    """NSS as skewed as Table VII has it: mean 30, deviation 27 over 24 calls give about its [20,
    42].
    """
    return random.poisson(random.gamma(1.3, 30 / 1.3, n)).astype(float)


@pytest.mark.parametrize("n", [8, 24])
@pytest.mark.parametrize(
    ("draw", "mean", "high"),
    [(counts, 30.0, math.inf), (lambda random, n: random.beta(2, 10, n), 2 / 12, 1.0)],
    ids=["NSS", "ECR"],
)
def test_intervals_cover_at_their_rate(
    n: int, draw: Any, mean: float, high: float
) -> None:
    random = np.random.default_rng(n)
    found = [interval(draw(random, n), 0.0, high, draws=2000) for _ in range(500)]
    covered = [
        low <= mean <= top for low, top in (bounds for bounds in found if bounds)
    ]
    assert len(covered) == 500
    assert 0.92 <= np.mean(covered) <= 0.975


def test_effect_sizes_and_correlations_cover_at_their_rate() -> None:
    random = np.random.default_rng(2)
    hits = []
    for _ in range(400):
        g = hedges_g(random.normal(0.8, 1, 22), random.normal(0, 1, 24))
        assert g is not None
        low, high = hedges_interval(g, 22, 24)
        pairs = random.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 20)
        found = spearman(pairs[:, 0], pairs[:, 1])
        assert found
        assert found[1]
        hits.append(
            (
                low <= 0.8 <= high,
                found[1][0] <= 6 / math.pi * math.asin(0.25) <= found[1][1],
            )
        )
    assert np.all((np.mean(hits, axis=0) >= 0.92) & (np.mean(hits, axis=0) <= 0.975))


def test_a_permutation_of_unequal_spreads_keeps_its_level() -> None:
    """Equal means, few calls with a large spread: a test of the plain difference would reject far
    too often.
    """
    random = np.random.default_rng(6)
    p = [
        permutation_p(random.normal(0, 5, 6), random.normal(0, 1, 20))
        for _ in range(40)
    ]
    assert np.mean([value <= 0.05 for value in p if value is not None]) <= 0.1
