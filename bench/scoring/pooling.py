"""What the runs of a system add up to: folds are pooled, and scores averaged over seeds."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from bench.scoring.predictions import Predictions
from bench.scoring.scores import concatenate


def pooled(folds: Mapping[str, Predictions]) -> Predictions:
    """The test predictions of all folds of a seed, in the order of their names."""
    names = sorted(folds)
    ordered = [folds[name] for name in names]
    return concatenate(ordered)


def mean_scores(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each score that the first has."""
    means = {}
    for name in each[0]:
        values = [scored[name] for scored in each]
        means[name] = fmean(values)
    return means
