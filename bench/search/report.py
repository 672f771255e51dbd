"""Recorded searches as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from bench.options import short
from bench.runs.search_record import STATES, SearchRecord, StudyRecord
from bench.terminal import display_width, wrapped
from bench.terminal import width as terminal_width

SPARE = (
    "time",
    "ended",
    "gain",
    "protocol",
    "mode",
)  # columns to drop first when narrow


def show_searches(searches: Sequence[SearchRecord], width: int | None = None) -> str:
    """A table with one line per study, then the values that each study chose.

    Lines take at most `width` columns, by default those of the terminal: the columns of `SPARE`
    give way, the values wrap.
    """
    width = width or terminal_width()
    rows = []
    choices = []
    for search in searches:
        for study in search.parts:
            rows.append(_row(search, study))
            if study.best:
                choices.append(_choice(search, study, study.best.values))
    note = f"scores: {searches[0].objective} of validation, never of test clips"
    lines = [_table(rows, width), "", *wrapped(note, width), ""]
    for choice in choices:
        lines += wrapped(choice, width)
    return "\n".join(lines)


def _row(search: SearchRecord, study: StudyRecord) -> dict[str, str]:
    """Column header -> text."""
    counts = {state: getattr(study, state) for state in STATES}
    best = study.best.score if study.best else None
    gain = None
    if best is not None and study.default is not None:
        gain = best - study.default
    return {
        "task": search.task,
        "backbone": search.backbone,
        "mode": search.mode,
        "protocol": search.protocol,
        "fold": study.fold or "all",
        "trials": f"{study.ended} of {search.trials}",
        "ended": ", ".join(
            f"{count} {state}" for state, count in counts.items() if count
        ),
        "time": f"{study.seconds:.0f} s",
        "default": _figure(study.default),
        "best": _figure(best),
        "gain": _figure(gain, "+.3f"),
    }


def _figure(score: float | None, form: str = ".3f") -> str:
    if score is None:
        return ""
    return format(score, form)


def _table(rows: Sequence[Mapping[str, str]], width: int) -> str:
    columns = list(rows[0]) if rows else []
    spare = list(SPARE)
    while True:
        body = [[row[column] for column in columns] for row in rows]
        text = tabulate(body, columns, disable_numparse=True)
        widest = max(map(display_width, text.splitlines()), default=0)
        if widest <= width or not spare:
            return text
        dropped = spare.pop(0)
        columns = [column for column in columns if column != dropped]


def _choice(search: SearchRecord, study: StudyRecord, values: Mapping[str, Any]) -> str:
    """The chosen values, those first that explain most of the variation of the score."""
    shares = study.importances or {}
    ordered = sorted(values, key=lambda name: -shares.get(name, 0.0))
    parts = []
    for name in ordered:
        part = f"{name} = {short(values[name])}"
        if name in shares:
            part += f" ({shares[name]:.0%} of the variation)"
        parts.append(part)
    about = f"{search.task} {search.backbone} {study.fold}"
    return f"{about.rstrip()}: {', '.join(parts)}"
