"""Tables as files: CSV, or Parquet by the suffix."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.errors import BenchError, UsageError

SUFFIXES = (".csv", ".parquet")
FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
)  # what begins a cell that a spreadsheet would compute

Rows = Iterable[Sequence[object]]


def check(path: Path) -> None:
    """Raise UsageError for a file that `write` cannot write, before anything is computed for it."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} must end in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} to: create it")


def write(path: Path, columns: Sequence[str], rows: Rows) -> None:
    """Write a table as its suffix says.

    Raises:
        UsageError: another suffix, or no such folder.
        BenchError: the file cannot be written.
    """
    check(path)
    try:
        if path.suffix.lower() == ".parquet":
            _write_parquet(path, columns, rows)
        else:
            path.write_text(text(columns, rows), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{path} cannot be written: {error.strerror}") from error


def text(columns: Sequence[str], rows: Rows) -> str:
    """The table as CSV. Numbers keep all their digits; text that a spreadsheet would take for a
    formula begins with `'`.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    for row in rows:
        writer.writerow(map(_cell, row))
    return content.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _write_parquet(path: Path, columns: Sequence[str], rows: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [pa.array(column) for column in cells]
    pq.write_table(pa.table(arrays, names=list(columns)), path)
