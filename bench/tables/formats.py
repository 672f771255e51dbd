"""Tables as text, Markdown, CSV, LaTeX, HTML or JSON. For people: percent and footnotes; for
programs: fractions.
"""

import csv
import html
import io
import json
import re
import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Literal, get_args

from tabulate import tabulate

from bench.tables.layout import Cell, Column, Table, tables
from bench.tables.row import Row, record

Format = Literal["text", "markdown", "csv", "latex", "html", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

WIDTH = 120  # characters of a terminal
WORDS = 26  # characters of a name before it wraps
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def render(rows: Sequence[Row], format: Format = "text", colour: bool = False) -> str:
    """`rows` (of `bench.tables.rows`) as one text.

    `colour` shows the best figures of the text format in bold, for a terminal; else a star follows
    them. LaTeX needs no package beyond its kernel of 2020 or later (xelatex or lualatex for labels
    beyond Latin script).
    """
    if format == "json":
        return json.dumps(
            [record(row) for row in rows], ensure_ascii=False, indent=2, allow_nan=False
        )
    if format == "csv":
        return as_csv([record(row) for row in rows])
    return draw(tables(rows), format, colour) if rows else "no runs are recorded yet"


def draw(tables: Sequence[Table], format: Format, colour: bool = False) -> str:
    """Tables for people, one below the other: any format but csv and json."""
    one = {
        "text": lambda t: _text(t, colour),
        "markdown": _markdown,
        "latex": _latex,
        "html": _html,
    }[format]
    return "\n".join(one(table) for table in tables).rstrip("\n")


def as_csv(records: Sequence[Mapping[str, object]]) -> str:
    """A line per record, a column for each key that any of them has."""
    columns = dict.fromkeys(name for one in records for name in one)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _flat(value) for name, value in one.items()} for one in records)
    return file.getvalue().rstrip("\n")


def _flat(value: object) -> object:
    if isinstance(value, dict):
        return "; ".join(f"{k}={v}" for k, v in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else value


# --- text ---


def _text(table: Table, colour: bool) -> str:
    table, hidden = _narrowed(table if colour else _starred(table))
    headers, body = _grid(table)
    widths = _widths(headers, body)
    rule = "  ".join("-" * width for width in widths)
    head, rest = (
        [_draw(line, table.columns, widths) for line in lines] for lines in (headers, body)
    )
    legend = [said for said in table.legend if said.partition(":")[0] not in hidden]
    below = [*legend, *([f"{'bold' if colour else '*'}: {table.best}"] if table.best else [])]
    below += [f"left out for want of room: {', '.join(hidden)}"] if hidden else []
    notes = [*below, *_footnotes(table)]
    return (
        "\n".join(
            [
                *_wrapped(table.title),
                "",
                *head,
                rule,
                *rest,
                "",
                *(w for n in notes for w in _wrapped(n)),
            ]
        )
        + "\n"
    )


def _starred(table: Table) -> Table:
    """Every score followed by a star or a space, so that digits stay aligned."""
    if not table.best:
        return table

    def star(column: Column[Any], cell: Cell) -> Cell:
        score, space, rest = cell.text.partition(" ")
        return Cell(f"{score}{'*' if cell.bold else ' '}{space}{rest}") if column.score else cell

    body = (tuple(map(star, table.columns, row)) for row in table.body)
    return replace(table, body=tuple(body))


def _narrowed(table: Table) -> tuple[Table, list[str]]:
    """The table without the columns that a terminal has no room for, and their headers."""
    hidden: list[str] = []
    for column in sorted((c for c in table.columns if c.spare), key=lambda c: c.spare):
        if sum(width + 2 for width in _widths(*_grid(table))) - 2 <= WIDTH:
            break
        at = table.columns.index(column)
        body = tuple((*row[:at], *row[at + 1 :]) for row in table.body)
        table = replace(table, columns=(*table.columns[:at], *table.columns[at + 1 :]), body=body)
        hidden.append(column.header)
    return table, hidden


def _grid(table: Table) -> tuple[list[list[Cell]], list[list[Cell]]]:
    """The lines of the header and of the body, a cell per column; headers and words wrap, figures
    do not.
    """
    headers = [[Cell(text) for text in textwrap.wrap(c.header, 10)] for c in table.columns]
    height = max(map(len, headers))
    top = [
        list(line)
        for line in zip(*([Cell("")] * (height - len(h)) + h for h in headers), strict=True)
    ]
    body = []
    for row in table.body:
        cells = [
            [cell] if c.number else _folded(cell)
            for c, cell in zip(table.columns, row, strict=True)
        ]
        body += [list(line) for line in zip_longest(*cells, fillvalue=Cell(""))]
    return top, body


def _folded(cell: Cell) -> list[Cell]:
    lines = textwrap.wrap(_clean(cell.text), WORDS, subsequent_indent="  ", break_on_hyphens=False)
    return [Cell(line) for line in lines] or [cell]


def _widths(headers: Sequence[Sequence[Cell]], body: Sequence[Sequence[Cell]]) -> list[int]:
    return [
        max(_width(cell.text) for cell in column) for column in zip(*headers, *body, strict=True)
    ]


def _draw(line: Sequence[Cell], columns: Sequence[Column[Any]], widths: Sequence[int]) -> str:
    drawn = []
    for cell, column, width in zip(line, columns, widths, strict=True):
        blank = " " * (width - _width(cell.text))
        text = f"{BOLD}{cell.text}{PLAIN}" if cell.bold else cell.text
        drawn.append(blank + text if column.number else text + blank)
    return "  ".join(drawn).rstrip()


def _width(text: str) -> int:
    """Terminal columns; a Chinese character takes two."""
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        _clean(text), 100, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def _footnotes(table: Table) -> list[str]:
    return [f"[{number}] {note}" for number, note in enumerate(table.footnotes, start=1)]


def _clean(text: str) -> str:
    """One line of printable characters, whatever an error message held."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


# --- markup ---


def _markdown(table: Table) -> str:
    legend, notes = _below(table, _markdown_escaped, "**{}**")
    listed = "".join(f"- {note}\n" for note in notes)
    grid = _tabulated(table, "pipe", _markdown_escaped, "**{}**")
    return (
        "\n\n".join(
            filter(None, [f"**{_markdown_escaped(table.title)}**", grid, legend, listed])
        ).rstrip()
        + "\n"
    )


def _latex(table: Table) -> str:
    legend, notes = _below(table, _latex_escaped, r"\textbf{{{}}}")
    below = "\n\n".join(filter(None, [legend, *notes]))
    grid = _tabulated(table, "latex_raw", _latex_escaped, r"\textbf{{{}}}")
    return (
        f"\\begin{{table}}[ht]\n\\centering\\small\n\\caption{{{_latex_escaped(table.title)}}}\n{grid}\n\n"
        f"\\medskip\\raggedright\\footnotesize\n{below}\n\n\\end{{table}}\n"
    )


def _html(table: Table) -> str:
    legend, notes = _below(table, html.escape, "<strong>{}</strong>")
    grid = _tabulated(table, "unsafehtml", html.escape, "<strong>{}</strong>")
    grid = grid.replace("<table>", f"<table>\n<caption>{html.escape(table.title)}</caption>", 1)
    listed = "".join(f"<li>{note}</li>\n" for note in notes)
    listed = f'<ul style="list-style: none">\n{listed}</ul>\n' if listed else ""
    return f'<div class="ser-bench">\n{grid}\n<p>{legend}</p>\n{listed}</div>\n'


def _tabulated(table: Table, style: str, escape: Callable[[str], str], bold: str) -> str:
    body = [
        [bold.format(escape(c.text)) if c.bold else escape(_clean(c.text)) for c in row]
        for row in table.body
    ]
    headers = [escape(_clean(column.header)) for column in table.columns]
    align = ["right" if column.number else "left" for column in table.columns]
    return tabulate(body, headers, tablefmt=style, colalign=align, disable_numparse=True)


def _below(table: Table, escape: Callable[[str], str], bold: str) -> tuple[str, list[str]]:
    """The legend as one sentence, and the footnotes with their numbers."""
    best = [f"{bold.format('bold')}: {escape(table.best)}"] if table.best else []
    notes = [escape(_clean(note)) for note in _footnotes(table)]
    return "; ".join([*map(escape, table.legend), *best]), notes


def _markdown_escaped(text: str) -> str:
    return re.sub(r"[\\`*_<>|~&#]", r"\\\g<0>", text).replace("](", "]\\(")


def _latex_escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's end it would open an optional argument
    "*": "{*}",
}
