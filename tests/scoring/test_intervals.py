"""The bootstrap against a naive loop, against known coverage, and at its edges."""

import dataclasses

import numpy as np
import pytest

from bench.scoring.intervals import ua_difference_interval, ua_interval
from bench.scoring.predictions import Predictions
from bench.scoring.scores import concatenate, scores

LABELS = ("a", "b", "c")


def drawn(
    seed: int,
    speakers: int = 8,
    clips: int = 12,
    skill: float = 0.7,
    spread: float = 0.0,
    known: bool = True,
) -> Predictions:
    """Speakers with `clips` each, balanced over classes; a speaker's skill varies by `spread`."""
    random = np.random.default_rng(seed)
    truth = np.tile(np.arange(3), (speakers, clips // 3))
    of_speaker = np.clip(skill + spread * random.standard_normal((speakers, 1)), 0, 1)
    wrong = (truth + random.integers(1, 3, truth.shape)) % 3
    predicted = np.where(random.random(truth.shape) < of_speaker, truth, wrong).ravel()
    names = [f"s{i // clips}" if known else None for i in range(truth.size)]
    return Predictions(
        labels=LABELS,
        clips=tuple(f"c{i}" for i in range(truth.size)),
        speakers=tuple(names),
        truth=np.eye(3, dtype=bool)[truth.ravel()],
        probabilities=np.eye(3)[predicted],
    )


def chosen(p: Predictions, rows: list[int]) -> Predictions:
    clips, speakers = (
        tuple(p.clips[i] for i in rows),
        tuple(p.speakers[i] for i in rows),
    )
    return dataclasses.replace(
        p,
        clips=clips,
        speakers=speakers,
        truth=p.truth[rows],
        probabilities=p.probabilities[rows],
    )


def test_interval_of_speakers_equals_a_naive_loop() -> None:
    seeds = [drawn(0), drawn(1)]
    of_speaker = [
        [i for i, s in enumerate(seeds[0].speakers) if s == f"s{n}"] for n in range(8)
    ]
    times = np.random.default_rng(3).multinomial(8, np.full(8, 1 / 8), 60)
    naive = []
    for draw in times:
        rows = [
            i
            for speaker, n in enumerate(draw)
            for _ in range(n)
            for i in of_speaker[speaker]
        ]
        naive.append(np.mean([scores(chosen(p, rows))["UA"] for p in seeds]))
    assert ua_interval(seeds, draws=60, seed=3) == pytest.approx(
        tuple(np.quantile(naive, [0.025, 0.975])), abs=1e-12
    )


def test_interval_of_clips_equals_a_naive_loop() -> None:
    p = drawn(0, known=False)
    order = sorted(range(len(p.clips)), key=lambda i: p.clips[i])
    # classes are drawn among themselves, in the order of their one-hot rows as bytes
    strata = [[i for i in order if p.truth[i, c]] for c in (2, 1, 0)]
    random = np.random.default_rng(3)
    times = [
        random.multinomial(len(s), np.full(len(s), 1 / len(s)), 60) for s in strata
    ]
    naive = [
        scores(
            chosen(
                p,
                [
                    i
                    for s, t in zip(strata, times, strict=True)
                    for i, n in zip(s, t[d], strict=True)
                    for _ in range(n)
                ],
            )
        )
        for d in range(60)
    ]
    expected = np.quantile([s["UA"] for s in naive], [0.025, 0.975])
    assert ua_interval([p], draws=60, seed=3) == pytest.approx(
        tuple(expected), abs=1e-12
    )


@pytest.mark.parametrize("known", [True, False])
def test_interval_covers_the_true_score_as_often_as_it_says(known: bool) -> None:
    """95 % of intervals hold the score of the population; 150 simulated ones: 0.95 +- 0.018, less
    with 24 speakers.
    """
    spread = 0.1 if known else 0.0
    found = [
        ua_interval([drawn(s, 24, 30, 0.6, spread, known)], draws=300)
        for s in range(150)
    ]
    assert 0.88 <= np.mean([low <= 0.6 <= high for low, high in found]) <= 0.99


def test_speakers_that_differ_widen_the_interval() -> None:
    alone = drawn(0, 24, 30, 0.6, spread=0.3)
    unknown = dataclasses.replace(alone, speakers=(None,) * len(alone.clips))
    by_speaker, by_clip = ua_interval([alone]), ua_interval([unknown])
    assert by_speaker[1] - by_speaker[0] > 1.5 * (by_clip[1] - by_clip[0])


def test_interval_holds_the_score_and_is_the_same_each_time() -> None:
    p = drawn(0)
    low, high = ua_interval([p])
    assert low < scores(p)["UA"] < high
    assert ua_interval([p]) == (low, high)
    assert ua_interval([p], seed=1) != (low, high)


def test_order_of_clips_does_not_matter() -> None:
    p = drawn(0)
    assert ua_interval([chosen(p, list(range(len(p.clips)))[::-1])]) == ua_interval([p])
    assert ua_interval([p, p]) == ua_interval([p])


def test_four_speakers_are_too_few_to_draw() -> None:
    p = drawn(0, speakers=4)
    assert ua_interval([p]) == ua_interval(
        [dataclasses.replace(p, speakers=(None,) * len(p.clips))]
    )


def test_clips_of_unknown_speakers_are_drawn_alone() -> None:
    p = drawn(0)
    part = dataclasses.replace(p, speakers=(*p.speakers[:-12], *[None] * 12))
    low, high = ua_interval([part])
    assert low < scores(p)["UA"] < high


def test_a_clip_tested_in_every_fold_is_drawn_with_all_its_predictions() -> None:
    p = drawn(0, known=False)
    assert ua_interval([concatenate([p, p])]) == pytest.approx(ua_interval([p]))


def test_perfect_predictions_have_an_interval_of_no_width() -> None:
    assert ua_interval([drawn(0, skill=1.0)]) == (1.0, 1.0)


def test_multilabel_predictions_have_an_interval() -> None:
    p = drawn(0)
    assert ua_interval([dataclasses.replace(p, multilabel=True)]) == ua_interval([p])


def test_interval_refuses_seeds_of_different_clips_and_nothing() -> None:
    with pytest.raises(ValueError, match="same clips"):
        ua_interval([drawn(0), drawn(0, speakers=7)])
    with pytest.raises(ValueError, match="no predictions"):
        ua_interval([])


def test_a_difference_is_taken_on_the_same_draws() -> None:
    better, worse = drawn(0, 24, 30, 0.8, spread=0.2), drawn(0, 24, 30, 0.6, spread=0.2)
    rows = [
        [i for i, s in enumerate(better.speakers) if s == f"s{n}"] for n in range(24)
    ]
    order = sorted(
        range(24), key=lambda n: f"s{n}"
    )  # speakers are numbered by their names
    naive = []
    for draw in np.random.default_rng(3).multinomial(24, np.full(24, 1 / 24), 60):
        drawn_rows = [
            i
            for n, times in zip(order, draw, strict=True)
            for _ in range(times)
            for i in rows[n]
        ]
        naive.append(
            scores(chosen(better, drawn_rows))["UA"]
            - scores(chosen(worse, drawn_rows))["UA"]
        )
    found = ua_difference_interval([better], [worse], draws=60, seed=3)
    assert found == pytest.approx(tuple(np.quantile(naive, [0.025, 0.975])), abs=1e-12)
    other_way = ua_difference_interval([worse], [better], draws=60, seed=3)
    assert other_way == pytest.approx((-found[1], -found[0]))


def test_a_system_differs_from_itself_by_nothing_whatever_the_order_of_its_clips() -> (
    None
):
    p = drawn(0)
    assert ua_difference_interval(
        [p], [chosen(p, list(range(len(p.clips)))[::-1])]
    ) == (0.0, 0.0)


def test_a_difference_covers_the_true_one_as_often_as_it_says() -> None:
    found = [
        ua_difference_interval(
            [drawn(s, 24, 30, 0.7)], [drawn(s + 1000, 24, 30, 0.6)], draws=300
        )
        for s in range(120)
    ]
    assert 0.88 <= np.mean([low <= 0.1 <= high for low, high in found]) <= 0.99


def test_a_difference_refuses_other_clips() -> None:
    with pytest.raises(ValueError, match="same clips"):
        ua_difference_interval([drawn(0)], [drawn(0, speakers=7)])
