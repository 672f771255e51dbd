"""Calls and their segments, as a table lists them: one row per segment."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.data.csv_table import (
    CellError,
    cell_number,
    parse_rows,
    read_table,
    unusable,
)
from bench.data.spelling import in_several_ways, is_nothing
from bench.errors import CorpusError, and_more

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

    Raises:
        CorpusError: rows that cannot be used, by number: text instead of a number, a call with two
            groups or scores, a segment listed twice, times that are not sorted or overlap. No text
            of a `private` file is quoted.
    """
    title = "the table of calls" if private else f"the table of calls {path}"
    required = ["call", column.lower() if column else "segment"]
    table = read_table(path, title, private, required, (*COLUMNS, *required))
    if not {"start", "order"} & set(table.columns):
        raise CorpusError(
            f"{title} has neither start nor order: give each segment's seconds, or its place"
        )
    probability = required[1] if column else None
    rows, faults = parse_rows(
        table, lambda number, values: _row(number, values, probability)
    )
    if not faults:
        faults += _between(rows, table.columns)
    if faults:
        raise unusable(title, faults)
    if not rows:
        raise CorpusError(f"{title} has no rows: give one for each segment")
    _check_spelling(title, rows, private)
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
    empty = [name for name in required if _is_empty(name, values[name])]
    if empty:
        raise CellError(f"no {' and no '.join(empty)}")


def _is_empty(column: str, text: str) -> bool:
    """Whether a cell says nothing; groups and segments may be called `unknown`."""
    return is_nothing(text) if column == "call" else not text


def _check_spelling(title: str, rows: Sequence[_Row], private: bool) -> None:
    """Raise CorpusError for calls, or groups, that differ only in how they are written."""
    calls: dict[str, list[int]] = {}
    groups: dict[str, list[int]] = {}
    for row in rows:
        calls.setdefault(row.call, []).append(row.segment.row)
        groups.setdefault(row.group, []).append(row.segment.row)
    faults = [
        *in_several_ways("call", calls, private),
        *in_several_ways("group", groups, private),
    ]
    if faults:
        raise CorpusError(
            f"{title} spells the same in several ways: {and_more(faults, separator='; ')}: use one "
            "spelling"
        )


def _times(values: Mapping[str, str]) -> tuple[float | None, float | None]:
    start = cell_number(values, "start", "number of seconds")
    end = cell_number(values, "end", "number of seconds")
    if end is not None and start is None:
        raise CellError("an end without a start")
    if end is not None and start is not None and end <= start:
        raise CellError("end is not after start")
    return start, end


def _between(rows: Sequence[_Row], columns: Sequence[str]) -> list[str]:
    """What is wrong between rows."""
    faults = []
    timed = "start" in columns
    if timed:
        faults += _gaps("start", rows, [row.segment.start for row in rows])
    elif "order" in columns:
        faults += _gaps("order", rows, [row.segment.order for row in rows])
    for members in _by_call(rows).values():
        faults += _divided(members)
        faults += _repeated(members)
        if not faults:
            faults += _disordered([row.segment for row in members])
    return faults


def _gaps(
    column: str, rows: Sequence[_Row], values: Sequence[float | None]
) -> list[str]:
    """The first row without a value in a column that all rows need."""
    empty = values.count(None)
    if not empty:
        return []
    place = values.index(None)
    first = rows[place].segment
    fault = f"row {first.row}: no {column} ({empty} such rows)"
    return [fault]


def _divided(members: Sequence[_Row]) -> Iterator[str]:
    """Rows of a call that give it another group or score than rows before them."""
    first = members[0]
    scored = next((row for row in members if row.scale is not None), first)
    for row in members:
        if row.group != first.group:
            yield _other("group", row, first)
        if row.scale is not None and row.scale != scored.scale:
            yield _other("scale", row, scored)


def _other(column: str, row: _Row, earlier: _Row) -> str:
    number = row.segment.row
    first = earlier.segment.row
    return f"row {number}: another {column} than row {first} of the same call"


def _repeated(members: Sequence[_Row]) -> Iterator[str]:
    """Rows of a call that name a segment or a place that an earlier one has."""
    first: dict[object, int] = {}
    for row in members:
        segment = row.segment
        for column, value in _identities(segment):
            earlier = first.setdefault((column, value), segment.row)
            if earlier != segment.row:
                yield f"row {segment.row}: the same {column} as row {earlier} of the same call"


def _identities(segment: Segment) -> Iterator[tuple[str, object]]:
    """What no other segment of the call may have, and its column."""
    if segment.name:
        place = (segment.name, segment.start, segment.end)
        yield "segment", place
    if segment.order is not None:
        yield "order", segment.order


def _disordered(segments: Sequence[Segment]) -> Iterator[str]:
    """Times that go back or overlap, and places that contradict them."""
    for earlier, later in pairwise(segments):
        fault = _out_of_order(earlier, later)
        if fault:
            yield f"row {later.row}: {fault}"


def _out_of_order(earlier: Segment, later: Segment) -> str:
    """What is wrong with a segment and the one in the row before it; empty if nothing is."""
    row = f"row {earlier.row}"
    if earlier.start is None or later.start is None:
        return ""
    if later.start <= earlier.start:
        return f"does not begin after {row} of the same call: sort the rows by time"
    if earlier.end is not None and later.start < earlier.end - OVERLAP:
        return f"begins before {row} of the same call has ended"
    if earlier.order is None or later.order is None or earlier.order <= later.order:
        return ""
    return f"comes before {row} by order, and after it by start"


def _call(members: Sequence[_Row]) -> Call:
    first = members[0]
    segments = [row.segment for row in members]
    if first.segment.start is None:
        segments.sort(key=lambda segment: segment.order or 0.0)
    scales = [row.scale for row in members if row.scale is not None]
    scale = scales[0] if scales else None
    return Call(first.call, first.group, scale, tuple(segments))


def _by_call(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    calls: dict[str, list[_Row]] = {}
    for row in rows:
        calls.setdefault(row.call, []).append(row)
    return calls
