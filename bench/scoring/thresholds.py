"""Thresholds of a multi-label task: the probability from which on a class is predicted.

They are chosen on the validation part, never on the test part.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import THRESHOLD

CHOSEN = "a class is predicted from the probability on that had its best F1 on the validation part"


def choose(validation: Predictions) -> NDArray[np.float64]:
    """(classes,): for each class the threshold with the highest F1 on `validation`.

    Thresholds lie midway between neighbouring probabilities; of equally good ones, the one nearest
    to 0.5 is chosen. A class that does not occur gets 0.5.
    """
    chosen: list[float] = []
    columns = zip(validation.truth.T, validation.probabilities.T, strict=True)
    for truth, probabilities in columns:
        best = _best(truth, probabilities)
        chosen.append(best)
    return np.array(chosen)


def apply(predictions: Predictions, thresholds: NDArray[np.float64]) -> Predictions:
    """The predictions with `thresholds`, (classes,), for every clip."""
    clips = len(predictions.clips)
    of_every_clip = np.tile(thresholds, (clips, 1))
    return replace(predictions, thresholds=of_every_clip)


def notes(validation: Predictions) -> list[str]:
    """Footnotes of a table on thresholds that were chosen on these predictions."""
    clips: NDArray[np.int64] = validation.truth.sum(0)
    counts = zip(validation.labels, clips, strict=True)
    absent = [label for label, count in counts if count == 0]
    if not absent:
        return [CHOSEN]
    names = ", ".join(absent)
    without = (
        f"no validation clip of {names}: predicted from a probability of {THRESHOLD} on"
    )
    return [CHOSEN, without]


def _best(truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    """The threshold of one class, from its truth and probabilities, (clips,) each."""
    if not truth.any():
        return THRESHOLD

    falling = np.argsort(-probabilities, kind="stable")
    p = probabilities[falling]
    f1 = _f1_of_first(truth[falling])

    # clips of equal probability are predicted together: only the last of them is a candidate
    falls = p[1:] < p[:-1]
    is_last = np.append(falls, True)
    f1 = f1[is_last]
    candidates = p[is_last]

    next_lower = np.append(candidates[1:], 0.0)
    midway = (candidates + next_lower) / 2
    is_best = np.isclose(
        f1,
        f1.max(),
        rtol=0,
        atol=1e-12,
    )
    best = midway[is_best]

    distances = np.abs(best - THRESHOLD)
    nearest = distances.argmin()
    return float(best[nearest])


def _f1_of_first(truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(clips,): F1 if the first 1, 2, ... clips are predicted to have the class."""
    hits = truth.cumsum()
    predicted = np.arange(1, len(truth) + 1)
    support = truth.sum()
    f1: NDArray[np.float64] = 2 * hits / (predicted + support)
    return f1
