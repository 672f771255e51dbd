"""Scores of predictions, each with its averaging in its name. Plain functions, computed from
counts.

Conventions, where libraries differ:

- The predicted class is the most probable one; of equally probable classes, the first in label
  order. In a multi-label task, a class is predicted from its threshold on, which is 0.5 unless
  the predictions say otherwise.
- A class that is not true of any clip has no recall: it is left out of UA, and its recall is 0.
- A class that occurs in neither truth nor predictions is left out of F1 macro; one that is only
  predicted, and never true, counts with 0, as in scikit-learn.
- The precision of a class that is never predicted is 0.

`Counts` of shape (..., 3, classes) hold hits, false alarms and misses. Scores have shape (...),
or (..., classes) where each class has its own.

Counts may be of a part of a sample, and `whole` of all of it. The score of the part is over the
classes of the whole: one that no clip of the part has keeps the recall and the F1 of the whole.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]

THRESHOLD = (
    0.5  # of a class's probability, in a multi-label task without thresholds of its own
)


def scores(predictions: Predictions) -> dict[str, float]:
    """UA, WA, F1 macro, F1 weighted, and F1, recall and precision of each class: fractions in
    [0, 1].

    A multi-label task also has F1 micro.

    Raises:
        ValueError: There are no clips.
    """
    _check_not_empty(predictions)
    counts = outcomes(predictions)
    overall = {
        "UA": float(ua(counts)),
        "WA": accuracy(predictions),
        "F1 macro": float(f1_macro(counts)),
        "F1 weighted": float(f1_weighted(counts)),
    }
    if predictions.multilabel:
        overall["F1 micro"] = float(f1_micro(counts))
    per_class = {
        "F1": f1(counts),
        "recall": recall(counts),
        "precision": precision(counts),
    }
    for name, values in per_class.items():
        for label, value in zip(predictions.labels, values, strict=True):
            overall[f"{name} ({label})"] = float(value)
    return overall


def confusion(predictions: Predictions) -> Counts:
    """(classes, classes) counts: a row per true class, a column per predicted one.

    Raises:
        ValueError: There are no clips, or the task is multi-label, so that a clip has no single
            true class.
    """
    _check_not_empty(predictions)
    if predictions.multilabel:
        raise ValueError("a multi-label task has no confusion matrix: use outcomes")

    classes = len(predictions.labels)
    true = predictions.truth.argmax(1)
    predicted = predictions.probabilities.argmax(1)
    cells = true * classes + predicted
    counts = np.bincount(cells, minlength=classes * classes)
    return counts.reshape(classes, classes)


def outcomes(predictions: Predictions) -> Counts:
    """(3, classes): the hits, false alarms and misses of each class."""
    of_clips = outcomes_of_clips(predictions)
    return np.asarray(of_clips.sum(0))


def outcomes_of_clips(predictions: Predictions) -> Counts:
    """(clips, 3, classes): whether each clip is a hit, a false alarm or a miss of each class."""
    truth = predictions.truth
    decided = decisions(predictions)
    hits = truth & decided
    false_alarms = ~truth & decided
    misses = truth & ~decided
    of_clips = np.stack(
        [hits, false_alarms, misses],
        axis=1,
    )
    return of_clips.astype(np.int64)


def decisions(predictions: Predictions) -> NDArray[np.bool_]:
    """(clips, classes): the predicted classes of each clip; exactly one unless the task is
    multi-label.
    """
    probabilities = predictions.probabilities
    if predictions.multilabel:
        thresholds = predictions.thresholds
        if thresholds is None:
            return probabilities >= THRESHOLD
        return probabilities >= thresholds

    classes = probabilities.shape[1]
    one_hot = np.eye(classes, dtype=bool)
    most_probable = probabilities.argmax(1)
    chosen: NDArray[np.bool_] = one_hot[most_probable]
    return chosen


def accuracy(predictions: Predictions) -> float:
    """WA: correct clips / clips. In a multi-label task, all classes of a clip must be correct
    (exact match).
    """
    _check_not_empty(predictions)
    decided = decisions(predictions)
    matches = decided == predictions.truth
    is_correct = matches.all(1)
    return float(is_correct.mean())


def ua(counts: Counts, whole: Counts | None = None) -> Scores:
    """UA: sum of recalls / classes that occur in the truth."""
    every = counts if whole is None else whole
    occurs = support_of(every) > 0
    classes = occurs.sum(-1)

    per_class = recall(counts, whole)
    total = per_class.sum(-1)
    return _ratio(total, classes)


def recall(counts: Counts, whole: Counts | None = None) -> Scores:
    """Hits / (hits + misses) of each class; 0 where the class does not occur."""
    hits = counts[..., 0, :]
    support = support_of(counts)
    of_part = _ratio(hits, support)
    if whole is None:
        return of_part
    return np.where(
        _is_lost(counts, whole),
        recall(whole),
        of_part,
    )


def precision(counts: Counts) -> Scores:
    """Hits / (hits + false alarms) of each class; 0 where the class is never predicted."""
    hits = counts[..., 0, :]
    false_alarms = counts[..., 1, :]
    predicted = hits + false_alarms
    return _ratio(hits, predicted)


def f1(counts: Counts, whole: Counts | None = None) -> Scores:
    """2 hits / (2 hits + false alarms + misses) of each class, the harmonic mean of recall and
    precision; 0 for 0 / 0.
    """
    hits = counts[..., 0, :]
    false_alarms = counts[..., 1, :]
    misses = counts[..., 2, :]
    doubled = 2 * hits
    with_errors = doubled + false_alarms + misses
    of_part = _ratio(doubled, with_errors)
    if whole is None:
        return of_part
    return np.where(
        _is_lost(counts, whole),
        f1(whole),
        of_part,
    )


def f1_macro(counts: Counts, whole: Counts | None = None) -> Scores:
    """Mean F1 of the classes that occur in truth or predictions."""
    every = counts if whole is None else whole
    occurs = every.sum(-2) > 0
    classes = occurs.sum(-1)

    per_class = f1(counts, whole)
    total = per_class.sum(-1)
    return _ratio(total, classes)


def f1_weighted(counts: Counts, whole: Counts | None = None) -> Scores:
    """Mean F1 of the classes, each weighted by its clips in the truth."""
    support = support_of(counts)
    if whole is not None:
        lost = _is_lost(counts, whole)
        support = np.where(lost, support_of(whole), support)
    clips = support.sum(-1)

    per_class = f1(counts, whole)
    weighted = per_class * support
    total = weighted.sum(-1)
    return _ratio(total, clips)


def f1_micro(counts: Counts) -> Scores:
    """F1 of all decisions about all classes together."""
    pooled = counts.sum(-1, keepdims=True)
    of_pooled = f1(pooled)
    return of_pooled[..., 0]


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several folds as one, in the order given.

    A clip may occur in several parts: where every fold is tested on the same held-out clips, each
    of its predictions counts. Each fold keeps its own thresholds.

    Raises:
        ValueError: There are no parts, their labels differ, or a clip's truth or speaker does.
    """
    if not parts:
        raise ValueError("there are no predictions to put together")
    first = parts[0]
    if any(_kind(part) != _kind(first) for part in parts):
        raise ValueError("predictions over different labels cannot be put together")

    clips: list[str] = []
    speakers: list[str | None] = []
    for part in parts:
        clips += part.clips
        speakers += part.speakers
    truth = [part.truth for part in parts]
    probabilities = [part.probabilities for part in parts]
    whole = Predictions(
        labels=first.labels,
        clips=tuple(clips),
        speakers=tuple(speakers),
        truth=np.concatenate(truth),
        probabilities=np.concatenate(probabilities),
        multilabel=first.multilabel,
        thresholds=_joined_thresholds(parts),
    )
    _check_agreement(whole)
    return whole


def _kind(predictions: Predictions) -> tuple[tuple[str, ...], bool]:
    return predictions.labels, predictions.multilabel


def _joined_thresholds(parts: Sequence[Predictions]) -> Scores | None:
    if all(part.thresholds is None for part in parts):
        return None

    every: list[Scores] = []
    for part in parts:
        thresholds = part.thresholds
        if thresholds is None:
            shape = part.truth.shape
            thresholds = np.full(shape, THRESHOLD)
        every.append(thresholds)
    return np.concatenate(every)


def _check_agreement(predictions: Predictions) -> None:
    """Raise ValueError if a clip that occurs several times differs in speaker or truth."""
    known: dict[str, tuple[str | None, bytes]] = {}
    rows = zip(
        predictions.clips,
        predictions.speakers,
        predictions.truth,
        strict=True,
    )
    for clip, speaker, truth in rows:
        content = (speaker, truth.tobytes())
        first_content = known.setdefault(clip, content)
        if content != first_content:
            raise ValueError(
                f"clip {clip} has another speaker or another truth in another part"
            )


def _check_not_empty(predictions: Predictions) -> None:
    if not predictions.clips:
        raise ValueError("there are no predictions to score")


def _is_lost(counts: Counts, whole: Counts) -> NDArray[np.bool_]:
    """Whether only clips that the part lacks have a class."""
    had_clips = support_of(whole) > 0
    has_none = support_of(counts) == 0
    return np.asarray(had_clips & has_none)


def support_of(counts: Counts) -> Counts:
    """Clips of each class in the truth: hits and misses."""
    hits = counts[..., 0, :]
    misses = counts[..., 2, :]
    return hits + misses


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> Scores:
    """part / whole, and 0 for 0 / 0."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    result: Scores = np.zeros(shape)
    is_positive = np.asarray(whole) > 0
    ratio: Scores = np.divide(
        part,
        whole,
        out=result,
        where=is_positive,
    )
    return ratio
