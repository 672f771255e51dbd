"""Intervals of scores by the bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13).

Clips of one speaker are not independent, so speakers are drawn; where fewer than five are known,
clips are drawn, within each class. The score of a draw depends only on its counts, and these are
the sum of its members' counts, so that 2,000 draws are a few matrix products.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import Counts, decisions, ua

MIN_SPEAKERS = 5  # fewer do not show how speakers differ
LEVEL = 0.95
CHUNK = 100  # draws at a time, which bounds memory


def ua_interval(
    predictions_by_seed: Sequence[Predictions], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """(low, high): 95 % percentile interval of UA, averaged over training seeds.

    Every seed is scored on the same draws of speakers. The interval covers the variation between
    samples of speakers (or clips), not between training seeds. With 10 speakers or fewer it is too
    narrow, as percentile intervals of few clusters are. A clip without a speaker counts as a
    speaker of its own.

    Raises:
        ValueError: There are no predictions, or the seeds differ in their clips.
    """
    drawn = _drawn_ua(predictions_by_seed, draws, seed)
    return _interval(drawn)


def ua_difference_interval(
    one: Sequence[Predictions],
    other: Sequence[Predictions],
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """(low, high): 95 % percentile interval of the UA of `one` minus the UA of `other`.

    Both hold predictions by training seed, and are scored on the same draws of speakers.

    Raises:
        ValueError: The two sides do not hold predictions of the same clips.
    """
    has_both = bool(one and other)
    if not has_both or not _same_clips(one[0], other[0]):
        raise ValueError(
            "a difference needs predictions of the same clips on both sides"
        )
    drawn_one = _drawn_ua(one, draws, seed)
    drawn_other = _drawn_ua(other, draws, seed)
    difference = drawn_one - drawn_other
    return _interval(difference)


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    lowest = (1 - LEVEL) / 2
    highest = (1 + LEVEL) / 2
    low, high = np.quantile(drawn, [lowest, highest])
    return float(low), float(high)


def _drawn_ua(
    predictions_by_seed: Sequence[Predictions], draws: int, seed: int
) -> NDArray[np.float64]:
    """(draws,): the UA of each draw, averaged over training seeds.

    The draws depend only on clips, speakers and `seed`.
    """
    _check_clips(predictions_by_seed)
    first = predictions_by_seed[0]
    units = _units(first)
    strata = _strata(first, units)
    by_seed = [
        _counts_by_unit(predictions, units) for predictions in predictions_by_seed
    ]
    counts = np.stack(by_seed, axis=1)

    drawn: list[NDArray[np.float64]] = []
    for times in _draw(strata, draws, seed):
        drawn_counts = _counts_of_draws(times, counts)
        scores = ua(drawn_counts)
        drawn.append(scores.mean(-1))
    return np.concatenate(drawn)


def _check_clips(predictions_by_seed: Sequence[Predictions]) -> None:
    if not predictions_by_seed or not predictions_by_seed[0].clips:
        raise ValueError("there are no predictions to draw from")
    first = predictions_by_seed[0]
    for other in predictions_by_seed:
        if not _same_clips(first, other):
            raise ValueError(
                "an interval over seeds needs predictions of the same clips from every seed"
            )


def _same_clips(one: Predictions, other: Predictions) -> bool:
    clips = sorted(one.clips)
    other_clips = sorted(other.clips)
    return clips == other_clips


def _units(predictions: Predictions) -> dict[str, int]:
    """clip -> number of its unit, which is drawn as a whole.

    The unit is the clip's speaker; the clip itself where the speaker is not known, or where too few
    speakers are.
    """
    speakers = set(predictions.speakers)
    speakers.discard(None)
    by_speaker = len(speakers) >= MIN_SPEAKERS

    unit_of: dict[str, tuple[str, str]] = {}
    rows = zip(
        predictions.clips,
        predictions.speakers,
        strict=True,
    )
    for clip, speaker in rows:
        unit_of[clip] = ("clip", clip)
        if by_speaker and speaker is not None:
            unit_of[clip] = ("speaker", speaker)

    distinct = set(unit_of.values())
    numbers: dict[tuple[str, str], int] = {}
    for number, unit in enumerate(sorted(distinct)):
        numbers[unit] = number
    return {clip: numbers[unit] for clip, unit in unit_of.items()}


def _strata(predictions: Predictions, units: dict[str, int]) -> list[NDArray[np.intp]]:
    """The units that replace each other: all speakers, or the clips of one true class."""
    distinct = set(units.values())
    units_are_clips = len(distinct) == len(units)

    strata: dict[bytes, set[int]] = {}
    rows = zip(
        predictions.clips,
        predictions.truth,
        strict=True,
    )
    for clip, truth in rows:
        stratum = truth.tobytes() if units_are_clips else b""
        members = strata.setdefault(stratum, set())
        members.add(units[clip])

    arrays: list[NDArray[np.intp]] = []
    for stratum in sorted(strata):
        in_order = sorted(strata[stratum])
        arrays.append(np.array(in_order))
    return arrays


def _counts_by_unit(predictions: Predictions, units: dict[str, int]) -> Counts:
    """(units, 3, classes): hits, false alarms and misses of each unit's clips."""
    truth = predictions.truth
    decided = decisions(predictions)
    hits = truth & decided
    false_alarms = ~truth & decided
    misses = truth & ~decided
    of_clips = np.stack([hits, false_alarms, misses], axis=1)

    last_unit = max(units.values())
    classes = len(predictions.labels)
    shape = (last_unit + 1, 3, classes)
    counts = np.zeros(shape, dtype=np.int64)
    rows = [units[clip] for clip in predictions.clips]
    np.add.at(counts, rows, of_clips)
    return counts


def _draw(
    strata: list[NDArray[np.intp]], draws: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """How often each draw holds each unit, (draws, units), CHUNK draws at a time.

    From each stratum, as many units are drawn as it has.
    """
    generator = np.random.default_rng(seed)
    units = sum(len(members) for members in strata)
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        shape = (size, units)
        times = np.zeros(shape, dtype=np.int64)

        for members in strata:
            count = len(members)
            share = 1 / count
            equal_shares = np.full(count, share)
            drawn = generator.multinomial(count, equal_shares, size)
            times[:, members] = drawn
        yield times


def _counts_of_draws(times: NDArray[np.int64], counts: Counts) -> Counts:
    """(draws, units) x (units, seeds, 3, classes) -> (draws, seeds, 3, classes)."""
    # a matrix product of floats is fast, and exact for whole numbers of this size
    exact = times.astype(np.float64)
    by_unit = counts.reshape(len(counts), -1)
    products = exact @ by_unit
    whole = np.rint(products).astype(np.int64)

    shape = counts.shape[1:]
    return whole.reshape(-1, *shape)
