"""The files behind a manifest task: a table of clips, and the companion that describes it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import toml_file
from bench.data.csv_table import (
    CellError,
    cell_number,
    parse_rows,
    read_table,
    unusable,
)
from bench.errors import CorpusError, UsageError
from bench.options import build, option
from bench.toml_file import TomlError

COLUMNS = ("path", "label", "speaker", "split", "start", "end", "language")
REQUIRED = ("path", "label")
SEPARATOR = "|"  # between the labels of a clip
PARTS = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}


@dataclass(frozen=True)
class Companion:
    """The settings of a manifest in `<manifest>.toml`, its companion."""

    name: str = option(
        "",
        "the task's name in tables; default: the file's, or a hash of it where private",
    )
    private: bool = option(
        False,
        "whether paths, speakers and label texts are replaced by hashes and numbers",
    )
    labels: tuple[str, ...] = option((), "the labels, in table order")
    positive: str = option("", "the class that a binary task is about")
    multilabel: bool = option(False, "whether a clip may have several labels, or none")
    language: str = option("", "ISO 639-1")
    protocol: str = option("", "the default protocol: split, speaker or random")
    k: int = option(5, "folds of the protocols speaker and random", low=2)
    # a text of the label column -> the label it stands for
    map: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One clip. `number` is the row's number as a spreadsheet shows it; the header is row 1."""

    number: int
    path: str
    labels: tuple[str, ...]
    speaker: str | None
    split: str | None
    start: float | None  # s
    end: float | None  # s
    language: str | None
    rest: Mapping[str, str]  # the columns that the harness does not use

    @property
    def recording(self) -> str:
        """Identifies the audio: the path, with the segment where there is one."""
        return recording(self.path, self.start, self.end)


@dataclass(frozen=True)
class Manifest:
    path: Path
    companion: Companion
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = field(repr=False)


def read(path: Path, private: bool = False) -> Manifest:
    """A manifest and its companion.

    Raises:
        CorpusError: the table cannot be used. UsageError: the companion cannot. If the manifest is
            private, the message contains neither its path nor any text of either file.
    """
    companion = _companion(path, private)
    private = private or companion.private
    title = "the manifest" if private else f"the manifest {path}"
    table = read_table(path, title, private, REQUIRED, COLUMNS)
    rows, faults = parse_rows(
        table, lambda number, values: _row(number, values, companion.map)
    )
    faults += _repeated(rows)
    faults += _partly_filled(rows)
    if faults:
        raise unusable(title, faults)
    if not rows:
        raise CorpusError(
            f"{title} has no rows: give one for each clip, under a header with path and label"
        )
    return Manifest(path, companion, table.columns, tuple(rows))


def recording(path: str, start: float | None, end: float | None) -> str:
    """The name of a segment of a file: `a/b.wav`, or `a/b.wav@1.5-3` between 1.5 and 3 s of it."""
    name = Path(path).as_posix()
    if start is None and end is None:
        return name
    first = "" if start is None else f"{start:g}"
    last = "" if end is None else f"{end:g}"
    return f"{name}@{first}-{last}"


def _companion(path: Path, private: bool) -> Companion:
    where = "in the manifest's companion"
    file = _companion_file(path)
    if file is None:
        return Companion()
    values = _toml(file, private)
    try:
        companion = build(Companion, values, where)
    except UsageError as error:
        claims_privacy = values.get("private", False) is not False
        if private or claims_privacy:
            raise UsageError(f"unknown or mistyped keys {where}") from None
        raise error from None
    if not all(isinstance(label, str) for label in companion.map.values()):
        raise UsageError(f"[map] must give a text for each text ({where})")
    return companion


def _companion_file(path: Path) -> Path | None:
    replaced = path.with_suffix(".toml")
    appended = path.with_name(f"{path.name}.toml")
    candidates = (replaced, appended)
    files = [candidate for candidate in candidates if candidate.is_file()]
    if len(files) > 1:
        raise UsageError(
            "the manifest has two companions, with its suffix and without: keep one"
        )
    return files[0] if files else None


def _toml(file: Path, private: bool) -> dict[str, Any]:
    try:
        return toml_file.read(file)
    except TomlError as error:  # which may quote the file
        reason = "is not valid TOML" if private else str(error)
        raise UsageError(f"the manifest's companion {reason}") from error


def _row(number: int, values: Mapping[str, str], meaning: Mapping[str, str]) -> Row:
    """One row, its labels renamed by `meaning`. Raises CellError."""
    if not values["path"]:
        raise CellError("no path")
    start, end = _times(values)
    texts = [text.strip() for text in values["label"].split(SEPARATOR)]
    labels = [meaning.get(text, text) for text in texts if text]
    others = {
        name: text for name, text in values.items() if name not in COLUMNS and text
    }
    return Row(
        number=number,
        path=values["path"],
        labels=tuple(dict.fromkeys(labels)),
        speaker=values.get("speaker") or None,
        split=_part(values.get("split", "")),
        start=start,
        end=end,
        language=_language(values.get("language", "")),
        rest=others,
    )


def _times(values: Mapping[str, str]) -> tuple[float | None, float | None]:
    start = cell_number(values, "start", "number of seconds")
    end = cell_number(values, "end", "number of seconds")
    if end is not None and end <= (start or 0):
        raise CellError("end is not after start")
    return start, end


def _part(text: str) -> str | None:
    name = text.lower()
    if name and name not in PARTS:
        raise CellError("split is not train, valid or test", name)
    return PARTS.get(name)


def _language(text: str) -> str | None:
    code = text.lower()
    is_code = code.isalpha() and len(code) in (2, 3)
    if code and not is_code:
        raise CellError("language is not an ISO 639 code", code)
    return code or None


def _repeated(rows: Sequence[Row]) -> Iterator[str]:
    """Recordings that are listed twice."""
    first: dict[str, int] = {}
    for row in rows:
        earlier = first.setdefault(row.recording, row.number)
        if earlier != row.number:
            yield f"row {row.number}: the same recording as row {earlier}"


def _partly_filled(rows: Sequence[Row]) -> Iterator[str]:
    """Columns that only some rows fill."""
    for column in ("speaker", "split"):
        empty = [row.number for row in rows if getattr(row, column) is None]
        count = len(empty)
        if 0 < count < len(rows):
            yield f"row {empty[0]}: no {column}, which other rows have ({count} such rows)"
