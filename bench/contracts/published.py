"""Published figures of a task: `published/<task>.toml` beside the task's file.

    [sources]
    wang = "Wang et al., arXiv 2501.08696"

    [test_parts.wang]                     # where known: an audit needs it
    clips = 528
    classes = { happy = 123, neutral = 150, sad = 108, angry = 147 }

    [[tables]]
    source = "wang"
    where = "Table VI"
    protocol = "published"                # of the task, or a few words
    test_part = "wang"
    columns = { Acc = "WA", UA = "" }     # the paper's column -> our name; "" is no score of ours
    rows = [{ system = "feature fusion", printed = { Acc = "73.30", UA = "73.30" } }]

Figures keep the text that is printed, with its decimals; a row may have a `note`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from bench import toml_file
from bench.contracts.task import ClipCounts, Figure, Published
from bench.errors import UsageError, suggest
from bench.options import build, option
from bench.toml_file import TomlError

UNCHECKED = "taken from a secondary source, not checked by us"
UNITS = {"percent": 100, "fraction": 1}


@dataclass(frozen=True)
class Publications:
    """The rows of all tables in the order of the file, and the full citation of each source."""

    rows: tuple[Published, ...]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class _File:
    sources: Mapping[str, Any] = field(default_factory=dict)
    test_parts: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class _TestPart:
    clips: int = option(0, "test clips, of all folds together", low=1)
    classes: Mapping[str, Any] = field(default_factory=dict)
    folds: int = option(1, "folds, whose scores are averaged", low=1)


@dataclass(frozen=True)
class _Table:
    """Rows of one table that are read alike."""

    source: str = option("", "key of [sources]")
    where: str = option("", "table, section or page of the source")
    protocol: str = option("", "a protocol of the task, or a few words")
    test_part: str = option("", "key of [test_parts]; empty where unknown")
    unit: Literal["percent", "fraction"] = option(
        "percent", "how the figures are printed"
    )
    checked: bool = option(True, "false: read in a secondary source")
    columns: Mapping[str, Any] = field(default_factory=dict)
    note: str = option("", "the note of rows that have none of their own")
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class _Row:
    system: str = option("", "the system, as our tables call it")
    printed: Mapping[str, Any] = field(default_factory=dict)
    note: str = option("", "what a reader must know about these figures")


def published(task_file: str) -> Publications:
    """The published figures of the task in `task_file` (its `__file__`).

    Raises:
        UsageError: the file is missing, or something in it is; names the file and the key.
    """
    path = Path(task_file)
    task = path.stem.replace("_", "-")
    folder = path.parent / "published"
    return read(folder / f"{task}.toml")


def read(path: Path) -> Publications:
    """The published figures of a file. Raises UsageError naming the file and the key at fault."""
    try:
        content = toml_file.read(path)
    except TomlError as error:
        raise UsageError(f"{path} {error}") from error
    file = build(_File, content, str(path))
    for key, citation in file.sources.items():
        is_text = isinstance(citation, str) and citation
        _require(is_text, "must be a text", path, f"sources.{key}")
    test_parts = {}
    for key, values in file.test_parts.items():
        test_parts[key] = _test_part(values, f"{path}, test_parts.{key}")
    rows: list[Published] = []
    for number, values in enumerate(file.tables, start=1):
        where = f"{path}, table {number}"
        table = build(_Table, values, where)
        rows += _rows(table, file.sources, test_parts, where)
    return Publications(tuple(rows), file.sources)


def _test_part(values: Any, where: str) -> ClipCounts:
    is_table = isinstance(values, Mapping)
    _require(is_table, "must be a table", where)
    part = build(_TestPart, values, where)
    for label, count in part.classes.items():
        whole = isinstance(count, int) and count >= 0
        _require(
            whole, f"must be a whole number, not {count!r}", where, f"classes.{label}"
        )
    total = sum(part.classes.values())
    complete = total in (0, part.clips)
    _require(complete, f"add up to {total}, not {part.clips}", where, "classes")
    return ClipCounts(part.clips, part.classes, part.folds)


def _rows(
    table: _Table,
    sources: Mapping[str, str],
    test_parts: Mapping[str, ClipCounts],
    where: str,
) -> list[Published]:
    _require_key(table.source, sources, where, "source")
    if table.test_part:
        _require_key(table.test_part, test_parts, where, "test_part")
    _require(table.protocol, "must be given", where, "protocol")
    _require(table.rows, "must be given", where, "rows")
    for column, score in table.columns.items():
        is_text = isinstance(score, str)
        _require(is_text, "must be a text", where, f"columns.{column}")
    source = sources[table.source]
    citation = f"{source}, {table.where}" if table.where else source
    test_part = test_parts.get(table.test_part)
    rows = []
    for number, values in enumerate(table.rows, start=1):
        place = f"{where}, row {number}"
        row = build(_Row, values, place)
        rows.append(_published(row, table, citation, test_part, place))
    return rows


def _published(
    row: _Row, table: _Table, citation: str, test_part: ClipCounts | None, where: str
) -> Published:
    _require(row.system, "must be given", where, "system")
    _require(row.printed, "must be given", where, "printed")
    figures = _figures(row, table, where)
    scores = {figure.score: figure.value for figure in figures if figure.score}
    return Published(
        system=row.system,
        scores=scores,
        protocol=table.protocol,
        source=citation,
        note=_note(row, table),
        figures=figures,
        test_part=test_part,
    )


def _figures(row: _Row, table: _Table, where: str) -> tuple[Figure, ...]:
    figures = []
    for column, text in row.printed.items():
        key = f"printed.{column}"
        _require_key(column, table.columns, where, key)
        value = _fraction(text, table.unit, where, key)
        figures.append(Figure(column, text, value, table.columns[column]))
    scores = [figure.score for figure in figures if figure.score]
    _require(len(set(scores)) == len(scores), "gives one score twice", where, "printed")
    return tuple(figures)


def _fraction(text: Any, unit: str, where: str, key: str) -> float:
    """`73.30` percent as 0.733, exactly the number that is written so."""
    _require(
        isinstance(text, str),
        f'must be the printed text, as in "73.30", not {text!r}',
        where,
        key,
    )
    try:
        fraction = Decimal(text) / UNITS[unit]
    except InvalidOperation:
        fraction = Decimal("nan")
    inside = fraction.is_finite() and 0 <= fraction <= 1
    _require(
        inside, f"must be a number from 0 to {UNITS[unit]}, not {text!r}", where, key
    )
    return float(fraction)


def _note(row: _Row, table: _Table) -> str:
    note = row.note or table.note
    if table.checked:
        return note
    return f"{note}; {UNCHECKED}" if note else UNCHECKED


def _require_key(key: str, known: Mapping[str, Any], where: str, name: str) -> None:
    available = ", ".join(known) or "none"
    correction = suggest(key, known)
    problem = f"{key!r} is unknown{correction}; available: {available}"
    _require(key in known, problem, where, name)


def _require(met: object, problem: str, where: object, key: str = "") -> None:
    """Raise UsageError with the file and the key, unless the condition is met."""
    if met:
        return
    sentence = f"{key} {problem}" if key else problem
    raise UsageError(f"{sentence} ({where})")
