"""Rows as tables to read: one per task and protocol, with columns, bold figures and numbered
footnotes.

Bold is the best measured figure of a column, as printed, so that what looks equal is equally bold.
Only rows that cover the whole protocol compete, and tiny ones only among themselves; a single row
has nothing to be better than.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from bench.tables.columns import (
    BY_FOLD,
    GAIN,
    TRAIN_TIME,
    RowColumn,
    columns,
    measured,
    scored,
    titles,
)
from bench.tables.numbers import NOTHING
from bench.tables.row import Row
from bench.tables.table import Cell, Table

OTHER = "published under other protocols"  # the title of figures that were measured differently
BEST = "best measured score among the rows with status ok"


def tables(rows: Iterable[Row]) -> list[Table]:
    """Rows in the order of `bench.tables.collect.rows`, table by table."""
    every = list(rows)
    own = {(row.task, row.protocol) for row in measured(every)}

    def place(row: Row) -> tuple[str, str]:
        table = (row.task, row.protocol)
        return table if table in own else (row.task, OTHER)

    return [_table(*named, list(members)) for named, members in groupby(every, place)]


def _table(task: str, protocol: str, rows: Sequence[Row]) -> Table:
    notes = _Footnotes(rows)
    shown = columns(rows)
    competing = _competing(rows)
    best = _best(shown, competing)
    body = tuple(
        _cells(row, shown, best if row in competing else {}, notes) for row in rows
    )
    under = protocol if protocol == OTHER else f"protocol {protocol}"
    title = " · ".join([task, under, *titles(rows)])
    return Table(
        title=notes.marked(title, notes.general),
        columns=tuple(shown),
        body=body,
        footnotes=notes.texts,
        legend=_legend(rows),
        best=BEST if best else "",
    )


class _Footnotes:
    """The footnotes of a table: those of all rows with scores, then those of single rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._of = {id(row): _notes(row) for row in rows}
        self.general = self._shared(scored(rows))
        every = [*self.general]
        for row in rows:
            every += self._of[id(row)]
        self.texts = tuple(dict.fromkeys(every))

    def own(self, row: Row) -> list[str]:
        """The footnotes of a row that are not those of all."""
        own = []
        for note in self._of[id(row)]:
            if note not in self.general:
                own.append(note)
        return own

    def marked(self, text: str, notes: Sequence[str]) -> str:
        """The text with the numbers of these notes: `ok [1, 3]`."""
        numbers = []
        for note in notes:
            number = self.texts.index(note) + 1
            numbers.append(str(number))
        if not numbers:
            return text
        listed = ", ".join(numbers)
        return f"{text} [{listed}]"

    def _shared(self, rows: Sequence[Row]) -> list[str]:
        if len(rows) < 2:
            return []
        first, *others = rows
        shared = self._of[id(first)]
        for row in others:
            notes = self._of[id(row)]
            shared = [note for note in shared if note in notes]
        return shared


def _notes(row: Row) -> list[str]:
    """Everything that a reader must know before comparing a row with another."""
    if not row.measured:
        published = f"published: {row.citation}"
        remarks = filter(None, row.notes)
        sentence = "; ".join([published, *remarks])
        return [sentence]

    notes = list(row.notes)
    if row.reason:
        notes.insert(0, f"{row.status}: {row.reason}")
    return notes


# --- cells ---


def _cells(
    row: Row, shown: Sequence[RowColumn], best: Mapping[str, float], notes: _Footnotes
) -> tuple[Cell, ...]:
    """A row's cells. `best` has the highest score by header, none if the row does not compete."""
    cells = []
    for column in shown:
        text = column.text(row)
        highest = best.get(column.header)
        bold = highest is not None and _leading(text) == highest
        if column.marked:
            text = notes.marked(text, notes.own(row))
        cells.append(Cell(text, bold))
    return tuple(cells)


def _best(shown: Sequence[RowColumn], competing: Sequence[Row]) -> dict[str, float]:
    """The highest score of each column, as printed."""
    if not competing:
        return {}
    best = {}
    for column in shown:
        if column.score:
            scores = [_leading(column.text(row)) for row in competing]
            best[column.header] = max(scores)
    return best


def _competing(rows: Sequence[Row]) -> list[Row]:
    whole = []
    full_size = []
    for row in measured(rows):
        if row.status != "ok":
            continue
        whole.append(row)
        if row.scale != "tiny":
            full_size.append(row)
    competing = full_size or whole
    if len(competing) < 2:
        return []
    return competing


def _leading(text: str) -> float:
    """The number that a cell begins with; below every score for a cell without one."""
    number, _, _ = text.partition(" ")
    if number == NOTHING:
        return -1.0
    return float(number)


# --- the legend ---


def _legend(rows: Sequence[Row]) -> tuple[str, ...]:
    pooled = any(row.folds > 1 for row in rows)
    scores = "scores in %, computed from the predictions of all folds together"
    entries = [
        (any(row.scores for row in rows), scores if pooled else "scores in %"),
        (
            any(row.interval for row in rows),
            "[low, high]: 95 % interval of UA over speakers (or clips), not over training seeds",
        ),
        (
            any("F1 micro" in row.scores for row in rows),
            "several labels per clip: WA counts a clip as correct only if all of its labels are",
        ),
        (
            any(row.gain is not None for row in rows),
            f"{GAIN}: UA gained over the default recipe, and its 95 % interval over speakers",
        ),
        (
            any(row.fold_sd for row in rows),
            f"{BY_FOLD}: mean ± standard deviation over folds",
        ),
        (
            any(row.train_seconds for row in rows),
            f"{TRAIN_TIME}: of all runs of a row together",
        ),
    ]
    return tuple(sentence for applies, sentence in entries if applies)
