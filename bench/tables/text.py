"""Tables as plain text that fits a terminal.

Where there is no room for all columns, those that a reader can best do without are left out; then
names are cut, and footnotes give them in full. No row is wrapped.
"""

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap
from typing import Any

from bench.tables.table import Cell, Column, Table
from bench.terminal import display_width, printable, shortened, wrapped

BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
GAP = "  "  # between columns
HEADER = 10  # columns of a terminal before a header is wrapped
NAME = 8  # columns that a cut name keeps, whatever the terminal


def draw(table: Table, width: int, colour: bool = False) -> str:
    """The table on `width` columns of a terminal. `colour` shows the best figures in bold; else a
    star follows them.
    """
    table = _printable(table) if colour else _starred(_printable(table))
    table, hidden = _narrowed(table, width)
    table = _cut(table, width)
    below = [said for said in table.legend if not _is_about(said, hidden)]
    if table.best:
        mark = "bold" if colour else "*"
        below.append(f"{mark}: {table.best}")
    if hidden:
        listed = ", ".join(hidden)
        below.append(f"not shown at this width: {listed}")
    below += table.numbered_footnotes()
    lines = [*wrapped(table.title, width), "", *_grid(table), ""]
    for note in below:
        lines += wrapped(note, width)
    return "\n".join([*lines, ""])


def _is_about(entry: str, headers: Sequence[str]) -> bool:
    """Whether an entry of the legend explains one of these columns."""
    name, _, _ = entry.partition(":")
    for header in headers:
        column, _, _ = header.partition(" [")
        if name == column:
            return True
    return False


def _printable(table: Table) -> Table:
    """Every cell as one line."""
    body = []
    for line in table.body:
        cells = []
        for cell in line:
            text = printable(cell.text)
            cells.append(Cell(text, cell.bold))
        body.append(tuple(cells))
    return replace(table, body=tuple(body))


def _starred(table: Table) -> Table:
    """Every score followed by a star or a space, so that digits stay aligned."""
    if not table.best:
        return table
    scores = [column.score for column in table.columns]
    body = []
    for line in table.body:
        pairs = zip(line, scores, strict=True)
        body.append(tuple(_with_star(cell) if score else cell for cell, score in pairs))
    return replace(table, body=tuple(body))


def _with_star(cell: Cell) -> Cell:
    star = "*" if cell.bold else " "
    score, space, interval = cell.text.partition(" ")
    text = score + star + space + interval
    return Cell(text)


# --- what gives way on a narrow terminal ---


def _narrowed(table: Table, width: int) -> tuple[Table, list[str]]:
    """The table without the columns that there is no room for, and their headers.

    Names may take a third of the terminal before a column is left out for them.
    """
    hidden = []
    for column in _spare(table):
        if _total(_widths(table, width // 3)) <= width:
            break
        table = _without(table, column)
        hidden.append(column.header)
    return table, hidden


def _spare(table: Table) -> list[Column[Any]]:
    """The columns that may be left out, the least needed first; of equal ones, the last."""
    spare = []
    for column in reversed(table.columns):
        if column.spare:
            spare.append(column)
    return sorted(spare, key=lambda column: column.spare)


def _without(table: Table, column: Column[Any]) -> Table:
    columns = list(table.columns)
    place = columns.index(column)
    del columns[place]
    body = []
    for line in table.body:
        cells = list(line)
        del cells[place]
        body.append(tuple(cells))
    return replace(table, columns=tuple(columns), body=tuple(body))


def _cut(table: Table, width: int) -> Table:
    """The table with names cut so that it fits, and with footnotes that give them in full."""
    widths = _shrunk(table, width)
    footnotes = list(table.footnotes)
    body = []
    for line in table.body:
        cells = list(line)
        for place, column in enumerate(table.columns):
            if column.elastic and display_width(cells[place].text) > widths[place]:
                cells[place] = _cut_cell(cells[place], widths[place], footnotes)
        body.append(tuple(cells))
    return replace(table, body=tuple(body), footnotes=tuple(footnotes))


def _shrunk(table: Table, width: int) -> list[int]:
    """The width of each column once the widest names have made room."""
    widths = _widths(table)
    elastic = [place for place, column in enumerate(table.columns) if column.elastic]
    while elastic and _total(widths) > width:
        widest = max(elastic, key=lambda place: widths[place])
        if widths[widest] <= NAME:
            break
        widths[widest] -= 1
    return widths


def _cut_cell(cell: Cell, width: int, footnotes: list[str]) -> Cell:
    """The beginning of a name and the number of the footnote that gives it in full."""
    note = f"in full: {cell.text}"
    if note not in footnotes:
        footnotes.append(note)
    mark = f" [{footnotes.index(note) + 1}]"
    return Cell(shortened(cell.text, width - len(mark)) + mark)


def _widths(table: Table, most: int | None = None) -> list[int]:
    """What each column takes; a column of names counts for at most `most`."""
    headers = [_header(column) for column in table.columns]
    cells = zip(*table.body, strict=True)
    widths = []
    for column, header, body in zip(table.columns, headers, cells, strict=True):
        widest = max(display_width(cell.text) for cell in body)
        if column.elastic and most is not None:
            widest = min(widest, most)
        widths.append(max(widest, *map(display_width, header)))
    return widths


def _total(widths: Sequence[int]) -> int:
    gaps = len(widths) - 1
    return sum(widths) + gaps * len(GAP)


# --- lines ---


def _grid(table: Table) -> list[str]:
    """The header, a rule and a line per row."""
    widths = _widths(table)
    lines = []
    for cells in _header_lines(table):
        lines.append(_line(cells, table.columns, widths))
    dashes = ["-" * width for width in widths]
    lines.append(GAP.join(dashes))
    for cells in table.body:
        lines.append(_line(cells, table.columns, widths))
    return lines


def _header_lines(table: Table) -> list[tuple[Cell, ...]]:
    """The headers over as many lines as the longest needs, aligned at the bottom."""
    headers = [_header(column) for column in table.columns]
    height = max(map(len, headers))
    padded = []
    for header in headers:
        blank = [""] * (height - len(header))
        padded.append(map(Cell, blank + header))
    return list(zip(*padded, strict=True))


def _header(column: Column[Any]) -> list[str]:
    return wrap(column.header, HEADER)


def _line(
    cells: Sequence[Cell], columns: Sequence[Column[Any]], widths: Sequence[int]
) -> str:
    drawn = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        blank = " " * (width - display_width(cell.text))
        text = cell.text
        if cell.bold:
            text = f"{BOLD}{text}{PLAIN}"
        if column.number:
            text = blank + text
        else:
            text += blank
        drawn.append(text)
    return GAP.join(drawn).rstrip()
