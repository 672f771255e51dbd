"""Tables as text, Markdown, CSV, LaTeX, HTML or JSON. For people: percent and footnotes; for
programs: fractions.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from bench import table_file, terminal
from bench.tables import markup, text
from bench.tables.layout import tables
from bench.tables.row import Row, record
from bench.tables.table import Table

Format = Literal["text", "markdown", "csv", "latex", "html", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
STYLE = """<style>
body { font: 14px sans-serif; }
td, th { padding: 2px 8px; white-space: nowrap; }
</style>"""


def render(
    rows: Sequence[Row],
    format: Format = "text",
    colour: bool = False,
    width: int | None = None,
) -> str:
    """The tables of `rows`, which come from `bench.tables.collect.rows`.

    The text format fits `width` columns, by default those of the terminal (120 where standard
    output is none); it shows the best figures in bold with `colour`, else with a star. LaTeX needs
    no package beyond its kernel of 2020 or later (xelatex or lualatex for labels beyond Latin
    script).
    """
    if format == "json":
        return as_json([record(row) for row in rows])
    if format == "csv":
        return as_csv([record(row) for row in rows])
    if not rows:
        return "no runs are recorded yet"
    return draw(tables(rows), format, colour, width)


def draw(
    tables: Sequence[Table],
    format: Format,
    colour: bool = False,
    width: int | None = None,
) -> str:
    """Tables for people, one below the other: any format but csv and json."""
    if format == "text":
        columns = width or terminal.width()
        drawn = [text.draw(table, columns, colour) for table in tables]
    else:
        one = {
            "markdown": markup.markdown,
            "latex": markup.latex,
            "html": markup.as_html,
        }[format]
        drawn = [one(table) for table in tables]
    return "\n".join(drawn).rstrip("\n")


def as_page(rows: Sequence[Row]) -> str:
    """The tables of `rows` as an HTML page of its own."""
    body = render(rows, "html")
    return f"<!doctype html>\n<meta charset=utf-8>\n{STYLE}\n{body}\n"


def as_json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """A line per record, a column for each key that any of them has."""
    columns = list(dict.fromkeys(name for line in records for name in line))
    lines = [[_flat(line.get(name)) for name in columns] for line in records]
    return table_file.text(columns, lines).rstrip("\n")


def _flat(value: object) -> object:
    if isinstance(value, dict):
        return "; ".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return value
