"""Thresholds of a multi-label task: from which probability on a clip is said to have a class. Never
chosen on test.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import THRESHOLD

CHOSEN = "a class is predicted from the probability on that had its best F1 on the validation part"


def choose(validation: Predictions) -> NDArray[np.float64]:
    """(classes,): per class the threshold of the highest F1 on `validation`; 0.5 for a class that
    does not occur.

    Thresholds lie midway between neighbouring probabilities; of equally good ones the nearest to
    0.5 is taken.
    """
    columns = zip(validation.truth.T, validation.probabilities.T, strict=True)
    return np.array([_best(truth, probabilities) for truth, probabilities in columns])


def apply(predictions: Predictions, thresholds: NDArray[np.float64]) -> Predictions:
    """The predictions, their classes decided by `thresholds` (classes,)."""
    return replace(predictions, thresholds=np.tile(thresholds, (len(predictions.clips), 1)))


def notes(validation: Predictions) -> list[str]:
    """What a table must say of thresholds chosen on these predictions."""
    clips = validation.truth.sum(0).tolist()
    absent = [label for label, count in zip(validation.labels, clips, strict=True) if not count]
    without = [
        f"no validation clip of {', '.join(absent)}: predicted from a probability of {THRESHOLD} on"
    ]
    return [CHOSEN, *(without if absent else [])]


def _best(truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    if not truth.any():
        return THRESHOLD
    falling = np.argsort(-probabilities, kind="stable")
    p, hits = probabilities[falling], truth[falling].cumsum()
    last = np.append(
        p[1:] < p[:-1], True
    )  # a clip is only ever predicted along with all that are as probable
    f1 = (2 * hits / (np.arange(1, len(p) + 1) + truth.sum()))[last]
    high = p[last]
    cuts = (high + np.append(high[1:], 0.0)) / 2
    best = np.flatnonzero(np.isclose(f1, f1.max(), rtol=0, atol=1e-12))
    return float(cuts[best[np.abs(cuts[best] - THRESHOLD).argmin()]])
