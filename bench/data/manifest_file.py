"""The files behind a manifest task: a table of clips, and what its companion says of it."""

import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.csv_table import COLUMNS, table, unusable
from bench.errors import CorpusError, UsageError
from bench.options import build, option

SEPARATOR = "|"  # between the labels of a clip
PARTS = {"train": "train", "valid": "valid", "validation": "valid", "dev": "valid", "test": "test"}


@dataclass(frozen=True)
class Companion:
    """What `<manifest>.toml` may say."""

    name: str = option(
        "", "the task's name in tables; default: the file's, or a hash of it where private"
    )
    private: bool = option(
        False, "whether paths, speakers and label texts are replaced by hashes and numbers"
    )
    labels: tuple[str, ...] = option((), "the labels, in table order")
    positive: str = option("", "the class that a binary task is about")
    multilabel: bool = option(False, "whether a clip may have several labels, or none")
    language: str = option("", "ISO 639-1")
    protocol: str = option("", "the default protocol: split, speaker or random")
    k: int = option(5, "folds of the protocols speaker and random", low=2)
    map: Mapping[str, str] = field(
        default_factory=dict
    )  # a text of the label column -> the label it stands for


@dataclass(frozen=True)
class Row:
    """One clip. `number` is the row's number as a spreadsheet shows it, the header being row 1."""

    number: int
    path: str
    labels: tuple[str, ...]
    speaker: str | None
    split: str | None
    start: float | None  # s
    end: float | None  # s
    language: str | None
    rest: Mapping[str, str]  # the columns that mean nothing to the harness

    @property
    def recording(self) -> str:
        """What tells its audio from any other's: the path, with the segment where there is one."""
        return recording(self.path, self.start, self.end)


@dataclass(frozen=True)
class Manifest:
    path: Path
    companion: Companion
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = field(repr=False)


def read(path: Path, private: bool = False) -> Manifest:
    """A manifest and its companion. Raises CorpusError, or UsageError for the companion; of a
    private one, no text of either file nor its path is in the message.
    """
    companion = _companion(path, private)
    private = private or companion.private
    called = "the manifest" if private else f"the manifest {path}"
    header, body = table(path, called)
    faults: list[str] = []
    rows = tuple(_rows(header, body, companion.map, faults, private))
    faults += _common(rows)
    if faults:
        raise unusable(called, faults)
    if not rows:
        raise CorpusError(
            f"{called} has no rows: give one for each clip, under a header with path and label"
        )
    return Manifest(path, companion, tuple(header), rows)


def recording(path: str, start: float | None, end: float | None) -> str:
    """The name of a segment of a file: `a/b.wav`, or `a/b.wav@1.5-3` between 1.5 and 3 s of it."""
    segment = f"@{'' if start is None else f'{start:g}'}-{'' if end is None else f'{end:g}'}"
    return Path(path).as_posix() + ("" if segment == "@-" else segment)


def _companion(path: Path, private: bool) -> Companion:
    found = [
        p for p in (path.with_suffix(".toml"), path.with_name(f"{path.name}.toml")) if p.is_file()
    ]
    where = "in the manifest's companion"
    if not found:
        return Companion()
    if len(found) > 1:
        raise UsageError("the manifest has two companions, with its suffix and without: keep one")
    try:
        values = tomllib.loads(found[0].read_text(encoding="utf-8"))
    except (
        OSError,
        tomllib.TOMLDecodeError,
        UnicodeDecodeError,
    ) as error:  # its text may quote the file
        why = "" if private else f": {error}"
        raise UsageError(f"the manifest's companion is not valid TOML{why}") from error
    try:
        companion = build(Companion, values, where)
    except UsageError as error:
        hidden = private or values.get("private", False) is not False
        raise (UsageError(f"unknown or mistyped keys {where}") if hidden else error) from None
    if any(not isinstance(label, str) for label in companion.map.values()):
        raise UsageError(f"[map] must give a text for each text ({where})")
    return companion


def _rows(
    header: Sequence[str],
    body: Sequence[tuple[int, list[str]]],
    meaning: Mapping[str, str],
    faults: list[str],
    private: bool,
) -> Iterator[Row]:
    for number, cells in body:
        try:
            yield _row(number, header, cells, meaning)
        except ValueError as fault:
            what, *text = fault.args
            faults.append(f"row {number}: {what}{f' ({text[0]})' if text and not private else ''}")


def _row(
    number: int, header: Sequence[str], cells: Sequence[str], meaning: Mapping[str, str]
) -> Row:
    """One row. Raises ValueError with what is wrong and, as its second argument, the text that is."""
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells where the header has {len(header)}")
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    if not values["path"]:
        raise ValueError("no path")
    start, end = (_seconds(values, name) for name in ("start", "end"))
    if end is not None and end <= (start or 0):
        raise ValueError("end is not after start")
    split, language = values.get("split", "").lower(), values.get("language", "").lower()
    if split and split not in PARTS:
        raise ValueError("split is none of train, valid and test", split)
    if language and not (language.isalpha() and len(language) in (2, 3)):
        raise ValueError("language is no ISO 639 code", language)
    texts = [text.strip() for text in values["label"].split(SEPARATOR) if text.strip()]
    return Row(
        number=number,
        path=values["path"],
        labels=tuple(dict.fromkeys(meaning.get(text, text) for text in texts)),
        speaker=values.get("speaker") or None,
        split=PARTS.get(split),
        start=start,
        end=end,
        language=language or None,
        rest={name: value for name, value in values.items() if name not in COLUMNS and value},
    )


def _seconds(values: Mapping[str, str], name: str) -> float | None:
    text = values.get(name, "")
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = math.nan
    if seconds is not None and not 0 <= seconds < math.inf:
        raise ValueError(f"{name} is no number of seconds", text)
    return seconds


def _common(rows: Sequence[Row]) -> Iterator[str]:
    """What is wrong between rows: a recording listed twice, a column that only some rows fill."""
    uses = Counter(row.recording for row in rows)
    first: dict[str, int] = {}
    for row in rows:
        if uses[row.recording] > 1 and row.number != first.setdefault(row.recording, row.number):
            yield f"row {row.number}: the same recording as row {first[row.recording]}"
    for name in ("speaker", "split"):
        empty = [row.number for row in rows if getattr(row, name) is None]
        if 0 < len(empty) < len(rows):
            yield f"row {empty[0]}: no {name}, which other rows have ({len(empty)} such rows)"
