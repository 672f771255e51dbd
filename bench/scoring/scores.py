"""Scores of predictions, each with its averaging in its name. Plain functions, computed from
counts.

Conventions, where libraries differ:

- The predicted class is the most probable one; of equally probable classes, the first in label order.
  In a multi-label task a class is predicted from its threshold on, which is 0.5 where the predictions name no other.
- A class that no clip's truth holds has no recall: it is left out of UA, and its own recall is 0.
- A class that occurs in neither truth nor predictions is left out of F1 macro; one that is predicted, wrongly, counts
  with 0, as in scikit-learn.
- A precision of a class that is never predicted is 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]

THRESHOLD = 0.5  # of a class's probability, in a multi-label task whose predictions name no other


def scores(predictions: Predictions) -> dict[str, float]:
    """UA, WA, F1 macro, F1 weighted, and F1, recall and precision of each class: fractions in [0,
    1].

    A multi-label task has F1 micro, too. Raises ValueError without any clip.
    """
    _some(predictions)
    counts = outcomes(predictions)
    named: dict[str, Any] = {
        "UA": ua(counts),
        "WA": accuracy(predictions),
        "F1 macro": f1_macro(counts),
        "F1 weighted": f1_weighted(counts),
    }
    if predictions.multilabel:
        named["F1 micro"] = f1_micro(counts)
    for name, per_class in {
        "F1": f1(counts),
        "recall": recall(counts),
        "precision": precision(counts),
    }.items():
        named |= {
            f"{name} ({label})": value
            for label, value in zip(predictions.labels, per_class, strict=True)
        }
    return {name: float(value) for name, value in named.items()}


def confusion(predictions: Predictions) -> Counts:
    """(classes, classes) counts: a row per true class, a column per predicted one.

    Raises ValueError without any clip, or in a multi-label task, where a clip has no one true
    class.
    """
    _some(predictions)
    if predictions.multilabel:
        raise ValueError("a multi-label task has no confusion matrix: use outcomes")
    size = len(predictions.labels)
    cells = predictions.truth.argmax(1) * size + predictions.probabilities.argmax(1)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def outcomes(predictions: Predictions) -> Counts:
    """(3, classes): per class, the clips that are hits, false alarms and misses."""
    truth, decided = predictions.truth, decisions(predictions)
    return np.stack(
        [(truth & decided).sum(0), (~truth & decided).sum(0), (truth & ~decided).sum(0)]
    )


def decisions(predictions: Predictions) -> NDArray[np.bool_]:
    """(clips, classes): the classes that each clip is said to have; exactly one unless the task is
    multi-label.
    """
    probabilities = predictions.probabilities
    if predictions.multilabel:
        return probabilities >= (
            THRESHOLD if predictions.thresholds is None else predictions.thresholds
        )
    chosen: NDArray[np.bool_] = np.eye(probabilities.shape[1], dtype=bool)[probabilities.argmax(1)]
    return chosen


def accuracy(predictions: Predictions) -> float:
    """WA: correct clips / clips. In a multi-label task every class of a clip must be right (exact
    match).
    """
    _some(predictions)
    return float((decisions(predictions) == predictions.truth).all(1).mean())


def ua(counts: Counts) -> Scores:
    """UA: sum of recalls / classes that occur in the truth. Counts (..., 3, classes) give scores of
    shape (...).
    """
    occurs = counts[..., 0, :] + counts[..., 2, :] > 0
    return _ratio(recall(counts).sum(-1), occurs.sum(-1))


def recall(counts: Counts) -> Scores:
    """Hits / (hits + misses) per class; 0 where the class does not occur."""
    return _ratio(counts[..., 0, :], counts[..., 0, :] + counts[..., 2, :])


def precision(counts: Counts) -> Scores:
    """Hits / (hits + false alarms) per class; 0 where the class is never predicted."""
    return _ratio(counts[..., 0, :], counts[..., 0, :] + counts[..., 1, :])


def f1(counts: Counts) -> Scores:
    """2 hits / (2 hits + false alarms + misses) per class: the harmonic mean of recall and
    precision; 0 for 0 / 0.
    """
    return _ratio(
        2 * counts[..., 0, :], 2 * counts[..., 0, :] + counts[..., 1, :] + counts[..., 2, :]
    )


def f1_macro(counts: Counts) -> Scores:
    """Mean of the classes' F1, over classes that occur in truth or predictions."""
    return _ratio(f1(counts).sum(-1), (counts.sum(-2) > 0).sum(-1))


def f1_weighted(counts: Counts) -> Scores:
    """Mean of the classes' F1, each weighted by its clips in the truth."""
    support = counts[..., 0, :] + counts[..., 2, :]
    return _ratio((f1(counts) * support).sum(-1), support.sum(-1))


def f1_micro(counts: Counts) -> Scores:
    """F1 of all decisions about all classes together."""
    return f1(counts.sum(-1, keepdims=True))[..., 0]


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several folds as one, in the order given.

    A clip may occur in several parts: where every fold tests on the same held-out clips, each of
    its predictions counts. Each fold keeps its own thresholds. Raises ValueError without parts, if
    their labels differ, or if a clip's truth or speaker does.
    """
    if not parts:
        raise ValueError("there are no predictions to put together")
    first = parts[0]
    if any((p.labels, p.multilabel) != (first.labels, first.multilabel) for p in parts):
        raise ValueError("predictions over different labels cannot be put together")
    whole = Predictions(
        labels=first.labels,
        clips=tuple(clip for p in parts for clip in p.clips),
        speakers=tuple(speaker for p in parts for speaker in p.speakers),
        truth=np.concatenate([p.truth for p in parts]),
        probabilities=np.concatenate([p.probabilities for p in parts]),
        multilabel=first.multilabel,
        thresholds=_thresholds(parts),
    )
    _agree(whole)
    return whole


def _thresholds(parts: Sequence[Predictions]) -> Scores | None:
    if all(p.thresholds is None for p in parts):
        return None
    return np.concatenate(
        [np.full(p.truth.shape, THRESHOLD) if p.thresholds is None else p.thresholds for p in parts]
    )


def _agree(predictions: Predictions) -> None:
    known: dict[str, tuple[str | None, bytes]] = {}
    for clip, speaker, truth in zip(
        predictions.clips, predictions.speakers, predictions.truth, strict=True
    ):
        said = (speaker, truth.tobytes())
        if known.setdefault(clip, said) != said:
            raise ValueError(f"clip {clip} has another speaker or another truth in another part")


def _some(predictions: Predictions) -> None:
    if not len(predictions.clips):
        raise ValueError("there are no predictions to score")


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> Scores:
    """part / whole, and 0 for 0 / 0."""
    ratio: Scores = np.divide(
        part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0
    )
    return ratio
