"""Calls and their segments, as a table lists them: one row per segment."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.data.csv_table import CellError, cell_number, parse_rows, read_table, unusable
from bench.errors import CorpusError

COLUMNS = ("call", "segment", "start", "end", "order", "group", "scale")
ALL = "all calls"  # their group, where the table has no column of groups
OVERLAP = 0.001  # s: what rounding may make of a segment that begins where another ends


@dataclass(frozen=True)
class Segment:
    """A stretch of a call. Times are in seconds from the beginning of the call."""

    row: int  # of the table, whose header is row 1
    name: str  # the id of its clip; of a table of probabilities, anything or nothing
    start: float | None = None
    end: float | None = None
    order: float | None = None
    probability: float | None = None  # of the class that is counted; None: not scored
    truth: bool | None = None  # whether it really is of that class; None: not known


@dataclass(frozen=True)
class Call:
    name: str
    group: str
    scale: float | None  # what a questionnaire says of the caller
    segments: tuple[Segment, ...]  # in their order


def read(path: Path, private: bool = False, column: str | None = None) -> list[Call]:
    """The calls of a CSV or TSV file, in the order of their first rows.

    Columns: `call`; `start` (s, and perhaps `end`) or `order`; and where known `group` and `scale`,
    the same in all rows of a call. A manifest of calls has `segment`, the clip's id; a table of
    probabilities has them in `column`.

    Raises CorpusError naming the rows that cannot be used: numbers that are none, a call with two
    groups or scores, segments listed twice, times that are unsorted or overlap. No text of a
    `private` file is in it.
    """
    title = "the table of calls" if private else f"the table of calls {path}"
    required = ["call", column.lower() if column else "segment"]
    table = read_table(path, title, private, required, (*COLUMNS, *required))
    if not {"start", "order"} & set(table.columns):
        raise CorpusError(
            f"{title} has neither start nor order: give each segment's seconds, or its place"
        )
    probability = required[1] if column else None
    rows, faults = parse_rows(table, lambda number, values: _row(number, values, probability))
    if not faults:
        faults += _between(rows, table.columns)
    if faults:
        raise unusable(title, faults)
    if not rows:
        raise CorpusError(f"{title} has no rows: give one for each segment")
    return [_call(members) for members in _by_call(rows).values()]


@dataclass(frozen=True)
class _Row:
    call: str
    group: str
    scale: float | None
    segment: Segment


def _row(number: int, values: Mapping[str, str], column: str | None) -> _Row:
    """One row; `column` is that of the probabilities, if the table has one. Raises CellError."""
    _require_cells(values, column)
    start, end = _times(values)
    probability = cell_number(values, column, "probability", high=1) if column else None
    order = cell_number(values, "order", "number", low=-math.inf)
    scale = cell_number(values, "scale", "number", low=-math.inf)
    segment = Segment(number, values.get("segment", ""), start, end, order, probability)
    return _Row(values["call"], values.get("group", ALL), scale, segment)


def _require_cells(values: Mapping[str, str], column: str | None) -> None:
    required = ["call"]
    if "group" in values:
        required.append("group")
    if column is None:
        required.append("segment")
    empty = [name for name in required if not values[name]]
    if empty:
        raise CellError(f"no {' and no '.join(empty)}")


def _times(values: Mapping[str, str]) -> tuple[float | None, float | None]:
    start = cell_number(values, "start", "number of seconds")
    end = cell_number(values, "end", "number of seconds")
    if end is not None and start is None:
        raise CellError("an end without a start")
    if end is not None and start is not None and end <= start:
        raise CellError("end is not after start")
    return start, end


def _between(rows: Sequence[_Row], header: Sequence[str]) -> list[str]:
    """What is wrong between rows."""
    faults = [
        f
        for name in ("start", "order")
        if name in header
        for f in _gaps(rows, name, "start" in header)
    ]
    for members in _by_call(rows).values():
        faults += [*_divided(members), *_repeated(members)]
        segments = [row.segment for row in members]
        faults += [] if faults else _disordered(segments)
    return faults


def _gaps(rows: Sequence[_Row], name: str, timed: bool) -> Iterator[str]:
    empty = [row.segment.row for row in rows if getattr(row.segment, name) is None]
    if empty and (name == "start" or not timed):
        yield f"row {empty[0]}: no {name} ({len(empty)} such rows)"


def _divided(members: Sequence[_Row]) -> Iterator[str]:
    """Rows of a call that give it another group or score than rows before them."""
    first = members[0]
    scored = next((row for row in members if row.scale is not None), first)
    for row in members:
        if row.group != first.group:
            yield f"row {row.segment.row}: another group than row {first.segment.row}, which is of the same call"
        if row.scale not in (None, scored.scale):
            yield f"row {row.segment.row}: another scale than row {scored.segment.row}, which is of the same call"


def _repeated(members: Sequence[_Row]) -> Iterator[str]:
    first: dict[object, int] = {}
    for s in (row.segment for row in members):
        for what in (
            s.name and ("segment", s.name, s.start, s.end),
            s.order is not None and ("order", s.order),
        ):
            if what and first.setdefault(what, s.row) != s.row:
                yield f"row {s.row}: the same {what[0]} as row {first[what]}, which is of the same call"


def _disordered(segments: Sequence[Segment]) -> Iterator[str]:
    """Times that go back or overlap, and places that contradict them."""
    for a, b in pairwise(segments):
        if a.start is None or b.start is None:
            continue
        if b.start <= a.start:
            yield f"row {b.row}: does not begin after row {a.row} of the same call: sort the rows by time"
        elif a.end is not None and b.start < a.end - OVERLAP:
            yield f"row {b.row}: begins before row {a.row} of the same call has ended"
        elif a.order is not None and b.order is not None and b.order < a.order:
            yield f"row {b.row}: comes before row {a.row} by order, and after it by start"


def _call(members: Sequence[_Row]) -> Call:
    segments = [row.segment for row in members]
    if segments[0].start is None:
        segments.sort(key=lambda segment: segment.order or 0.0)
    scale = next((row.scale for row in members if row.scale is not None), None)
    return Call(members[0].call, members[0].group, scale, tuple(segments))


def _by_call(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.call, []).append(row)
    return found
