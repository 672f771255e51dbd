"""The critical-difference diagram: systems on an axis of mean ranks, those that do not differ
joined.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.comparison.ranks import Ranks
from bench.errors import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP = 0.35  # inches between names
OFFSET = 0.08  # of a bar beyond the ranks that it joins


def draw(ranks: Ranks, path: Path) -> None:
    """Write the diagram; the suffix of `path` says as what: .svg, .png or .pdf."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no display

    names = list(ranks.mean)
    joined = groups(ranks)
    height = 1.2 + STEP * (len(names) + len(joined)) / 2
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.add_subplot()
    _axis(axes, len(names))
    _names(axes, ranks)
    for number, (best, worst) in enumerate(joined):
        level = -0.4 - 0.25 * number
        axes.plot([best - OFFSET, worst + OFFSET], [level, level], "k", lw=4)
    axes.set_title(
        f"mean rank over {len(ranks.tasks)} tasks; joined: within the critical difference "
        f"of {ranks.critical:.2f}",
        fontsize=9,
    )
    with writing(path):
        figure.savefig(path)


def groups(ranks: Ranks) -> list[tuple[float, float]]:
    """The best and the worst mean rank of each largest group whose members do not differ."""
    means = list(ranks.mean.values())
    found: list[tuple[float, float]] = []
    covered = 0.0
    for best in means:
        limit = best + ranks.critical
        within = [mean for mean in means if best <= mean <= limit]
        worst = max(within)
        if worst > best and worst > covered:
            found.append((best, worst))
            covered = worst
    return found


def _axis(axes: "Axes", systems: int) -> None:
    ticks: Sequence[int] = range(1, systems + 1)
    axes.set_xlim(0.5, systems + 0.5)
    axes.set_xticks(ticks)
    axes.xaxis.tick_top()
    axes.yaxis.set_visible(False)
    for side in ("left", "right", "bottom"):
        axes.spines[side].set_visible(False)


def _names(axes: "Axes", ranks: Ranks) -> None:
    """The better half of the names to the left, the others to the right."""
    names = list(ranks.mean.items())
    half = (len(names) + 1) // 2
    lowest = -1.0 - half
    for number, (name, mean) in enumerate(names):
        left = number < half
        row = number if left else len(names) - 1 - number
        level = -1.5 - row
        edge = 0.5 if left else len(names) + 0.5
        axes.plot([mean, mean, edge], [0, level, level], "k", lw=0.8, clip_on=False)
        axes.annotate(
            f"{name} ({mean:.2f})",
            (edge, level),
            ha="left" if left else "right",
            va="bottom",
            fontsize=8,
            parse_math=False,
        )
    axes.set_ylim(lowest - 0.8, 0)
