"""CSV and TSV files with a header. Errors name every row that cannot be used."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.errors import CorpusError, and_more

HEADER_ROW = 1  # rows are numbered as a spreadsheet shows them
DELIMITERS = "\t,;"

Parsed = TypeVar("Parsed")


class CellError(ValueError):
    """A row that cannot be used. `text` is the cell at fault, which private tables do not show."""

    def __init__(self, problem: str, text: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.text = text


@dataclass(frozen=True)
class Table:
    """The header of a file, in lower case, and its rows that are not blank."""

    title: str  # how errors name the file
    private: bool
    columns: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]  # the row's number and its cells


def read_table(
    path: Path, title: str, private: bool, required: Sequence[str], known: Sequence[str]
) -> Table:
    """A CSV or TSV file.

    Raises:
        CorpusError: the file cannot be read, lacks a required column, or has a known one twice.
    """
    lines = _lines(path, title)
    header = lines[0] if lines else []
    columns = tuple(name.strip().lower() for name in header)
    _check_columns(columns, title, required, known)
    rows = []
    for number, cells in enumerate(lines[1:], start=HEADER_ROW + 1):
        if any(map(str.strip, cells)):
            rows.append((number, cells))
    return Table(title, private, columns, tuple(rows))


def parse_rows(
    table: Table, parse: Callable[[int, Mapping[str, str]], Parsed]
) -> tuple[list[Parsed], list[str]]:
    """What `parse` makes of each row (its number, and its stripped cells by column), and what is
    wrong with the rows for which it raises CellError.
    """
    parsed = []
    faults = []
    for number, cells in table.rows:
        try:
            parsed.append(parse(number, _by_column(table, cells)))
        except CellError as error:
            quoted = f" ({error.text})" if error.text and not table.private else ""
            faults.append(f"row {number}: {error.problem}{quoted}")
    return parsed, faults


def cell_number(
    values: Mapping[str, str],
    column: str,
    kind: str,
    low: float = 0.0,
    high: float = math.inf,
) -> float | None:
    """The finite number in a cell, from `low` to `high`; None for an empty or absent one.

    Raises:
        CellError: the text is no such number. `kind` names what it should be: "number of seconds".
    """
    text = values.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not low <= value <= high:
        raise CellError(f"{column} is not a {kind}", text)
    return value


def unusable(title: str, faults: Sequence[str]) -> CorpusError:
    """The error about rows that cannot be used: the first faults, and the number of the others."""
    listed = and_more(faults, separator="; ")
    return CorpusError(f"{title} has rows that cannot be used: {listed}; fix them")


def _lines(path: Path, title: str) -> list[list[str]]:
    """The cells of each line. The delimiter is the one that is commonest in the header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=header.count)
            return list(csv.reader(file, delimiter=delimiter))
    except UnicodeDecodeError:
        raise CorpusError(
            f"{title} is not in UTF-8: save it in that encoding"
        ) from None
    except csv.Error as error:
        raise CorpusError(f"{title} is not a CSV or TSV file: {error}") from None
    except OSError as error:
        raise CorpusError(f"{title} cannot be read: {error.strerror}") from None


def _check_columns(
    columns: Sequence[str], title: str, required: Sequence[str], known: Sequence[str]
) -> None:
    missing = [name for name in required if name not in columns]
    if missing:
        names = " and no column ".join(missing)
        raise CorpusError(f"{title} has no column {names}: name them in its first row")
    repeated = [name for name in known if columns.count(name) > 1]
    if repeated:
        names = ", ".join(repeated)
        raise CorpusError(f"{title} has two columns called {names}: keep one")


def _by_column(table: Table, cells: Sequence[str]) -> dict[str, str]:
    expected = len(table.columns)
    if len(cells) != expected:
        raise CellError(f"{len(cells)} cells where the header has {expected}")
    stripped = map(str.strip, cells)
    values = dict(zip(table.columns, stripped, strict=True))
    damaged = [column for column, text in values.items() if "\0" in text]
    if damaged:
        raise CellError(f"{damaged[0]} contains a NUL character")
    return values
