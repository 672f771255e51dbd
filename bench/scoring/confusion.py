"""A figure of the confusion matrix."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.scoring.predictions import Predictions
from bench.scoring.scores import Counts, Scores, confusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COUNTED = 16  # classes up to which a cell has room for its count
MAX_NAME = 16  # characters of a class's name
DARK = 0.5  # share from which on a cell's count is written in white


def confusion_figure(predictions: Predictions, path: Path) -> None:
    """Write the confusion matrix to `path` as a PNG.

    A cell holds its count, on a colour that shows its share of the true class (recall on the
    diagonal).

    Raises:
        ValueError: There are no clips, or the task is multi-label, so that a clip has no single
            true class.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no display

    counts = confusion(predictions)
    clips_per_class = counts.sum(1, keepdims=True)
    shares = counts / clips_per_class.clip(1)

    side = max(3.6, 1.8 + 0.5 * len(counts))  # inches
    width = side + 0.9
    figure = Figure(
        figsize=(width, side),
        dpi=100,
        layout="compressed",
    )
    axes = figure.add_subplot()
    image = axes.imshow(
        shares,
        cmap="Blues",
        vmin=0,
        vmax=1,
    )
    figure.colorbar(
        image,
        ax=axes,
        label="share of the true class",
    )

    names = [_shortened(label) for label in predictions.labels]
    _name_axes(axes, names)
    if len(counts) <= MAX_COUNTED:
        _write_counts(axes, counts, shares)
    figure.savefig(path, format="png")


def _name_axes(axes: "Axes", names: list[str]) -> None:
    places = range(len(names))
    axes.set_xticks(
        places,
        names,
        rotation=45,
        ha="right",
        rotation_mode="anchor",
        parse_math=False,
    )
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _write_counts(axes: "Axes", counts: Counts, shares: Scores) -> None:
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            color="white" if share > DARK else "black",
            fontsize=8,
        )


def _shortened(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    kept = MAX_NAME - 1
    return name[:kept] + "…"
