"""p-values of several tests, corrected for their number."""

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values that may each be compared with 0.05 although there are k of them: the i-th smallest
    times k - i + 1, never below a smaller one's, at most 1 (Holm, Scandinavian Journal of
    Statistics 6, 1979). None stays None and does not count.
    """
    known = [(p, place) for place, p in enumerate(p_values) if p is not None]
    known.sort()
    corrected = list(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        remaining = len(known) - rank
        largest = max(largest, min(1.0, p * remaining))
        corrected[place] = largest
    return corrected
