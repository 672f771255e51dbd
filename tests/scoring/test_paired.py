"""Paired tests against naive loops and worked values."""

from itertools import product

import numpy as np
import pytest

from bench.scoring.paired import EXACT_UNITS, mcnemar, permutation
from bench.scoring.predictions import Predictions
from bench.scoring.sample import Sample
from bench.scoring.scores import scores
from tests.scoring.test_jackknife import drawn, kept, said


def swapped(
    one: Predictions, other: Predictions, speakers: set[str]
) -> tuple[Predictions, Predictions]:
    """Both with the predictions of these speakers exchanged."""
    from dataclasses import replace

    rows = np.array([speaker in speakers for speaker in one.speakers])[:, None]
    mine = np.where(rows, other.probabilities, one.probabilities)
    theirs = np.where(rows, one.probabilities, other.probabilities)
    return replace(one, probabilities=mine), replace(other, probabilities=theirs)


@pytest.mark.parametrize("name", ["UA", "F1 macro"])
def test_every_way_of_swapping_speakers_is_tried(name: str) -> None:
    one, other = drawn(0, speakers=6), drawn(1, speakers=6, skill=0.5)
    observed = abs(scores(one)[name] - scores(other)[name])
    speakers = sorted({s for s in one.speakers if s})
    extreme = 0
    for way in product((False, True), repeat=6):
        chosen = {s for s, is_chosen in zip(speakers, way, strict=True) if is_chosen}
        mine, theirs = swapped(one, other, chosen)
        difference = abs(scores(mine)[name] - scores(theirs)[name])
        extreme += difference >= observed - 1e-12
    found = permutation(Sample([one]), Sample([other]), name)
    assert found.p == pytest.approx(extreme / 2**6)
    assert (found.smallest, found.exact) == (2 / 2**6, True)


def test_more_units_are_drawn_with_a_fixed_seed() -> None:
    one, other = drawn(0, known=0), drawn(1, known=0, skill=0.3)
    assert len(one.clips) > EXACT_UNITS
    found = permutation(Sample([one]), Sample([other]), "UA")
    assert found == permutation(Sample([one]), Sample([other]), "UA")
    assert not found.exact
    assert found.p < 0.001
    alike = permutation(Sample([one]), Sample([one]), "UA")
    assert alike.p == 1


def test_drawn_ways_agree_with_every_way() -> None:
    """16 speakers are drawn; 2^16 ways can still be counted by hand."""
    one, other = drawn(0, speakers=16), drawn(1, speakers=16, skill=0.62)
    units = Sample([one]).by_unit, Sample([other]).by_unit
    hits = [unit.counts[:, 0, 0] for unit in units]
    support = units[0].support[:, 0].sum(0)
    ways = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    gained = ways @ (hits[1] - hits[0])
    mine = ((hits[0].sum(0) + gained) / support).mean(-1)
    theirs = ((hits[1].sum(0) - gained) / support).mean(-1)
    differences = abs(mine - theirs)
    exact = (differences >= differences[0] - 1e-12).mean()
    found = permutation(Sample([one]), Sample([other]), "UA")
    assert found.p == pytest.approx(exact, abs=4 * (0.25 / 10_000) ** 0.5)


def test_a_system_of_one_seed_meets_each_seed_of_another() -> None:
    one, other = drawn(0), drawn(1, skill=0.5)
    once = permutation(Sample([one]), Sample([other]), "UA")
    assert permutation(Sample([one, one, one]), Sample([other, other]), "UA") == once


def test_mcnemar_gives_the_exact_binomial_p() -> None:
    one = said("a" * 20, "a" * 19 + "b", "x" * 20)
    other = said("a" * 20, "a" * 11 + "b" * 8 + "a", "x" * 20)
    found = mcnemar(Sample([one]), Sample([other]))
    assert (found.one_alone, found.other_alone) == (8, 1)
    assert found.p == pytest.approx(2 * (1 + 9) / 2**9)  # 8 and 1 of 9 throws
    assert mcnemar(Sample([one]), Sample([one])).p == 1


def test_other_clips_are_refused() -> None:
    p = drawn(0)
    with pytest.raises(ValueError, match="same clips"):
        permutation(Sample([p]), Sample([kept(p, list(range(48)))]), "UA")
