"""The files behind a manifest task: a table of clips, and the companion that describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import toml_file
from bench.data.csv_table import (
    CellError,
    parse_rows,
    read_table,
    unusable,
)
from bench.data.manifest_rows import (
    COLUMNS,
    Row,
    check_spelling,
    faults,
    in_one_spelling,
    parse,
)
from bench.data.spelling import normal_form
from bench.errors import CorpusError, UsageError
from bench.options import build, option
from bench.toml_file import TomlError

REQUIRED = ("path", "label")


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
    one_spelling: bool = option(
        False,
        "whether labels, and speakers, that differ only in case, blanks, Unicode form or the "
        "format of a number are one",
    )
    language: str = option("", "ISO 639-1")
    protocol: str = option("", "the default protocol: split, speaker or random")
    k: int = option(5, "folds of the protocols speaker and random", low=2, high=1000)
    # a text of the label column -> the label it stands for
    map: Mapping[str, str] = field(default_factory=dict)


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
    rows, unread = parse_rows(
        table, lambda number, values: _row(number, values, companion)
    )
    classes = (*companion.labels, *companion.map.values())
    if companion.one_spelling:
        rows = in_one_spelling(rows, classes)
    wrong = [*unread, *faults(rows, classes, private)]
    if wrong:
        raise unusable(title, wrong)
    if not rows:
        raise CorpusError(
            f"{title} has no rows: give one for each clip, under a header with path and label"
        )
    check_spelling(title, rows, classes, private)
    return Manifest(path, companion, table.columns, tuple(rows))


def companion_name(path: Path) -> str:
    """The name of a manifest's companion: of the one it has, or of the one it may get."""
    file = _companion_file(path) or path.with_suffix(".toml")
    return file.name


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


def _row(number: int, values: Mapping[str, str], companion: Companion) -> Row:
    return parse(number, values, lambda text: _label(text, companion))


def _label(text: str, companion: Companion) -> str:
    """What [map] gives for a text, else the text. Raises CellError."""
    if text in companion.map:
        return companion.map[text]
    form = normal_form(text)
    for key, meaning in companion.map.items():
        if normal_form(key) != form:
            continue
        if companion.one_spelling:
            return meaning
        if normal_form(meaning) != form:
            raise CellError("[map] has its label in another spelling", text)
    return text
