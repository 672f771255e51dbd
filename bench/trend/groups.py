"""What a few dozen calls allow to be said of a group, and of the difference between two.

Values are one number per call. Where a figure cannot be had (too few calls, calls that are all
alike), it is None, never NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, lgamma, sqrt, tanh

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95
DRAWS = 5000  # of the bootstrap, as in Wang et al.'s Table VII
PERMUTATIONS = 9999  # with the observed one a round 10,000; all of them where there are fewer
SEED = 0
MIN_CALLS = 5  # for an interval: of fewer, a draw too often repeats one call
CHUNK = 500  # draws at a time: bounds memory
_LARGE = 1e300  # in place of infinity, which cannot be compared with a tolerance


@dataclass(frozen=True)
class Comparison:
    """Group A against group B. `difference`, `t`, `g` and `delta` are positive where A is higher."""

    difference: float  # of the means
    difference_interval: Interval | None  # Welch's
    t: float | None
    df: float | None
    p_welch: float | None
    u: float  # of A: pairs of calls in which A is higher, ties counting half
    p_mann_whitney: float | None
    p_permutation: float | None
    g: float | None
    g_interval: Interval | None
    delta: float


def interval(
    values: Values, low: float = -inf, high: float = inf, draws: int = DRAWS
) -> Interval | None:
    """95 % bootstrap-t interval of the mean of n values, within the measure's own range [low,
    high].

    Each draw of n calls with replacement gives t* = (mean* - mean) / (sd* / sqrt(n)); the interval
    is mean - t*_(.975) sd / sqrt(n) to mean - t*_(.025) sd / sqrt(n) (Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, section 12.5). Of skewed counts like NSS the percentile
    interval covers its mean too seldom in small groups: see docs/trend.md. None for fewer than 5
    calls, for calls that are all alike, and where a bound is not finite.
    """
    n = len(values)
    error = _standard_error(values) if n >= MIN_CALLS else 0.0
    if not error:
        return None
    mean = float(np.mean(values))
    random = np.random.default_rng(SEED)
    sizes = [min(CHUNK, draws - start) for start in range(0, draws, CHUNK)]
    drawn = np.concatenate([_ts(values[random.integers(0, n, (size, n))], mean) for size in sizes])
    below, above = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    bounds = max(low, mean - float(above) * error), min(high, mean - float(below) * error)
    return bounds if all(map(isfinite, bounds)) else None


def compare(a: Values, b: Values) -> Comparison:
    """Every test and effect size of A against B, two-sided. Raises ValueError for fewer than two
    calls in either.
    """
    from scipy import stats

    if min(len(a), len(b)) < 2:
        raise ValueError("a comparison needs two calls or more in each group")
    ranks, g = stats.mannwhitneyu(a, b), hedges_g(a, b)
    t, df, p, difference_interval = welch(a, b) or (None,) * 4
    return Comparison(
        difference=float(np.mean(a) - np.mean(b)),
        difference_interval=difference_interval,
        t=t,
        df=df,
        p_welch=p,
        u=float(ranks.statistic),
        p_mann_whitney=float(ranks.pvalue) if np.ptp([*a, *b]) else None,
        p_permutation=permutation_p(a, b),
        g=g,
        g_interval=None if g is None else hedges_interval(g, len(a), len(b)),
        delta=2 * float(ranks.statistic) / (len(a) * len(b))
        - 1,  # Cliff's delta: P(A > B) - P(A < B), in [-1, 1]
    )


def welch(a: Values, b: Values) -> tuple[float, float, float, Interval] | None:
    """t, its degrees of freedom, p, and the 95 % interval of the difference of means (Welch,
    Biometrika 34, 1947).

    t = (mean A - mean B) / sqrt(v_A + v_B), with v a group's variance / calls; df = (v_A + v_B)^2 /
    (v_A^2 / (n_A - 1) + v_B^2 / (n_B - 1)). None where neither group varies.
    """
    from scipy import stats

    v, w = _standard_error(a) ** 2, _standard_error(b) ** 2
    if not v + w:
        return None
    difference, error = float(np.mean(a) - np.mean(b)), sqrt(v + w)
    df = (v + w) ** 2 / (v**2 / (len(a) - 1) + w**2 / (len(b) - 1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
    p = 2 * float(stats.t.sf(abs(difference) / error, df))
    return difference / error, df, p, (difference - half, difference + half)


def permutation_p(a: Values, b: Values) -> float | None:
    """Share of the ways to divide the calls anew whose |t| (Welch's) is at least the observed one.

    Of Welch's t, not of the difference of means, so that groups that only spread differently are
    not taken to differ (Janssen, Statistics & Probability Letters 36, 1997). Every division where
    there are at most 9,999, else so many random ones, the observed one counting among them. None
    where all calls are alike.
    """
    from scipy import stats

    if not np.ptp([*a, *b]):
        return None

    def statistic(x: Values, y: Values, axis: int) -> Values:
        spread = np.sqrt(x.var(axis, ddof=1) / x.shape[axis] + y.var(axis, ddof=1) / y.shape[axis])
        return np.minimum(_divided(np.abs(x.mean(axis) - y.mean(axis)), spread), _LARGE)

    random = np.random.default_rng(SEED)
    options = {
        "vectorized": True,
        "n_resamples": PERMUTATIONS,
        "alternative": "greater",
        "batch": 1000,
    }
    return float(stats.permutation_test((a, b), statistic, rng=random, **options).pvalue)


def hedges_g(a: Values, b: Values) -> float | None:
    """Standardised difference: J (mean A - mean B) / s, with s the pooled deviation, df = n_A + n_B
    - 2.

    J = Gamma(df / 2) / (sqrt(df / 2) Gamma((df - 1) / 2)) takes its bias away (Hedges, Journal of
    Educational Statistics 6, 1981). None where neither group varies.
    """
    df = len(a) + len(b) - 2
    pooled = sqrt(((len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)) / df)
    if pooled <= _rounding(np.concatenate([a, b])):
        return None
    unbiased = exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2)
    return unbiased * float(np.mean(a) - np.mean(b)) / pooled


def hedges_interval(g: float, n: int, m: int) -> Interval:
    """95 %: g -+ 1.96 sqrt((n + m) / (n m) + g^2 / (2 (n + m))) (Hedges & Olkin, Statistical
    Methods for Meta-Analysis, 1985, ch. 5).
    """
    half = _normal() * sqrt((n + m) / (n * m) + g * g / (2 * (n + m)))
    return g - half, g + half


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values that may each be held against 0.05 though there are k of them: the i-th smallest
    times k - i + 1, never below a smaller one's, at most 1 (Holm, Scandinavian Journal of
    Statistics 6, 1979). None stays None, uncounted.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected, largest = list(p_values), 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected


def spearman(x: Values, y: Values) -> tuple[float, Interval | None, float] | None:
    """Rank correlation in [-1, 1], its 95 % interval, and p; None for fewer than 5 pairs or where
    either is constant.

    Interval: tanh(artanh(rho) -+ 1.96 sqrt((1 + rho^2 / 2) / (n - 3))) (Bonett & Wright,
    Psychometrika 65, 2000); None for a perfect correlation.
    """
    from scipy import stats

    if len(x) < MIN_CALLS or not np.ptp(x) or not np.ptp(y):
        return None
    found = stats.spearmanr(x, y)
    rho = float(found.statistic)
    if abs(rho) > 1 - 1e-9:
        return rho, None, float(found.pvalue)
    half = _normal() * sqrt((1 + rho * rho / 2) / (len(x) - 3))
    middle = float(np.arctanh(rho))
    return rho, (tanh(middle - half), tanh(middle + half)), float(found.pvalue)


def _ts(drawn: Values, mean: float) -> Values:
    """(draws, n) values -> t* of each draw; infinite for a draw of equal values that are not the
    mean.
    """
    return _divided(drawn.mean(1) - mean, drawn.std(1, ddof=1) / sqrt(drawn.shape[1]))


def _divided(part: Values, whole: Values) -> Values:
    """part / whole; of 0 wholes, infinity with the part's sign, and 0 for 0 / 0."""
    none = whole <= 1e-12 * np.maximum(
        1.0, np.abs(part)
    )  # a deviation of equal values is not always 0
    ratio: Values = np.divide(part, whole, out=np.zeros_like(part), where=~none)
    return np.where(none & (np.abs(part) > 1e-12), np.copysign(inf, part), ratio)


def _standard_error(values: Values) -> float:
    """Of the mean; 0 where the values are equal up to rounding."""
    spread = float(np.std(values, ddof=1))
    return 0.0 if spread <= _rounding(values) else spread / sqrt(len(values))


def _rounding(values: Values) -> float:
    return 1e-12 * max(1.0, float(np.abs(values).max()))


def _normal() -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + LEVEL) / 2)
