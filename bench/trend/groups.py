"""What a few dozen calls say about a group, and about the difference between two groups.

Values are one number per call. A figure that is not defined (too few calls, calls that are all
alike) is None, never NaN.
"""

from dataclasses import dataclass
from math import exp, inf, isfinite, lgamma, sqrt, tanh

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95
DRAWS = 5000  # of the bootstrap, as in Wang et al.'s Table VII
PERMUTATIONS = (
    9999  # with the observed one a round 10,000; all of them where there are fewer
)
SEED = 0
MIN_CALLS = 5  # for an interval: of fewer, a draw too often repeats one call
CHUNK = 500  # draws at a time: bounds memory
_LARGE = 1e300  # in place of infinity, which cannot be compared with a tolerance


@dataclass(frozen=True)
class Comparison:
    """Group A against group B. `difference`, `t`, `g`, `delta` are positive where A is higher."""

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
    """95 % bootstrap-t interval of the mean of n values, within the measure's range [low, high].

    Each draw of n calls with replacement gives t* = (mean* - mean) / (sd* / sqrt(n)); the interval
    is mean - t*_(.975) sd / sqrt(n) to mean - t*_(.025) sd / sqrt(n) (Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, section 12.5). For skewed counts like NSS the percentile
    interval covers the mean too rarely in small groups: see docs/trend.md. None for fewer than 5
    calls, for calls that are all alike, and where a bound is not finite.
    """
    if len(values) < MIN_CALLS:
        return None
    error = _standard_error(values)
    if not error:
        return None
    mean = float(np.mean(values))
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    below, above = np.quantile(_drawn_t(values, draws), tails, method="inverted_cdf")
    least = max(low, mean - float(above) * error)
    most = min(high, mean - float(below) * error)
    if not isfinite(least) or not isfinite(most):
        return None
    return least, most


def compare(a: Values, b: Values) -> Comparison:
    """Every test and effect size of A against B, two-sided.

    Raises:
        ValueError: either group has fewer than two calls.
    """
    from scipy import stats

    if min(len(a), len(b)) < 2:
        raise ValueError("a comparison needs two calls or more in each group")
    difference = np.mean(a) - np.mean(b)
    t, df, p_welch, difference_interval = welch(a, b) or (None,) * 4
    ranks = stats.mannwhitneyu(a, b)
    u = float(ranks.statistic)
    p_ranks = float(ranks.pvalue)
    pairs = len(a) * len(b)
    g = hedges_g(a, b)
    return Comparison(
        difference=float(difference),
        difference_interval=difference_interval,
        t=t,
        df=df,
        p_welch=p_welch,
        u=u,
        p_mann_whitney=None if _all_alike(a, b) else p_ranks,
        p_permutation=permutation_p(a, b),
        g=g,
        g_interval=None if g is None else hedges_interval(g, len(a), len(b)),
        delta=2 * u / pairs - 1,  # Cliff's delta: P(A > B) - P(A < B), in [-1, 1]
    )


def welch(a: Values, b: Values) -> tuple[float, float, float, Interval] | None:
    """t, its degrees of freedom, p, and the 95 % interval of the difference of means (Welch,
    Biometrika 34, 1947).

    t = (mean A - mean B) / sqrt(v_A + v_B), with v a group's variance / calls; df = (v_A + v_B)^2 /
    (v_A^2 / (n_A - 1) + v_B^2 / (n_B - 1)). None where neither group varies.
    """
    from scipy import stats

    v_a = _standard_error(a) ** 2
    v_b = _standard_error(b) ** 2
    variance = v_a + v_b
    if not variance:
        return None
    error = sqrt(variance)
    difference = float(np.mean(a) - np.mean(b))
    t = difference / error
    spread_a = v_a**2 / (len(a) - 1)
    spread_b = v_b**2 / (len(b) - 1)
    df = variance**2 / (spread_a + spread_b)
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, df))
    half = quantile * error
    p = 2 * float(stats.t.sf(abs(t), df))
    return t, df, p, (difference - half, difference + half)


def permutation_p(a: Values, b: Values) -> float | None:
    """Share of the divisions of the calls whose |t| (Welch's) is at least the observed one.

    Of Welch's t, not of the difference of means, so that groups that differ only in spread are
    not taken to differ (Janssen, Statistics & Probability Letters 36, 1997). Over every division
    where there are at most 9,999, else over so many random ones, of which the observed one is one.
    None where all calls are alike.
    """
    from scipy import stats

    if _all_alike(a, b):
        return None
    result = stats.permutation_test(
        (a, b),
        _absolute_t,
        vectorized=True,
        n_resamples=PERMUTATIONS,
        alternative="greater",
        batch=1000,
        rng=np.random.default_rng(SEED),
    )
    return float(result.pvalue)


def hedges_g(a: Values, b: Values) -> float | None:
    """Standardised difference: J (mean A - mean B) / s, with s the pooled deviation, df = n_A + n_B
    - 2.

    J = Gamma(df / 2) / (sqrt(df / 2) Gamma((df - 1) / 2)) removes its bias (Hedges, Journal of
    Educational Statistics 6, 1981). None where neither group varies.
    """
    df = len(a) + len(b) - 2
    squares_a = (len(a) - 1) * np.var(a, ddof=1)
    squares_b = (len(b) - 1) * np.var(b, ddof=1)
    pooled = sqrt((squares_a + squares_b) / df)
    if pooled <= _rounding(np.concatenate([a, b])):
        return None
    log_ratio = lgamma(df / 2) - lgamma((df - 1) / 2)
    unbiased = exp(log_ratio) / sqrt(df / 2)
    difference = float(np.mean(a) - np.mean(b))
    return unbiased * difference / pooled


def hedges_interval(g: float, n: int, m: int) -> Interval:
    """95 %: g -+ 1.96 sqrt((n + m) / (n m) + g^2 / (2 (n + m))) (Hedges & Olkin, Statistical
    Methods for Meta-Analysis, 1985, ch. 5).
    """
    calls = n + m
    variance = calls / (n * m)
    variance += g * g / (2 * calls)
    half = _normal() * sqrt(variance)
    return g - half, g + half


def spearman(x: Values, y: Values) -> tuple[float, Interval | None, float] | None:
    """Rank correlation in [-1, 1], its 95 % interval, and p; None for fewer than 5 pairs or where
    either is constant.

    Interval: tanh(artanh(rho) -+ 1.96 sqrt((1 + rho^2 / 2) / (n - 3))) (Bonett & Wright,
    Psychometrika 65, 2000); None for a perfect correlation.
    """
    from scipy import stats

    if len(x) < MIN_CALLS or not np.ptp(x) or not np.ptp(y):
        return None
    result = stats.spearmanr(x, y)
    rho = float(result.statistic)
    p = float(result.pvalue)
    if abs(rho) > 1 - 1e-9:
        return rho, None, p
    variance = (1 + rho * rho / 2) / (len(x) - 3)
    half = _normal() * sqrt(variance)
    middle = float(np.arctanh(rho))
    bounds = tanh(middle - half), tanh(middle + half)
    return rho, bounds, p


def _drawn_t(values: Values, draws: int) -> Values:
    """(draws,): t* of draws of the calls with replacement."""
    n = len(values)
    mean = float(np.mean(values))
    random = np.random.default_rng(SEED)
    drawn = []
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        chosen = values[random.integers(0, n, (size, n))]
        drawn.append(_t(chosen, mean))
    return np.concatenate(drawn)


def _t(drawn: Values, mean: float) -> Values:
    """(draws, n) values -> t* of each draw; infinite for a draw of equal values that are not the
    mean.
    """
    n = drawn.shape[1]
    differences = drawn.mean(1) - mean
    errors = drawn.std(1, ddof=1) / sqrt(n)
    return _divided(differences, errors)


def _absolute_t(x: Values, y: Values, axis: int) -> Values:
    """|t| (Welch's) along an axis."""
    difference = np.abs(x.mean(axis) - y.mean(axis))
    variance_x = x.var(axis, ddof=1) / x.shape[axis]
    variance_y = y.var(axis, ddof=1) / y.shape[axis]
    error = np.sqrt(variance_x + variance_y)
    return np.minimum(_divided(difference, error), _LARGE)


def _divided(part: Values, whole: Values) -> Values:
    """part / whole; for a whole of 0, infinity with the part's sign, and 0 for 0 / 0."""
    size = np.abs(part)
    zero = whole <= 1e-12 * np.maximum(
        1.0, size
    )  # a deviation of equal values is not always 0
    ratio: Values = np.divide(part, whole, out=np.zeros_like(part), where=~zero)
    infinite = zero & (size > 1e-12)
    return np.where(infinite, np.copysign(inf, part), ratio)


def _all_alike(a: Values, b: Values) -> bool:
    return not np.ptp([*a, *b])


def _standard_error(values: Values) -> float:
    """Of the mean; 0 where the values are equal up to rounding."""
    calls = len(values)
    spread = float(np.std(values, ddof=1))
    if spread <= _rounding(values):
        return 0.0
    return spread / sqrt(calls)


def _rounding(values: Values) -> float:
    """A deviation that rounding alone may cause."""
    largest = float(np.abs(values).max())
    return 1e-12 * max(1.0, largest)


def _normal() -> float:
    """The 97.5 % quantile of the standard normal distribution."""
    from statistics import NormalDist

    probability = (1 + LEVEL) / 2
    return NormalDist().inv_cdf(probability)
