"""What the runs of a pairing add up to: the scores that its row in a table has.

The test predictions of all folds are pooled for each seed, and the scores averaged over seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.runs.record_reader import LostError
from bench.runs.records import RunRecord
from bench.scoring.jackknife import interval
from bench.scoring.pooling import mean_scores, pooled
from bench.scoring.predictions import RANKED_BY, Predictions
from bench.scoring.sample import Sample
from bench.scoring.scores import concatenate, scores


@dataclass(frozen=True)
class Totals:
    """Of a pairing: predictions of all folds by seed, and numbers by name.

    `UA low` and `UA high` are the bounds of its 95 % interval.
    """

    by_seed: Sequence[Predictions]
    numbers: Mapping[str, float]
    fingerprints: frozenset[str]  # of the runs that could be read

    @property
    def pooled(self) -> Predictions:
        """The predictions of all folds and seeds."""
        return concatenate(self.by_seed)


def totals(runs: Iterable[RunRecord]) -> Totals | None:
    """Over the last readable run of each fold and seed; None if there is none. `runs` come oldest
    first.
    """
    tested: dict[int, dict[str, Predictions]] = {}
    read = set()
    for run in runs:
        predictions = _read(run)
        if predictions:
            folds = tested.setdefault(run.seed, {})
            folds[run.fold] = predictions
            read.add(run.fingerprint)
    if not tested:
        return None
    by_seed = [pooled(tested[seed]) for seed in sorted(tested)]
    means = mean_scores([scores(predictions) for predictions in by_seed])
    return Totals(
        by_seed,
        numbers=means | _bounds(by_seed),
        fingerprints=frozenset(read),
    )


def _read(run: RunRecord) -> Predictions | None:
    """The predictions of a run; None if it failed, or they are lost."""
    if not run.predictions:
        return None
    try:
        return run.predictions()
    except LostError:
        return None


def _bounds(by_seed: Sequence[Predictions]) -> dict[str, float]:
    """The intervals of UA and of the score that ranks; none where seeds differ in their clips."""
    sample = Sample.of(by_seed)
    if sample is None:
        return {}
    numbers = {}
    first = by_seed[0]
    ranked = RANKED_BY[first.multilabel]
    for name in {"UA", ranked}:
        found = interval(sample, name)
        if found.bounds:
            low, high = found.bounds
            numbers[f"{name} low"] = low
            numbers[f"{name} high"] = high
    return numbers
