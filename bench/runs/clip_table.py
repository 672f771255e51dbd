"""The test clips of recorded runs as one table."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.runs.records import RunRecord
from bench.scoring.predictions import COLUMNS, SEPARATOR, THRESHOLD, Predictions

PLACE = ("fold", "seed")


@dataclass(frozen=True)
class ClipTable:
    """One row per run and test clip, in the order of folds and seeds.

    The columns are `fold`, `seed`, `clip`, `speaker`, `truth` (labels joined by `|`), each class's
    probability, and in a task with thresholds each class's threshold. Clips and speakers are those
    of the store: pseudonyms in a private task.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def clip_table(runs: Iterable[RunRecord]) -> ClipTable:
    """The predictions of the last run of each fold and seed, all of one pairing.

    Raises:
        BenchError: predictions are lost or cannot be read.
    """
    latest = {(run.fold, run.seed): run for run in runs if run.predictions}
    columns: tuple[str, ...] = ()
    rows: list[tuple[object, ...]] = []
    for place in sorted(latest):
        read = latest[place].predictions
        assert read, "chosen for its predictions"
        predictions = read()
        columns = _columns(predictions)
        rows += [(*place, *cells) for cells in _clips(predictions)]
    return ClipTable(columns, tuple(rows))


def _columns(predictions: Predictions) -> tuple[str, ...]:
    classes = [_column(label) for label in predictions.labels]
    thresholds: list[str] = []
    if predictions.thresholds is not None:
        thresholds = [THRESHOLD + label for label in predictions.labels]
    return (*PLACE, *COLUMNS, *classes, *thresholds)


def _column(label: str) -> str:
    """A class's column; one that is called like another column says what it holds."""
    return f"probability of {label}" if label in (*PLACE, *COLUMNS) else label


def _clips(predictions: Predictions) -> Iterator[tuple[object, ...]]:
    for row, clip in enumerate(predictions.clips):
        truth = zip(predictions.labels, predictions.truth[row], strict=True)
        true_labels = [label for label, is_true in truth if is_true]
        cells: list[object] = [
            clip,
            predictions.speakers[row],
            SEPARATOR.join(true_labels),
        ]
        cells += predictions.probabilities[row].tolist()
        if predictions.thresholds is not None:
            cells += predictions.thresholds[row].tolist()
        yield tuple(cells)
