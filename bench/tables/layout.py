"""Rows as tables to read: one per task and protocol, with columns, bold figures and numbered
footnotes.

Bold is the score that ranks, in the best measured row and in those that do not differ from it.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.tables import identity
from bench.tables.columns import (
    BY_FOLD,
    GAIN,
    OVER_SEEDS,
    TRAIN_TIME,
    RowColumn,
    columns,
    scored,
    titles,
)
from bench.tables.row import Row
from bench.tables.table import Cell, Table

WHICH = (
    "corpus, division: the first digits of their checksums; the results hold tables of this name "
    "with other clips, labels, speakers or folds, which cannot be compared"
)
NARROW = ", somewhat narrow because folds share training data"
OTHER = "published under other protocols"  # the title of figures that were measured differently
BEST = (
    "best, or not significantly different from the best (paired by speaker, Holm over all "
    "pairs of rows with status ok)"
)


def tables(rows: Iterable[Row]) -> list[Table]:
    """Rows in the order of `bench.tables.collect.rows`, table by table."""
    every = list(rows)
    named = identity.names(every)

    def place(row: Row) -> tuple[str, ...]:
        return row.table if row.table in named else (row.task, OTHER)

    shown = []
    for table, members in groupby(every, place):
        task, protocol = table[:2]
        which = named.get(table, "")
        shown.append(_table(task, protocol, which, list(members)))
    return shown


def _table(task: str, protocol: str, which: str, rows: Sequence[Row]) -> Table:
    notes = _Footnotes(rows)
    shown = columns(rows)
    body = tuple(_cells(row, shown, notes) for row in rows)
    under = protocol if protocol == OTHER else f"protocol {protocol}"
    about = [task, under, which, *titles(rows)]
    title = " · ".join(filter(None, about))
    return Table(
        title=notes.marked(title, notes.general),
        columns=tuple(shown),
        body=body,
        footnotes=notes.texts,
        legend=(*_legend(rows), *([WHICH] if which else [])),
        best=BEST if any(row.best for row in rows) else "",
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


def _cells(row: Row, shown: Sequence[RowColumn], notes: _Footnotes) -> tuple[Cell, ...]:
    cells = []
    for column in shown:
        text = column.text(row)
        if column.marked:
            text = notes.marked(text, notes.own(row))
        cells.append(Cell(text, column.score and row.best))
    return tuple(cells)


# --- the legend ---


def _legend(rows: Sequence[Row]) -> tuple[str, ...]:
    pooled = any(row.folds > 1 for row in rows)
    scores = "scores in %, computed from the predictions of all folds together"
    entries = [
        (any(row.scores for row in rows), scores if pooled else "scores in %"),
        (
            any(row.intervals for row in rows),
            "[low, high]: 95 % interval over the test clips' speakers (delete-one jackknife)"
            + (NARROW if pooled else ""),
        ),
        (
            any(row.seed_sd for row in rows),
            f"{OVER_SEEDS}: standard deviation over training seeds, which no interval includes",
        ),
        (
            any("F1 micro" in row.scores for row in rows),
            "several labels per clip: WA counts a clip as correct only if all of its labels are",
        ),
        (
            any(row.gains for row in rows),
            f"{GAIN}: gained over the default recipe, with its 95 % interval over speakers",
        ),
        (
            any(row.fold_sd for row in rows),
            f"{BY_FOLD}: {rows[0].ranked_by}, mean ± standard deviation over folds",
        ),
        (
            any(row.train_seconds for row in rows),
            f"{TRAIN_TIME}: of all runs of a row together",
        ),
    ]
    return tuple(sentence for applies, sentence in entries if applies)
