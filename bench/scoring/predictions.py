"""A run's predictions for every test clip, from which all figures of the harness are computed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = (
    "clip",
    "speaker",
    "truth",
)  # of the Parquet file, before those of the classes
METADATA = b"ser-bench"  # key of the file's own metadata
SEPARATOR = "|"  # between the true labels of a clip
THRESHOLD = "threshold of "  # prefix of a label: the column of its thresholds
# Multi-label or not -> the score that ranks systems. Mean recall is best where everything is called
# present.
RANKED_BY = {False: "UA", True: "F1 macro"}
SUM_TOLERANCE = 1e-3  # of the probabilities of a clip


@dataclass(frozen=True, eq=False)
class Predictions:
    """One probability per clip and class.

    truth: (clips, classes) bool, with one True per row unless the task is multi-label;
    probabilities: (clips, classes) float64 in [0, 1], whose rows sum to 1 unless the task is
    multi-label; thresholds: (clips, classes) float64, only of a multi-label task: the probability
    from which on a class is predicted. All clips of a run have the same thresholds; when folds are
    joined, each keeps its own. None: 0.5.

    Raises:
        ValueError: Shapes do not match, or a row breaks one of these rules.
    """

    labels: tuple[str, ...]
    clips: tuple[str, ...]
    speakers: tuple[str | None, ...]
    truth: "NDArray[np.bool_]"
    probabilities: "NDArray[np.float64]"
    multilabel: bool = False
    thresholds: "NDArray[np.float64] | None" = None

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_thresholds()
        self._check_probabilities()
        if not self.multilabel:
            self._check_single_label()

    def to_parquet(self, path: Path) -> None:
        """Write a table: `clip`, `speaker`, `truth` (labels joined by `|`), and for each class a
        column with its probability.

        With thresholds, each class has a column `threshold of LABEL`, too. The file's metadata
        holds the labels in order, and whether the task is multi-label.

        Raises:
            ValueError: A label is, or begins like, the name of another column, or contains `|`.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._check_labels()
        content: dict[str, Any] = {
            "clip": pa.array(self.clips, pa.string()),
            "speaker": pa.array(self.speakers, pa.string()),
            "truth": [self._joined(row) for row in self.truth],
        }
        content.update(self._class_columns())

        metadata = {
            "labels": self.labels,
            "multilabel": self.multilabel,
        }
        serialised = json.dumps(metadata)
        table = pa.table(content)
        table = table.replace_schema_metadata({METADATA: serialised})
        pq.write_table(table, path)

    @classmethod
    def from_parquet(cls, path: Path) -> "Predictions":
        """The predictions that `to_parquet` wrote, bit for bit.

        Raises:
            ValueError: The file holds another kind of table.
        """
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        metadata = _metadata(table, path)
        labels = tuple(metadata["labels"])
        clips = table["clip"].to_pylist()
        speakers = table["speaker"].to_pylist()

        thresholds = None
        columns = [THRESHOLD + label for label in labels]
        if columns[0] in table.column_names:
            thresholds = _matrix(table, columns)
        return cls(
            labels=labels,
            clips=tuple(clips),
            speakers=tuple(speakers),
            truth=_truth(table, labels),
            probabilities=_matrix(table, labels),
            multilabel=metadata["multilabel"],
            thresholds=thresholds,
        )

    def _joined(self, truth: "NDArray[np.bool_]") -> str:
        holds = zip(self.labels, truth, strict=True)
        true_labels = [label for label, is_true in holds if is_true]
        return SEPARATOR.join(true_labels)

    def _class_columns(self) -> "dict[str, NDArray[np.float64]]":
        """The probabilities of each class, and then its thresholds, by the name of their column."""
        columns: dict[str, NDArray[np.float64]] = {}
        for number, label in enumerate(self.labels):
            columns[label] = self.probabilities[:, number]
        if self.thresholds is None:
            return columns
        for number, label in enumerate(self.labels):
            columns[THRESHOLD + label] = self.thresholds[:, number]
        return columns

    def _check_labels(self) -> None:
        reserved = [label for label in self.labels if is_reserved(label)]
        if not reserved:
            return
        names = ", ".join(reserved)
        raise ValueError(
            f"labels that cannot be columns of a prediction table: {names}"
        )

    def _check_shapes(self) -> None:
        clips = len(self.clips)
        labels = len(self.labels)
        speakers = len(self.speakers)
        shape = (clips, labels)
        has_speakers = speakers == clips
        has_truth = self.truth.shape == shape
        has_probabilities = self.probabilities.shape == shape
        if has_speakers and has_truth and has_probabilities:
            return
        raise ValueError(
            f"{clips} clips and {labels} labels, but {speakers} speakers, "
            f"truth of shape {self.truth.shape} "
            f"and probabilities of shape {self.probabilities.shape}"
        )

    def _check_thresholds(self) -> None:
        if self.thresholds is None:
            return
        shape = self.thresholds.shape
        expected = self.truth.shape
        if shape != expected:
            raise ValueError(f"thresholds of shape {shape} instead of {expected}")
        if not self.multilabel:
            raise ValueError("thresholds of a task with one label per clip")

    def _check_probabilities(self) -> None:
        import numpy as np

        p = self.probabilities
        within = (p >= 0) & (p <= 1)  # False for NaN
        valid = np.asarray(within.all(1))
        self._check_rows(valid, "a probability is not a number within [0, 1]")

    def _check_single_label(self) -> None:
        sums = self.probabilities.sum(1)
        deviation = abs(sums - 1)
        is_close = deviation <= SUM_TOLERANCE
        self._check_rows(is_close, "the probabilities do not sum to 1")

        true_labels = self.truth.sum(1)
        is_single = true_labels == 1
        self._check_rows(is_single, "there is not exactly one true class")

    def _check_rows(self, valid: "NDArray[np.bool_]", fault: str) -> None:
        if valid.all():
            return
        row = int(valid.argmin())  # the first False
        clip = self.clips[row]
        raise ValueError(f"clip {clip}: {fault}")


def is_reserved(label: str) -> bool:
    """Whether a table of predictions could not have a column of this name."""
    if label in COLUMNS:
        return True
    if label.startswith(THRESHOLD):
        return True
    return SEPARATOR in label


def _metadata(table: Any, path: Path) -> dict[str, Any]:
    every_key = table.schema.metadata or {}
    content = every_key.get(METADATA)
    if content is None:
        raise ValueError(
            f"{path} is not a table of predictions: its metadata does not name the labels"
        )
    metadata: dict[str, Any] = json.loads(content)
    return metadata


def _truth(table: Any, labels: Sequence[str]) -> "NDArray[np.bool_]":
    import numpy as np

    rows: list[list[bool]] = []
    for joined in table["truth"].to_pylist():
        true_labels = set(joined.split(SEPARATOR))
        row = [label in true_labels for label in labels]
        rows.append(row)

    truth = np.array(rows, dtype=bool)
    return truth.reshape(-1, len(labels))


def _matrix(table: Any, columns: Sequence[str]) -> "NDArray[np.float64]":
    import numpy as np

    arrays = [table[name].to_numpy() for name in columns]
    matrix = np.stack(arrays, axis=1)
    return matrix.astype(np.float64)
