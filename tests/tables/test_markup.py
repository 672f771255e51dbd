"""Every format is safe with any text."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.tables.formats import FORMATS, render
from tests.tables.pairings import (
    EVIL,
    evil,
)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_renders_nothing_and_everything(format: Any) -> None:
    assert isinstance(render([], format), str)
    assert "é" in render(evil(), format)


def test_markdown_rows_keep_their_cells() -> None:
    lines = [
        line for line in render(evil(), "markdown").splitlines() if line.startswith("|")
    ]
    bars = [line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines]
    assert bars == [bars[0]] * 4 + [bars[4]] * 3
    assert r"l\|m \& a\_b \< 50 % é \*x\*" in lines[2]


class Cells(HTMLParser):
    """Texts of the cells, row by row, and every tag that was opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_html_parses_back() -> None:
    cells = Cells()
    cells.feed(render(evil(), "html"))
    assert cells.open == []
    assert "script" not in cells.tags
    first = [row[0].strip() for row in cells.rows]
    assert first == [
        "backbone",
        f"{EVIL} [note={EVIL} {EVIL}]",
        "hubert",
        "backbone",
        EVIL,
    ]
    assert {len(row) for row in cells.rows[:3]} == {len(cells.rows[0])}


def test_latex_has_no_bare_special() -> None:
    shown = render(evil(), "latex")
    body = [line for line in shown.splitlines() if "l\\textbar{}m" in line]
    assert body
    symbols = r"\$z\$ \textasciitilde{} \textasciicircum{} \#"
    for line in body:
        assert r"\& a\_b \textless{} 50 \% é {*}x{*} \{y\} " + symbols in line
        assert r"\textbackslash{}end {[}1](u)" in line


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not on this machine"
)
def test_latex_compiles(tmp_path: Path) -> None:
    head = "\\documentclass{article}\n\\begin{document}\n"
    document = f"{head}{render(evil(), 'latex')}\n\\end{{document}}\n"
    (tmp_path / "table.tex").write_text(document, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
