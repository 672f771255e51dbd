"""What a run says of every test clip; every figure of the harness is computed from it, and from
nothing else.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("clip", "speaker", "truth")  # of the parquet file, before the classes
METADATA = b"ser-bench"  # key of the file's own metadata
SEPARATOR = "|"  # between the true labels of a clip
THRESHOLD = "threshold of "  # before a label: the column of its thresholds


@dataclass(frozen=True, eq=False)
class Predictions:
    """One probability per clip and class.

    truth: (clips, classes) bool, one True per row unless the task is multi-label; probabilities:
    (clips, classes) float64 in [0, 1], rows summing to 1 unless the task is multi-label;
    thresholds: (clips, classes) float64, of a multi-label task alone: the probability from which on
    a clip is said to have a class. Those of a run are the same for all its clips; folds that are
    put together keep their own. None: 0.5. Raises ValueError where something else is given.
    """

    labels: tuple[str, ...]
    clips: tuple[str, ...]
    speakers: tuple[str | None, ...]
    truth: "NDArray[np.bool_]"
    probabilities: "NDArray[np.float64]"
    multilabel: bool = False
    thresholds: "NDArray[np.float64] | None" = None

    def __post_init__(self) -> None:
        shape = (len(self.clips), len(self.labels))
        if (
            len(self.speakers) != shape[0]
            or self.truth.shape != shape
            or self.probabilities.shape != shape
        ):
            raise ValueError(
                f"{shape[0]} clips and {shape[1]} labels, but {len(self.speakers)} speakers, truth of shape "
                f"{self.truth.shape} and probabilities of shape {self.probabilities.shape}"
            )
        if self.thresholds is not None and (self.thresholds.shape != shape or not self.multilabel):
            raise ValueError(
                f"thresholds of shape {self.thresholds.shape} instead of {shape}, or of one label per clip"
            )
        if wrong := self._wrong():
            row, what = wrong
            raise ValueError(f"clip {self.clips[row]}: {what}")

    def to_parquet(self, path: Path) -> None:
        """Write a table: `clip`, `speaker`, `truth` (labels joined by `|`), one probability column
        per class.

        Where there are thresholds, each class has a column `threshold of LABEL`, too.

        The file's metadata holds the labels in order, and whether the task is multi-label. Raises
        ValueError if a label is or starts like a column's name, or holds the `|` that separates
        labels.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if clash := [
            e for e in self.labels if e in COLUMNS or SEPARATOR in e or e.startswith(THRESHOLD)
        ]:
            raise ValueError(
                f"labels that cannot be columns of a prediction table: {', '.join(clash)}"
            )
        content: dict[str, Any] = {
            "clip": pa.array(self.clips, pa.string()),
            "speaker": pa.array(self.speakers, pa.string()),
            "truth": [self._joined(row) for row in self.truth],
        }
        content |= {label: self.probabilities[:, i] for i, label in enumerate(self.labels)}
        if self.thresholds is not None:
            content |= {
                THRESHOLD + label: self.thresholds[:, i] for i, label in enumerate(self.labels)
            }
        about = json.dumps({"labels": self.labels, "multilabel": self.multilabel})
        pq.write_table(pa.table(content).replace_schema_metadata({METADATA: about}), path)

    @classmethod
    def from_parquet(cls, path: Path) -> "Predictions":
        """What `to_parquet` wrote, bit for bit. Raises ValueError for any other table."""
        import numpy as np
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        about = (table.schema.metadata or {}).get(METADATA)
        if about is None:
            raise ValueError(
                f"{path} is not a table of predictions: its metadata does not name the labels"
            )
        labels = tuple(json.loads(about)["labels"])
        truths = [set(row.split(SEPARATOR)) for row in table["truth"].to_pylist()]
        truth = [[label in row for label in labels] for row in truths]
        names = [THRESHOLD + label for label in labels]

        def matrix(columns: Iterable[str]) -> "NDArray[np.float64]":
            return np.stack([table[name].to_numpy() for name in columns], axis=1).astype(np.float64)

        return cls(
            labels=labels,
            clips=tuple(table["clip"].to_pylist()),
            speakers=tuple(table["speaker"].to_pylist()),
            truth=np.array(truth, dtype=bool).reshape(-1, len(labels)),
            probabilities=matrix(labels),
            multilabel=json.loads(about)["multilabel"],
            thresholds=matrix(names) if names[0] in table.column_names else None,
        )

    def _joined(self, truth: "NDArray[np.bool_]") -> str:
        return SEPARATOR.join(
            label for label, holds in zip(self.labels, truth, strict=True) if holds
        )

    def _wrong(self) -> tuple[int, str] | None:
        """The first row that is not what the class promises, and why."""
        import numpy as np

        rules = {
            "a probability is not a number within [0, 1]": ~(
                (self.probabilities >= 0) & (self.probabilities <= 1)  # False for NaN
            ).all(1)
        }
        if not self.multilabel:
            rules["the probabilities do not sum to 1"] = (
                np.abs(self.probabilities.sum(1) - 1) > 1e-3
            )
            rules["there is not exactly one true class"] = self.truth.sum(1) != 1
        return next(
            ((int(broken.argmax()), what) for what, broken in rules.items() if broken.any()), None
        )
