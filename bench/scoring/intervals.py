"""Intervals of scores by the bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993,
ch. 13).

Clips of one speaker are not independent, so speakers are what is drawn; where fewer than five are
known, clips are, within each class. A drawn set's score needs its counts alone, and these are the
sum of its members' counts: 2,000 draws are a few matrix products.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import Counts, decisions, ua

MIN_SPEAKERS = 5  # fewer say nothing of how speakers differ
LEVEL = 0.95
CHUNK = 100  # draws at a time: bounds memory


def ua_interval(
    predictions_by_seed: Sequence[Predictions], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """(low, high): 95 % percentile interval of UA, averaged over training seeds, each drawn the
    same speakers.

    Covers what another sample of speakers (or clips) would change, not what another training seed
    would. With 10 speakers or fewer it is too narrow: percentile intervals of few clusters are. A
    clip without a speaker counts as a speaker of its own. Raises ValueError without predictions, or
    if the seeds differ in their clips.
    """
    return _interval(_drawn_ua(predictions_by_seed, draws, seed))


def ua_difference_interval(
    one: Sequence[Predictions], other: Sequence[Predictions], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """(low, high): 95 % percentile interval of the UA of `one` minus that of `other`, over draws of
    the same speakers.

    Both hold predictions by training seed, of the same clips. Raises ValueError if they do not.
    """
    if not one or not other or sorted(one[0].clips) != sorted(other[0].clips):
        raise ValueError("a difference needs predictions of the same clips on both sides")
    return _interval(_drawn_ua(one, draws, seed) - _drawn_ua(other, draws, seed))


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _drawn_ua(
    predictions_by_seed: Sequence[Predictions], draws: int, seed: int
) -> NDArray[np.float64]:
    """(draws,): UA of each draw, averaged over training seeds; the draws hang on clips, speakers
    and `seed` alone.
    """
    if not predictions_by_seed or not predictions_by_seed[0].clips:
        raise ValueError("there are no predictions to draw from")
    first = predictions_by_seed[0]
    if any(sorted(p.clips) != sorted(first.clips) for p in predictions_by_seed):
        raise ValueError(
            "an interval over seeds needs predictions of the same clips from every seed"
        )
    units = _units(first)
    counts = np.stack([_counts_by_unit(p, units) for p in predictions_by_seed], axis=1)
    drawn = [
        ua(_counts_of_draws(times, counts)).mean(-1)
        for times in _draw(_strata(first, units), draws, seed)
    ]
    return np.concatenate(drawn)


def _units(predictions: Predictions) -> dict[str, int]:
    """clip -> number of what it is drawn with: its speaker, or where too few are known, itself."""
    speakers = set(predictions.speakers) - {None}
    known = len(speakers) >= MIN_SPEAKERS
    keys = {
        clip: ("speaker", speaker) if known and speaker is not None else ("clip", clip)
        for clip, speaker in zip(predictions.clips, predictions.speakers, strict=True)
    }
    numbers = {key: number for number, key in enumerate(sorted(set(keys.values())))}
    return {clip: numbers[key] for clip, key in keys.items()}


def _strata(predictions: Predictions, units: dict[str, int]) -> list[NDArray[np.intp]]:
    """The units that are drawn among each other: all speakers, or the clips of one true class."""
    by_stratum: dict[bytes, set[int]] = {}
    by_clip = len(set(units.values())) == len(units)
    for clip, truth in zip(predictions.clips, predictions.truth, strict=True):
        by_stratum.setdefault(truth.tobytes() if by_clip else b"", set()).add(units[clip])
    return [np.array(sorted(members)) for _, members in sorted(by_stratum.items())]


def _counts_by_unit(predictions: Predictions, units: dict[str, int]) -> Counts:
    """(units, 3, classes): hits, false alarms and misses of each unit's clips."""
    truth, decided = predictions.truth, decisions(predictions)
    of_clip = np.stack([truth & decided, ~truth & decided, truth & ~decided], axis=1)
    counts = np.zeros((max(units.values()) + 1, *of_clip.shape[1:]), dtype=np.int64)
    np.add.at(counts, [units[clip] for clip in predictions.clips], of_clip)
    return counts


def _draw(strata: list[NDArray[np.intp]], draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """(draws, units) at a time: how often each unit is drawn, as many from each stratum as it has."""
    random = np.random.default_rng(seed)
    for start in range(0, draws, CHUNK):
        times = np.zeros((min(CHUNK, draws - start), sum(map(len, strata))), dtype=np.int64)
        for members in strata:
            times[:, members] = random.multinomial(
                len(members), np.full(len(members), 1 / len(members)), len(times)
            )
        yield times


def _counts_of_draws(times: NDArray[np.int64], counts: Counts) -> Counts:
    """(draws, units) x (units, seeds, 3, classes) -> (draws, seeds, 3, classes)."""
    flat = times.astype(np.float64) @ counts.reshape(
        len(counts), -1
    )  # whole numbers, by the fast matrix product
    return np.rint(flat).astype(np.int64).reshape(-1, *counts.shape[1:])
