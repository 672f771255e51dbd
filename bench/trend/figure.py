"""Trend lines of chosen calls, as in Wang et al.'s Fig. 2: the probability of the counted class
over a call.
"""

import warnings
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.privacy import pseudonym
from bench.errors import UsageError, suggest, writing
from bench.tables.numbers import NOTHING
from bench.trend.analysis import FULL, Analysis, Measured
from bench.trend.calls import Call
from bench.trend.measures import THRESHOLD
from bench.trend.trend import Trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3  # panels in a row; and calls of each group, where none are named
PANEL = (3.4, 2.0)  # inches: width, height
LABELS = 0.6  # inches below the panels
COLOURS = (
    "#c0392b",
    "#2471a3",
    "#7d6608",
    "#6c3483",
    "#117a65",
    "#873600",
)  # of groups, in turn
CHOSEN = (
    "of each group, the calls nearest to the quarter, the half and three quarters of its ECRs "
    "(full call)"
)
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
    """Draw the calls named in `show`, by default three of each group. Returns a sentence that says
    how they were chosen.

    Raises:
        UsageError: a name in `show` is not among the calls.
    """
    from matplotlib import rc_context

    chosen = _named(trend, show) if show else _spread(trend.analysis)
    with rc_context({"font.family": _fonts(), "svg.fonttype": "none"}):
        figure = _figure(trend, chosen)
        complaints = _save(figure, path)
    said = f"{path}: {'the calls that were named' if show else CHOSEN}"
    if any("missing from font" in complaint for complaint in complaints):
        said += (
            f"; boxes stand for characters that no font here has: install {FONTS[1]}"
        )
    return said


def _figure(trend: Trend, chosen: Sequence[Measured]) -> "Figure":
    """A panel for each of the chosen calls."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no display

    across = min(ACROSS, len(chosen))
    down = ceil(len(chosen) / ACROSS)
    width, height = PANEL
    size = (width * across, height * down + LABELS)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for panel in panels[len(chosen) :]:
        panel.remove()
    for panel, measured in zip(panels, chosen, strict=False):
        _draw(panel, measured, trend)
    figure.supylabel(f"probability of {trend.label}", fontsize=9, parse_math=False)
    figure.supxlabel(_below(trend), fontsize=9)
    return figure


def _save(figure: "Figure", path: Path) -> list[str]:
    """Write the file in the format of its suffix. Returns what matplotlib warned of."""
    format = path.suffix.lower().removeprefix(".")
    kept = warnings.catch_warnings(record=True, category=UserWarning)
    with kept as caught, writing(path):
        figure.savefig(path, format=format)
    return [str(warning.message) for warning in caught]


# --- which calls ---


def _named(trend: Trend, names: Sequence[str]) -> list[Measured]:
    """The calls that the user means, by their own names even where pseudonyms are shown."""
    known = {measured.call.name: measured for measured in trend.analysis.of(FULL)}
    shown = {}
    wrong = []
    for name in names:
        own = name
        if name not in known and trend.private:
            own = pseudonym(name, "call")
        if own in known:
            shown[own] = known[own]
        else:
            wrong.append(name)
    if wrong:
        hints = ", ".join(f"{name}{suggest(name, known)}" for name in wrong)
        quoted = "" if trend.private else f": {hints}"
        raise UsageError(
            f"--show-calls names {len(wrong)} that are not among the calls analysed{quoted}"
        )
    return list(shown.values())


def _spread(analysis: Analysis) -> list[Measured]:
    """Calls that represent their group, whatever they look like: CHOSEN."""
    chosen = []
    for group in analysis.groups:
        members = analysis.of(FULL, group)
        with_ecr = [measured for measured in members if measured.ecr is not None]
        with_ecr.sort(key=lambda measured: measured.ecr or 0.0)
        ranked = with_ecr or members
        places = _spread_places(len(ranked))
        chosen += [ranked[place] for place in places]
    return chosen


def _spread_places(calls: int) -> list[int]:
    """The places at the quarter, the half and three quarters, each once."""
    last = calls - 1
    places = []
    for part in range(1, ACROSS + 1):
        place = round(last * part / (ACROSS + 1))
        if place not in places:
            places.append(place)
    return places


# --- a panel ---


def _draw(axes: "Axes", measured: Measured, trend: Trend) -> None:
    call = measured.call
    timed = _timed(trend)
    places = _middles(call) if timed else _numbers(call)
    probabilities = [segment.probability or 0.0 for segment in call.segments]
    colour = _colour(call, trend)
    axes.plot(places, probabilities, color=colour, lw=0.9, marker=".", ms=3.5)
    axes.axhline(THRESHOLD, color="0.5", lw=0.7, ls="--")
    minutes = trend.analysis.minutes
    if timed and max(places) > minutes:
        axes.axvspan(0, minutes, color="0.94", lw=0, zorder=0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlim(left=0)
    axes.tick_params(labelsize=7)
    axes.set_title(_title(measured, trend), fontsize=7.5, parse_math=False)


def _colour(call: Call, trend: Trend) -> str:
    """That of the call's group."""
    place = trend.analysis.groups.index(call.group)
    return COLOURS[place % len(COLOURS)]


def _title(measured: Measured, trend: Trend) -> str:
    call = measured.call
    about = [call.name, call.group]
    if call.scale is not None and not trend.private:
        about.append(f"score {call.scale:g}")
    ecr = NOTHING
    if measured.ecr is not None:
        ecr = f"{measured.ecr:.3f}"
    figures = f"NSS {measured.nss} of {measured.segments}, ECR {ecr}"
    caption = " · ".join(about)
    return f"{caption}\n{figures}"


def _below(trend: Trend) -> str:
    if _timed(trend):
        return f"minutes of the call (grey: the first {trend.analysis.minutes:g})"
    return "segment of the call"


def _timed(trend: Trend) -> bool:
    return len(trend.analysis.stages) > 1


def _middles(call: Call) -> list[float]:
    """The middle of each segment, in minutes."""
    middles = []
    for segment in call.segments:
        start = segment.start
        assert start is not None, "the calls have times"
        end = start if segment.end is None else segment.end
        middles.append((start + end) / 120)
    return middles


def _numbers(call: Call) -> list[float]:
    """The place of each segment, from 1."""
    last = len(call.segments)
    return [float(number) for number in range(1, last + 1)]


def _fonts() -> list[str]:
    """Those installed that can write the names of callers and groups."""
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [name for name in FONTS if name in installed]
