"""What a run says of every test clip; every figure of the harness is computed from it, and from nothing else."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Predictions:
    """One probability per clip and class.

    truth: (clips, classes) bool, one True per row unless the task is multi-label;
    probabilities: (clips, classes) float64 in [0, 1], rows summing to 1 unless the task is multi-label.
    """

    labels: tuple[str, ...]
    clips: tuple[str, ...]
    speakers: tuple[str | None, ...]
    truth: "NDArray[np.bool_]"
    probabilities: "NDArray[np.float64]"
    multilabel: bool = False
