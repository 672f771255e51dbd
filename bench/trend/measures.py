"""What Wang et al. measure of a call (arXiv 2501.08696, section IV.E): how often, and how
changeably, it is negative.

A call is the probabilities e_1 ... e_n of the negative class, one for each of its segments in their
order.
"""

from collections.abc import Sequence
from itertools import pairwise

# A segment is negative from this probability on: of two classes, the more probable one.
THRESHOLD = 0.5


def nss(probabilities: Sequence[float]) -> int:
    """Negative speech segments: #{i : e_i >= 0.5}, from 0 to n. (Their tables head it NNS, too.)

    The thresholds that a run may have do not matter: those of a binary task are 0.5. Raises
    ValueError for anything but numbers in [0, 1].
    """
    return sum(decisions(probabilities))


def ecr(probabilities: Sequence[float], binarised: bool = False) -> float | None:
    """Emotional change rate, their Eq. 7: 1 / (n - 1) * sum over i = 2 ... n of |e_i - e_(i-1)|, in
    [0, 1].

    `binarised` as in their released script: of the decisions (0 or 1) in place of the
    probabilities, which makes it the share of neighbours that are decided differently. None for
    fewer than two segments, which have no change. Raises ValueError for anything but numbers in [0,
    1].
    """
    decided = decisions(probabilities)
    values = decided if binarised else probabilities
    steps = len(values) - 1
    if steps < 1:
        return None
    changes = [abs(later - earlier) for earlier, later in pairwise(values)]
    return sum(changes) / steps


def decisions(probabilities: Sequence[float]) -> list[bool]:
    """Which segments count as negative. Raises ValueError for anything but numbers in [0, 1]."""
    decided = []
    for probability in probabilities:
        if not 0 <= probability <= 1:  # true for NaN
            raise ValueError("a probability is not a number within [0, 1]")
        decided.append(probability >= THRESHOLD)
    return decided
