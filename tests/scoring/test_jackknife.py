"""The jackknife against a naive loop, against known coverage, and at its edges."""

import dataclasses
from math import exp, log, sqrt

import numpy as np
import pytest

from bench.scoring import jackknife
from bench.scoring.best import as_good_as_best
from bench.scoring.jackknife import difference, interval
from bench.scoring.predictions import Predictions
from bench.scoring.sample import Sample
from bench.scoring.scores import concatenate, scores
from benchmarks.coverage import DESIGNS, cell, unstarred

LABELS = ("a", "b", "c")
NAMES = ("UA", "WA", "F1 macro", "F1 weighted", "F1 (b)", "recall (c)")
T_OF_7 = 2.364624  # t(.975, 7), from printed tables


def drawn(
    seed: int,
    speakers: int = 8,
    clips: int = 12,
    skill: float = 0.7,
    spread: float = 0.1,
    known: int | None = None,
) -> Predictions:
    """Speakers with `clips` each, balanced over classes; a speaker's skill varies by `spread`.

    Only the first `known` speakers have a name.
    """
    random = np.random.default_rng(seed)
    truth = np.tile(np.arange(3), (speakers, clips // 3))
    of_speaker = np.clip(skill + spread * random.standard_normal((speakers, 1)), 0, 1)
    wrong = (truth + random.integers(1, 3, truth.shape)) % 3
    predicted = np.where(random.random(truth.shape) < of_speaker, truth, wrong).ravel()
    last = speakers if known is None else known
    numbers = [i // clips for i in range(truth.size)]
    return Predictions(
        labels=LABELS,
        clips=tuple(f"c{i:03d}" for i in range(truth.size)),
        speakers=tuple(f"s{n}" if n < last else None for n in numbers),
        truth=np.eye(3, dtype=bool)[truth.ravel()],
        probabilities=np.eye(3)[predicted],
    )


def said(truth: str, predicted: str, speakers: str, labels: str = "ab") -> Predictions:
    """One character per clip; a speaker `-` is unknown."""
    return Predictions(
        labels=tuple(labels),
        clips=tuple(f"{i:03d}" for i in range(len(truth))),
        speakers=tuple(None if s == "-" else s for s in speakers),
        truth=np.array([[t == label for label in labels] for t in truth]),
        probabilities=np.array(
            [[1.0 * (p == label) for label in labels] for p in predicted]
        ),
    )


def kept(p: Predictions, rows: list[int]) -> Predictions:
    return dataclasses.replace(
        p,
        clips=tuple(p.clips[i] for i in rows),
        speakers=tuple(p.speakers[i] for i in rows),
        truth=p.truth[rows],
        probabilities=p.probabilities[rows],
    )


def naive(seeds: list[Predictions], name: str) -> list[float]:
    """The score without each known speaker."""
    found = []
    for speaker in sorted({s for s in seeds[0].speakers if s}):
        rows = [i for i, s in enumerate(seeds[0].speakers) if s != speaker]
        found.append(float(np.mean([scores(kept(p, rows))[name] for p in seeds])))
    return found


def logistic_bounds(value: float, error: float, t: float) -> tuple[float, float]:
    logit = log(value / (1 - value))
    half = t * error / (value * (1 - value))
    return 1 / (1 + exp(half - logit)), 1 / (1 + exp(-half - logit))


@pytest.mark.parametrize("name", NAMES)
def test_interval_is_the_formula_over_a_naive_loop(name: str) -> None:
    seeds = [drawn(0), drawn(1)]
    without = np.array(naive(seeds, name))
    error = sqrt(7 / 8 * ((without - without.mean()) ** 2).sum())
    value = float(np.mean([scores(p)[name] for p in seeds]))
    found = interval(Sample(seeds), name)
    assert found.bounds == pytest.approx(
        logistic_bounds(value, error, T_OF_7), abs=1e-6
    )
    assert (found.unit, found.units, found.clips) == ("speaker", 8, 0)
    assert not found.note


def test_difference_deletes_the_same_speakers_on_both_sides() -> None:
    one, other = [drawn(0), drawn(1)], [drawn(2, skill=0.5)]
    deleted = np.array(naive(one, "UA")) - np.array(naive(other, "UA"))
    error = sqrt(7 / 8 * ((deleted - deleted.mean()) ** 2).sum())
    found = difference(Sample(one), Sample(other), "UA")
    assert found is not None
    value = float(np.mean([scores(p)["UA"] for p in one])) - scores(other[0])["UA"]
    assert found.value == pytest.approx(value)
    assert found.bounds == pytest.approx(
        (value - T_OF_7 * error, value + T_OF_7 * error), abs=1e-6
    )
    from scipy.stats import t

    assert found.p == pytest.approx(2 * t.sf(abs(value) / error, 7))


def test_unknown_speakers_are_a_stratum_of_clips() -> None:
    mixed = drawn(0, known=6)
    found = interval(Sample([mixed]), "UA")
    assert (found.unit, found.units, found.clips) == ("speaker+clip", 6, 24)
    total = 0.0
    for group in (
        [[i for i, s in enumerate(mixed.speakers) if s == f"s{n}"] for n in range(6)],
        [[i] for i, s in enumerate(mixed.speakers) if s is None],
    ):
        rows = range(len(mixed.clips))
        without = np.array(
            [
                scores(kept(mixed, [i for i in rows if i not in unit]))["UA"]
                for unit in group
            ]
        )
        n = len(group)
        total += (n - 1) / n * ((without - without.mean()) ** 2).sum()
    t_of_5 = 2.570582
    expected = logistic_bounds(scores(mixed)["UA"], sqrt(total), t_of_5)
    assert found.bounds == pytest.approx(expected, abs=1e-6)


def test_without_any_speaker_clips_are_the_units() -> None:
    found = interval(Sample([drawn(0, known=0)]), "UA")
    assert (found.unit, found.units, found.clips) == ("clip", 96, 0)


def test_one_speaker_gives_no_interval_and_says_why() -> None:
    alone = Sample([drawn(0, speakers=1)])
    found = interval(alone, "UA")
    assert (found.bounds, found.note) == (None, jackknife.ONE_SPEAKER)
    assert difference(alone, alone, "UA") is None


def test_a_class_of_one_speaker_keeps_its_recall_and_f1() -> None:
    lone = said("aabbabac", "abbbaabc", "xxxxyyyz", "abc")
    sample = Sample([lone])
    assert sample.of_one_speaker == ["c"]
    without_z = float(sample.without_each("UA")[2])
    of_others = scores(kept(lone, list(range(7))))
    kept_recall = (of_others["recall (a)"] + of_others["recall (b)"] + 1) / 3
    assert without_z == pytest.approx(kept_recall)
    kept_f1 = (of_others["F1 (a)"] + of_others["F1 (b)"] + 1) / 3
    assert float(sample.without_each("F1 macro")[2]) == pytest.approx(kept_f1)
    assert Sample([said("aab", "aab", "xyz", "abc")]).lacking == ["c"]


def test_perfect_and_hopeless_scores_have_exact_intervals() -> None:
    perfect = Sample([said("aaaabb", "aaaabb", "xxyyxy")])
    ua = interval(perfect, "UA")
    assert ua.bounds == pytest.approx((1 - (1 - 0.025 ** (1 / 2)) / 2, 1))
    wa = interval(perfect, "WA")
    assert wa.bounds == pytest.approx((0.025 ** (1 / 6), 1))  # Clopper-Pearson, 6 of 6
    assert (ua.note, wa.note) == (jackknife.EXACT, jackknife.EXACT)
    f1 = interval(perfect, "F1 macro")
    assert (f1.bounds, f1.note) == (None, jackknife.NO_VARIANCE)
    hopeless = interval(Sample([said("aaaabb", "bbbbaa", "xxyyxy")]), "UA")
    assert hopeless.bounds == pytest.approx((0, (1 - 0.025 ** (1 / 2)) / 2))


def test_speakers_that_are_all_alike_leave_an_interval_over_clips() -> None:
    alike = Sample([said("aabb" * 3, "abba" * 3, "xxxxyyyyzzzz")])
    found = interval(alike, "UA")
    assert found.note == jackknife.OVER_CLIPS
    low, high = found.bounds or (0.5, 0.5)
    assert low < 0.5 < high


def test_clips_of_several_folds_count_each_time_and_go_with_their_speaker() -> None:
    p = drawn(0)
    twice = concatenate([p, p])
    once = interval(Sample([p]), "UA").bounds
    assert interval(Sample([twice]), "UA").bounds == pytest.approx(once)


def test_seeds_are_averaged_and_never_units() -> None:
    p = drawn(0)
    of_one = interval(Sample([p]), "UA").bounds
    assert interval(Sample([p, p, p]), "UA").bounds == pytest.approx(of_one)


def test_order_of_clips_does_not_matter() -> None:
    p, q = drawn(0), drawn(1)
    backwards = kept(q, list(reversed(range(len(q.clips)))))
    expected = difference(Sample([p]), Sample([q]), "UA")
    found = difference(Sample([p]), Sample([backwards]), "UA")
    assert found
    assert expected
    assert found.bounds == pytest.approx(expected.bounds)


def test_what_cannot_be_compared_is_refused() -> None:
    p = drawn(0)
    other = kept(p, list(range(50)))
    with pytest.raises(ValueError, match="same clips"):
        difference(Sample([p]), Sample([other]), "UA")
    with pytest.raises(ValueError, match="same clips"):
        Sample([p, other])
    with pytest.raises(ValueError, match="no predictions"):
        Sample([])


def test_thresholds_of_folds_are_kept() -> None:
    several = Predictions(
        labels=("a", "b"),
        clips=("1", "2", "3", "4"),
        speakers=("x", "x", "y", "y"),
        truth=np.array([[1, 1], [0, 1], [1, 0], [1, 1]], dtype=bool),
        probabilities=np.array([[0.4, 0.6], [0.2, 0.4], [0.9, 0.1], [0.7, 0.6]]),
        multilabel=True,
        thresholds=np.array([[0.3, 0.5], [0.3, 0.5], [0.8, 0.5], [0.8, 0.5]]),
    )
    sample = Sample([several])
    for name in ("UA", "WA", "F1 macro", "F1 micro"):
        assert sample.value(name) == pytest.approx(scores(several)[name])


def test_a_clearly_worse_system_is_told_from_the_best_and_an_equal_one_is_not() -> None:
    best = Sample([drawn(0, skill=0.8, spread=0.02)])
    like_it = Sample([drawn(1, skill=0.8, spread=0.02)])
    worse = Sample([drawn(2, skill=0.4, spread=0.02)])
    assert as_good_as_best([worse, best, like_it], "UA") == [False, True, True]
    assert as_good_as_best([best, best], "UA") == [True, True]


def test_intervals_cover_and_equal_systems_are_seldom_called_different() -> None:
    # the bootstrap over clips that stood here covers 34 to 51 % with 4 speakers
    covered, excluded = cell(DESIGNS["4 classes, unbalanced"], (4, 60), 250)
    assert min(covered) > 0.91  # 3 standard errors below 95 %
    assert excluded < 0.095


@pytest.mark.slow
@pytest.mark.parametrize("size", [(4, 300), (5, 100), (10, 54), (24, 60)])
@pytest.mark.parametrize("name", DESIGNS)
def test_coverage_of_every_design(name: str, size: tuple[int, int]) -> None:
    covered, excluded = cell(DESIGNS[name], size, 3000)
    assert min(covered) >= 0.927
    assert max(covered) <= 0.973
    assert 0.02 <= excluded <= 0.065


@pytest.mark.slow
def test_of_equal_systems_a_row_is_seldom_without_a_star() -> None:
    assert unstarred(DESIGNS["4 classes, balanced"], (10, 54), 300) <= 0.06
