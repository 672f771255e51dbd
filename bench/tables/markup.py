"""Tables as Markdown, LaTeX and HTML, safe with any text in them."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

from tabulate import tabulate

from bench.tables.table import Cell, Table
from bench.terminal import printable


@dataclass(frozen=True)
class Markup:
    """How a format writes plain text and bold text, and what tabulate calls its tables."""

    style: str
    bold: str  # with {} for the text
    escape: Callable[[str], str]

    def grid(self, table: Table) -> str:
        headers = [self.escape(printable(column.header)) for column in table.columns]
        align = ["right" if column.number else "left" for column in table.columns]
        body = []
        for line in table.body:
            body.append([self._cell(cell) for cell in line])
        return tabulate(
            body,
            headers,
            tablefmt=self.style,
            colalign=align,
            disable_numparse=True,
        )

    def legend(self, table: Table) -> str:
        """The legend as one sentence."""
        said = [self.escape(sentence) for sentence in table.legend]
        if table.best:
            mark = self.bold.format("bold")
            best = self.escape(table.best)
            said.append(f"{mark}: {best}")
        return "; ".join(said)

    def footnotes(self, table: Table) -> list[str]:
        escaped = []
        for note in table.numbered_footnotes():
            escaped.append(self.escape(printable(note)))
        return escaped

    def _cell(self, cell: Cell) -> str:
        text = cell.text
        if cell.bold:
            escaped = self.escape(text)
            return self.bold.format(escaped)
        return self.escape(printable(text))


def markdown(table: Table) -> str:
    title = _markdown_escaped(table.title)
    grid = MARKDOWN.grid(table)
    legend = MARKDOWN.legend(table)
    items = [f"- {note}" for note in MARKDOWN.footnotes(table)]
    notes = "\n".join(items)
    parts = filter(None, [f"**{title}**", grid, legend, notes])
    text = "\n\n".join(parts)
    return f"{text}\n"


def latex(table: Table) -> str:
    caption = _latex_escaped(table.title)
    below = [LATEX.legend(table), *LATEX.footnotes(table)]
    lines = [
        r"\begin{table}[ht]",
        r"\centering\small",
        f"\\caption{{{caption}}}",
        LATEX.grid(table),
        "",
        r"\medskip\raggedright\footnotesize",
        "\n\n".join(filter(None, below)),
        "",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_html(table: Table) -> str:
    title = html.escape(table.title)
    grid = HTML.grid(table)
    captioned = grid.replace("<table>", f"<table>\n<caption>{title}</caption>", 1)
    legend = HTML.legend(table)
    lines = ['<div class="ser-bench">', captioned, f"<p>{legend}</p>"]
    notes = HTML.footnotes(table)
    if notes:
        items = [f"<li>{note}</li>" for note in notes]
        lines += ['<ul style="list-style: none">', *items, "</ul>"]
    return "\n".join([*lines, "</div>", ""])


def _markdown_escaped(text: str) -> str:
    return re.sub(r"[\\`*_<>|~&#]", r"\\\g<0>", text).replace("](", "]\\(")


def _latex_escaped(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


_LATEX_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's end it would open an optional argument
    "*": "{*}",
}

MARKDOWN = Markup("pipe", "**{}**", _markdown_escaped)
LATEX = Markup("latex_raw", r"\textbf{{{}}}", _latex_escaped)
HTML = Markup("unsafehtml", "<strong>{}</strong>", html.escape)
