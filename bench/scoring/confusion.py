"""Pictures of predictions."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.scoring.predictions import Predictions
from bench.scoring.scores import Scores, confusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COUNTED = 16  # classes up to which a cell has room for its count
MAX_NAME = 16  # characters of a class's name


def confusion_figure(predictions: Predictions, path: Path) -> None:
    """The confusion matrix as a PNG: counts, on colours that are shares of each true class (recall
    on the diagonal).

    Raises ValueError without any clip, and in a multi-label task, where a clip has no one true
    class.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no display

    counts = confusion(predictions)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    side = max(3.6, 1.8 + 0.5 * len(counts))  # inches
    figure = Figure(figsize=(side + 0.9, side), dpi=100, layout="compressed")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class")
    _name_axes(axes, [_short(label) for label in predictions.labels])
    if len(counts) <= MAX_COUNTED:
        _write_counts(axes, counts.astype(np.str_).tolist(), shares)
    figure.savefig(path, format="png")


def _name_axes(axes: "Axes", names: list[str]) -> None:
    places = range(len(names))
    axes.set_xticks(
        places, names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False
    )
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _write_counts(axes: "Axes", counts: list[list[str]], shares: Scores) -> None:
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        axes.text(
            column, row, counts[row][column], ha="center", va="center", color=colour, fontsize=8
        )


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
