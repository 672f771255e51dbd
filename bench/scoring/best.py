"""Which systems cannot be told from the best one."""

from collections.abc import Sequence
from itertools import combinations

from bench.scoring.corrected import holm
from bench.scoring.jackknife import LEVEL, difference
from bench.scoring.sample import Sample

ALPHA = 1 - LEVEL


def as_good_as_best(samples: Sequence[Sample], name: str) -> list[bool]:
    """Whether each sample's score does not differ from the highest one.

    The p values of all pairs are corrected together, not those of the highest score's pairs alone:
    which one is the highest was chosen by looking.

    Raises:
        ValueError: They do not hold predictions of the same clips and speakers.
    """
    values = [sample.value(name) for sample in samples]
    best = values.index(max(values))
    places = range(len(samples))
    pairs = list(combinations(places, 2))
    p_values = []
    for one, other in pairs:
        found = difference(samples[one], samples[other], name)
        p_values.append(found.p if found else None)

    corrected = holm(p_values)
    different: set[int] = set()
    for pair, p in zip(pairs, corrected, strict=True):
        if best in pair and p is not None and p < ALPHA:
            different.update(pair)
    different.discard(best)
    return [place not in different for place in places]
