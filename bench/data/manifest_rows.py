"""The rows of a manifest: what their cells mean, and what is wrong between them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.csv_table import CellError, cell_number
from bench.data.spelling import in_several_ways, is_nothing, one_spelling
from bench.errors import CorpusError, and_more

COLUMNS = ("path", "label", "speaker", "split", "start", "end", "language")
SEPARATOR = "|"  # between the labels of a clip
PARTS = {  # as people call them -> as we do
    "train": ("train", "training", "trn"),
    "valid": ("valid", "validation", "validate", "val", "dev", "development", "devel"),
    "test": ("test", "testing", "tst"),
}

Meaning = Callable[[str], str]  # a text of the label column -> the label


@dataclass(frozen=True)
class Row:
    """One clip. `number` is the row's number as a spreadsheet shows it; the header is row 1."""

    number: int
    path: str
    labels: tuple[str, ...]
    speaker: str | None
    split: str | None
    start: float | None  # s; None: the beginning
    end: float | None  # s
    language: str | None
    rest: Mapping[str, str]  # the columns that the harness does not use

    @property
    def recording(self) -> str:
        """Identifies the audio: the path, with the segment where there is one."""
        return recording(self.path, self.start, self.end)


def recording(path: str, start: float | None, end: float | None) -> str:
    """The name of a segment of a file: `a/b.wav`, or `a/b.wav@1.5-3` between 1.5 and 3 s of it.

    No start is 0 s.
    """
    name = Path(path).as_posix()
    if not start and end is None:
        return name
    first = f"{start or 0:g}"
    last = "" if end is None else f"{end:g}"
    return f"{name}@{first}-{last}"


def parse(number: int, values: Mapping[str, str], label: Meaning) -> Row:
    """One row, its labels what `label` makes of their texts. Raises CellError."""
    if not values["path"]:
        raise CellError("no path")
    start, end = _times(values)
    texts = [text.strip() for text in values["label"].split(SEPARATOR)]
    labels = [label(text) for text in texts if text]
    others = {
        name: text for name, text in values.items() if name not in COLUMNS and text
    }
    speaker = values.get("speaker", "")
    return Row(
        number=number,
        path=values["path"],
        labels=tuple(dict.fromkeys(labels)),
        speaker=None if is_nothing(speaker) else speaker,
        split=_part(values.get("split", "")),
        start=start,
        end=end,
        language=_language(values.get("language", "")),
        rest=others,
    )


def faults(rows: Sequence[Row], classes: Sequence[str], private: bool) -> Iterator[str]:
    """What is wrong with rows that can be read; `classes` are labels that the companion names."""
    yield from _repeated(rows)
    yield from _partly_filled(rows)
    yield from _unlabelled(rows, classes, private)


def in_one_spelling(rows: Sequence[Row], classes: Sequence[str]) -> list[Row]:
    """The rows with one spelling of each label and speaker, of a label the companion's if any."""
    every = [label for row in rows for label in row.labels]
    labels = one_spelling(every, classes)
    speakers = one_spelling(row.speaker for row in rows if row.speaker)
    merged = []
    for row in rows:
        own = dict.fromkeys(labels[label] for label in row.labels)
        speaker = speakers[row.speaker] if row.speaker else None
        merged.append(replace(row, labels=tuple(own), speaker=speaker))
    return merged


def check_spelling(
    title: str, rows: Sequence[Row], classes: Sequence[str], private: bool
) -> None:
    """Raise CorpusError for labels, or speakers, that differ only in how they are written."""
    labels = _uses(rows, "labels")
    speakers = _uses(rows, "speaker")
    faults = [
        *in_several_ways("label", labels, private, classes),
        *in_several_ways("speaker", speakers, private),
    ]
    if faults:
        raise CorpusError(
            f"{title} spells the same in several ways: {and_more(faults, separator='; ')}: use one "
            "spelling, or take them as one with `one_spelling = true` in its companion"
        )


def _times(values: Mapping[str, str]) -> tuple[float | None, float | None]:
    start = cell_number(values, "start", "number of seconds")
    end = cell_number(values, "end", "number of seconds")
    if end is not None and end <= (start or 0):
        raise CellError("end is not after start")
    return start or None, end


def _part(text: str) -> str | None:
    if is_nothing(text):
        return None
    name = text.lower()
    for part, names in PARTS.items():
        if name in names:
            return part
    raise CellError("split is not train, valid or test", name)


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
            yield (
                f"row {empty[0]}: no {column}, which other rows have ({count} such rows; nan, NA, "
                "none, unknown and the like are none)"
            )


def _unlabelled(
    rows: Sequence[Row], classes: Sequence[str], private: bool
) -> Iterator[str]:
    """Labels that mean nothing, unless the companion names them."""
    for text, numbers in _uses(rows, "labels").items():
        if is_nothing(text) and text not in classes:
            shown = "a word for nothing" if private else text
            yield (
                f"row {numbers[0]}: its label is {shown} ({len(numbers)} such rows; if it is a "
                "class, name it in `labels` of the companion)"
            )


def _uses(rows: Sequence[Row], column: str) -> dict[str, list[int]]:
    """The row numbers of each text in a column."""
    uses: dict[str, list[int]] = {}
    for row in rows:
        texts = row.labels if column == "labels" else [row.speaker]
        for text in texts:
            if text is not None:
                uses.setdefault(text, []).append(row.number)
    return uses
