"""Trend lines of chosen calls, as in Wang et al.'s Fig. 2: the probability of the counted class
over a call.
"""

import warnings
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.privacy import pseudonym
from bench.errors import UsageError, suggest
from bench.trend.analysis import FULL, Analysis, Measured
from bench.trend.measures import THRESHOLD
from bench.trend.view import Trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 3  # panels in a row; and calls of each group, where none are named
PANEL = (3.4, 2.0)  # inches
COLOURS = (
    "#c0392b",
    "#2471a3",
    "#7d6608",
    "#6c3483",
    "#117a65",
    "#873600",
)  # of groups; they come round again
CHOSEN = "of each group, the calls nearest to the quarter, the half and three quarters of its ECRs (full call)"
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
)


def trend_figure(trend: Trend, path: Path, show: Sequence[str] = ()) -> str:
    """Draw the calls called `show`, by default three of each group; the sentence that says how they
    were chosen.

    Raises UsageError for calls that there are not.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # not pyplot: no global state, no display

    chosen = _named(trend, show) if show else _spread(trend.analysis)
    down = ceil(len(chosen) / ACROSS)
    across = min(ACROSS, len(chosen))
    with rc_context({"font.family": _fonts(), "svg.fonttype": "none"}):
        figure = Figure(
            figsize=(PANEL[0] * across, PANEL[1] * down + 0.6), dpi=150, layout="constrained"
        )
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for panel in panels.flat[len(chosen) :]:
            panel.remove()
        for panel, measured in zip(panels.flat, chosen, strict=False):
            _draw(panel, measured, trend)
        figure.supylabel(f"probability of {trend.label}", fontsize=9, parse_math=False)
        figure.supxlabel(_below(trend), fontsize=9)
        with warnings.catch_warnings(record=True, category=UserWarning) as caught:
            figure.savefig(path, format=path.suffix.lower().removeprefix("."))
    boxes = any("missing from font" in str(warning.message) for warning in caught)
    unwritable = (
        f"; boxes stand for characters that no font here has: install {FONTS[1]}" if boxes else ""
    )
    return f"{path}: {'the calls that were named' if show else CHOSEN}{unwritable}"


def _named(trend: Trend, names: Sequence[str]) -> list[Measured]:
    """The calls that the user means, by their own names though pseudonyms are shown."""
    known = {m.call.name: m for m in trend.analysis.of(FULL)}
    called = {n: n if n in known or not trend.private else pseudonym(n, "call") for n in names}
    if wrong := [n for n, own in called.items() if own not in known]:
        hints = "" if trend.private else f": {', '.join(f'{n}{suggest(n, known)}' for n in wrong)}"
        raise UsageError(
            f"--show-calls names {len(wrong)} that are not among the calls analysed{hints}"
        )
    return [known[called[n]] for n in dict.fromkeys(names)]


def _spread(a: Analysis) -> list[Measured]:
    """Calls that stand for their group, however it came out: CHOSEN."""
    chosen = []
    for group in a.groups:
        members = a.of(FULL, group)
        ranked = (
            sorted((m for m in members if m.ecr is not None), key=lambda m: m.ecr or 0.0) or members
        )
        places = [round((len(ranked) - 1) * (i + 1) / (ACROSS + 1)) for i in range(ACROSS)]
        chosen += [ranked[place] for place in dict.fromkeys(places)]
    return chosen


def _draw(axes: "Axes", measured: Measured, trend: Trend) -> None:
    call = measured.call
    colour = COLOURS[trend.analysis.groups.index(call.group) % len(COLOURS)]
    times = (
        [_middle(s.start, s.end) for s in call.segments]
        if _timed(trend)
        else range(1, len(call.segments) + 1)
    )
    axes.plot(
        times,
        [s.probability or 0.0 for s in call.segments],
        color=colour,
        lw=0.9,
        marker=".",
        ms=3.5,
    )
    axes.axhline(THRESHOLD, color="0.5", lw=0.7, ls="--")
    if _timed(trend) and max(times) > trend.analysis.minutes:
        axes.axvspan(0, trend.analysis.minutes, color="0.94", lw=0, zorder=0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlim(left=0)
    axes.tick_params(labelsize=7)
    score = "" if call.scale is None or trend.private else f" · score {call.scale:g}"
    axes.set_title(
        f"{call.name} · {call.group}{score}\n{_figures(measured)}", fontsize=7.5, parse_math=False
    )


def _below(trend: Trend) -> str:
    return (
        f"minutes of the call (grey: the first {trend.analysis.minutes:g})"
        if _timed(trend)
        else "segment of the call"
    )


def _figures(m: Measured) -> str:
    return f"NSS {m.nss} of {m.segments}, ECR {'–' if m.ecr is None else f'{m.ecr:.3f}'}"


def _middle(start: float | None, end: float | None) -> float:
    """Minutes."""
    assert start is not None
    return (start + (end if end is not None else start)) / 120


def _timed(trend: Trend) -> bool:
    return len(trend.analysis.stages) > 1


def _fonts() -> list[str]:
    """Those of the machine that can write what callers and groups are called."""
    from matplotlib.font_manager import get_font_names

    there = set(get_font_names())
    return [name for name in FONTS if name in there]
