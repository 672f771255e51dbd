"""A table that any format can draw: columns, cells and what stands below them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Line = TypeVar(
    "Line"
)  # what a line of a table shows: a row of a comparison, or something else


@dataclass(frozen=True)
class Cell:
    text: str
    bold: bool = False


@dataclass(frozen=True)
class Column(Generic[Line]):
    """What a table shows of each of its lines, and how."""

    header: str
    read: Callable[[Line], Any]
    format: Callable[[Any], str] = str
    number: bool = True  # aligned right
    score: bool = False  # its best figures are bold
    spare: int = 0  # place in the order in which a narrow terminal drops columns; 0: never dropped
    elastic: bool = False  # whether a narrow terminal may cut its texts

    def text(self, line: Line) -> str:
        return self.format(self.read(line))


@dataclass(frozen=True)
class Table:
    """Plain text throughout: every format escapes for itself."""

    title: str
    columns: tuple[Column[Any], ...]
    body: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[str, ...]  # the first is number 1
    legend: tuple[str, ...]  # of a column: its header, a colon and the meaning
    best: str = ""  # what bold means; empty if nothing is bold

    def numbered_footnotes(self) -> list[str]:
        numbered = []
        for number, note in enumerate(self.footnotes, start=1):
            numbered.append(f"[{number}] {note}")
        return numbered


def cells(columns: Sequence[Column[Line]], line: Line) -> tuple[Cell, ...]:
    """A line of a table in which nothing is bold."""
    texts = [column.text(line) for column in columns]
    return tuple(map(Cell, texts))
