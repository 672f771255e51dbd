"""Rows as tables to read: one per task and protocol, with columns, bold figures and numbered
footnotes.

Bold is the best measured figure of a column, as printed, so that what looks equal is equally bold.
Only rows that cover the whole protocol take part, and tiny ones only among themselves; a lone row
has nothing to be better than.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan
from typing import Any, Generic, TypeVar

from bench.tables.row import AVERAGES, Row

Line = TypeVar("Line")  # what a line of a table shows: a row of a comparison, or something else

NOTHING = "–"
BY_FOLD, TRAIN_TIME, GAIN = "UA by fold", "train time", "by tuning"
OTHER = "published under other protocols"  # the title of what was measured differently


@dataclass(frozen=True)
class Cell:
    text: str
    bold: bool = False


@dataclass(frozen=True)
class Column(Generic[Line]):
    header: str
    of: Callable[[Line], str]
    number: bool = True  # aligned right
    score: bool = False  # may be bold
    spare: int = 0  # what a narrow terminal does without first; 0: nothing


@dataclass(frozen=True)
class Table:
    """Plain text throughout: every format escapes for itself."""

    title: str
    columns: tuple[Column[Any], ...]
    body: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[str, ...]  # the first is number 1
    legend: tuple[str, ...]
    best: str = ""  # what bold means; empty if nothing is bold


def tables(rows: Iterable[Row]) -> list[Table]:
    """Rows in the order of `bench.tables.rows`, table by table."""
    rows = list(rows)
    measured = {(row.task, row.protocol) for row in rows if row.measured}
    grouped = groupby(
        rows,
        lambda row: (row.task, row.protocol if (row.task, row.protocol) in measured else OTHER),
    )
    return [_table(task, protocol, list(members)) for (task, protocol), members in grouped]


def _table(task: str, protocol: str, rows: Sequence[Row]) -> Table:
    notes = {id(row): _notes(row) for row in rows}
    of_each = [notes[id(row)] for row in rows if row.measured and row.scores]
    general = (
        [note for note in of_each[0] if all(note in each for each in of_each)]
        if len(of_each) > 1
        else []
    )
    footnotes = list(dict.fromkeys([*general, *(note for row in rows for note in notes[id(row)])]))
    numbers = {note: number for number, note in enumerate(footnotes, start=1)}

    def status(row: Row) -> str:
        own = [note for note in notes[id(row)] if note not in general]
        return _marked(row.status if row.measured else "published", own, numbers)

    shared, columns = _columns(rows, protocol, status)
    title = " · ".join([task, protocol if protocol == OTHER else f"protocol {protocol}", *shared])
    competing = _competing(rows)
    best = {
        c.header: max(_leading(c.of(row)) for row in competing)
        for c in columns
        if c.score and competing
    }
    body = tuple(
        tuple(_cell(c, row, best if row in competing else {}) for c in columns) for row in rows
    )
    return Table(
        title=_marked(title, general, numbers),
        columns=columns,
        body=body,
        footnotes=tuple(footnotes),
        legend=_legend(rows),
        best="best measured figure of the rows with status ok" if best else "",
    )


def _notes(row: Row) -> list[str]:
    """Everything that must be known before a row is compared with another."""
    said = [f"{row.status}: {row.reason}"] if row.reason else []
    if not row.measured:
        return ["; ".join(filter(None, [f"published: {row.citation}", *row.notes]))]
    return [*said, *row.notes]


def _marked(text: str, notes: Sequence[str], numbers: Mapping[str, int]) -> str:
    marks = ", ".join(str(numbers[note]) for note in notes)
    return f"{text} [{marks}]" if marks else text


def _columns(
    rows: Sequence[Row], protocol: str, status: Callable[[Row], str]
) -> tuple[list[str], tuple[Column[Row], ...]]:
    """What all measured rows share, for the title; and the columns of what they do not."""
    measured = [row for row in rows if row.measured]
    scored = [row for row in measured if row.scores]
    shared: list[str] = []
    varying: list[Column[Row]] = []
    facts: list[tuple[str, Sequence[Row], Callable[[Row], str], Callable[[Row], str]]] = [
        ("mode", measured, lambda r: r.mode, lambda r: r.mode),
        ("scale", measured, lambda r: r.scale, lambda r: f"{r.scale} scale"),
        (
            "seeds",
            scored,
            lambda r: _count(r.seeds),
            lambda r: f"{r.seeds} seed{'s' * (r.seeds > 1)}",
        ),
        ("clips", scored, lambda r: _count(r.clips), lambda r: f"{r.clips} clips"),
    ]
    for header, among, value, phrase in facts:
        if len({value(row) for row in among}) > 1:
            spare = 4 if header == "clips" else 0  # the footnote on a partial row says as much
            varying.append(
                Column(header, _or_nothing(value), number=header in ("seeds", "clips"), spare=spare)
            )
        elif among:
            shared.append(phrase(among[0]))
    front: list[Column[Row]] = [
        Column("backbone", lambda r: r.label if r.measured else r.backbone, number=False)
    ]
    if protocol == OTHER:
        front.append(Column("protocol", lambda r: r.protocol, number=False))
    scores = [_score(n) for n in _score_names(rows)]
    gains = [Column(GAIN, _gain)] if any(row.gain is not None for row in rows) else []
    return shared, (
        *front,
        *scores,
        *gains,
        *varying,
        *(_costs() if scored else []),
        Column("status", status, number=False),
    )


def _or_nothing(value: Callable[[Row], str]) -> Callable[[Row], str]:
    return lambda row: value(row) or NOTHING


def _score_names(rows: Sequence[Row]) -> list[str]:
    """The averages that any row has, and in a binary task each class's F1; of published rows alone,
    all they have.
    """
    present = dict.fromkeys(name for row in rows for name in row.scores)
    averages = [name for name in (*AVERAGES, "F1 micro") if name in present]
    labels = next((row.labels for row in rows if row.labels), ())
    if not any(row.measured for row in rows):
        return [*averages, *(n for n in present if n not in averages)]
    return [
        *averages,
        *(n for n in [f"F1 ({label})" for label in labels] if len(labels) == 2 and n in present),
    ]


def _score(name: str) -> Column[Row]:
    if name != "UA":
        return Column(name, lambda row: percent(row.scores.get(name)), score=True)

    def ua(row: Row) -> str:
        value = percent(row.scores.get("UA"))
        return (
            f"{value} [{percent(row.interval[0])}, {percent(row.interval[1])}]"
            if row.interval
            else value
        )

    return Column("UA [95 %]", ua, score=True)


def _gain(row: Row) -> str:
    if row.gain is None:
        return NOTHING
    interval = (
        f" [{100 * row.gain_interval[0]:+.1f}, {100 * row.gain_interval[1]:+.1f}]"
        if row.gain_interval
        else ""
    )
    return f"{100 * row.gain:+.1f}{interval}"


def _costs() -> list[Column[Row]]:
    def by_fold(row: Row) -> str:
        return (
            f"{percent(row.fold_mean['UA'])} ± {percent(row.fold_sd['UA'])}"
            if row.fold_sd
            else NOTHING
        )

    def folds(row: Row) -> str:
        return (
            f"{row.folds}/{row.folds_expected}"
            if row.folds_expected and row.status != "skipped"
            else NOTHING
        )

    return [
        Column(BY_FOLD, by_fold, spare=1),
        Column("folds", folds),
        Column("params", lambda row: quantity(row.parameters), spare=2),
        Column(TRAIN_TIME, lambda row: duration(row.train_seconds), spare=3),
    ]


def _competing(rows: Sequence[Row]) -> list[Row]:
    whole = [row for row in rows if row.measured and row.status == "ok"]
    alike = [row for row in whole if row.scale != "tiny"] or whole
    return alike if len(alike) > 1 else []


def _cell(column: Column[Row], row: Row, best: Mapping[str, float]) -> Cell:
    text = column.of(row)
    return Cell(
        text,
        bold=column.header in best and text != NOTHING and _leading(text) == best[column.header],
    )


def _leading(text: str) -> float:
    number, _, _ = text.partition(" ")
    return -1.0 if number == NOTHING else float(number)


def _legend(rows: Sequence[Row]) -> tuple[str, ...]:
    together = (
        ", of the predictions of all folds together" if any(row.folds > 1 for row in rows) else ""
    )
    said = [f"scores in %{together}"] if any(row.scores for row in rows) else []
    if any(row.interval for row in rows):
        said.append(
            "[low, high]: 95 % interval of UA over speakers (or clips), not over training seeds"
        )
    if any("F1 micro" in row.scores for row in rows):
        said.append("several labels per clip: WA counts a clip as right when all of its labels are")
    if any(row.gain is not None for row in rows):
        said.append(
            f"{GAIN}: UA gained over the usual recipe, with its 95 % interval on the same draws"
        )
    if any(row.fold_sd for row in rows):
        said.append(f"{BY_FOLD}: mean ± standard deviation over folds")
    if any(row.train_seconds for row in rows):
        said.append(f"{TRAIN_TIME}: of all runs of a row")
    return tuple(said)


def percent(score: float | None) -> str:
    """`60.5` for 0.605; a dash for no number."""
    return NOTHING if score is None or isnan(score) else f"{100 * score:.1f}"


def quantity(number: int) -> str:
    """`94.4M` for 94,371,712; a dash for 0."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return _count(number)


def duration(seconds: float) -> str:
    """`48 s`, `3.2 min`, `1.5 h`; a dash for 0."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds else NOTHING
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _count(number: int) -> str:
    return str(number) if number else NOTHING
