"""A CSV or TSV file with a header, read with complete error messages."""

import csv
from collections.abc import Sequence
from pathlib import Path

from bench.errors import CorpusError

COLUMNS = ("path", "label", "speaker", "split", "start", "end", "language")
NEEDED = COLUMNS[:2]

_NAMED = 10  # faults that an error names before it counts the rest


def table(
    path: Path, called: str, needed: Sequence[str] = NEEDED, known: Sequence[str] = COLUMNS
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a CSV or TSV file, and its rows that are not blank with their numbers, the
    header being row 1.

    Raises CorpusError for a file that cannot be read, lacks a `needed` column, or has a `known` one
    twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            cells = list(csv.reader(file, delimiter=max("\t,;", key=first.count)))
    except UnicodeDecodeError:
        raise CorpusError(f"{called} is not in UTF-8: save it in that encoding") from None
    except csv.Error as error:
        raise CorpusError(f"{called} is not a CSV or TSV file: {error}") from None
    except OSError as error:
        raise CorpusError(f"{called} cannot be read: {error.strerror}") from None
    header = [name.strip().lower() for name in cells[0]] if cells else []
    if missing := [name for name in needed if name not in header]:
        raise CorpusError(
            f"{called} has no column {' and no column '.join(missing)}: name them in its first row"
        )
    if twice := [name for name in known if header.count(name) > 1]:
        raise CorpusError(f"{called} has two columns called {', '.join(twice)}: keep one")
    return header, [
        (number, row) for number, row in enumerate(cells[1:], start=2) if any(map(str.strip, row))
    ]


def unusable(called: str, faults: Sequence[str]) -> CorpusError:
    """What is wrong with the rows of a table, the first faults by name."""
    more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    return CorpusError(
        f"{called} has rows that cannot be used: {'; '.join(faults[:_NAMED])}{more}; mend them"
    )
