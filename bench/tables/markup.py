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
        body = [[self._cell(cell) for cell in line] for line in table.body]
        align = ["right" if column.number else "left" for column in table.columns]
        return tabulate(body, headers, tablefmt=self.style, colalign=align, disable_numparse=True)

    def legend(self, table: Table) -> str:
        """The legend as one sentence."""
        said = [self.escape(sentence) for sentence in table.legend]
        if table.best:
            said.append(f"{self.bold.format('bold')}: {self.escape(table.best)}")
        return "; ".join(said)

    def footnotes(self, table: Table) -> list[str]:
        return [self.escape(printable(note)) for note in table.numbered_footnotes()]

    def _cell(self, cell: Cell) -> str:
        if cell.bold:
            return self.bold.format(self.escape(cell.text))
        return self.escape(printable(cell.text))


def markdown(table: Table) -> str:
    title = f"**{_markdown_escaped(table.title)}**"
    legend = MARKDOWN.legend(table)
    notes = "".join(f"- {note}\n" for note in MARKDOWN.footnotes(table))
    parts = [title, MARKDOWN.grid(table), legend, notes]
    return "\n\n".join(filter(None, parts)).rstrip() + "\n"


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
    caption = f"<table>\n<caption>{html.escape(table.title)}</caption>"
    grid = HTML.grid(table).replace("<table>", caption, 1)
    legend = f"<p>{HTML.legend(table)}</p>"
    items = "".join(f"<li>{note}</li>\n" for note in HTML.footnotes(table))
    notes = f'<ul style="list-style: none">\n{items}</ul>\n' if items else ""
    return f'<div class="ser-bench">\n{grid}\n{legend}\n{notes}</div>\n'


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
