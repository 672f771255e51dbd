"""The file of `bench export`: a zip of an index and of artifacts, which are named by their SHA-256.

Nothing in it is compressed, so that it holds no more than it shows, and equal runs are equal bytes.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from bench.errors import BenchError, one_line

FORMAT = "ser-bench runs"
LAYOUT = 1  # raised when an older `bench import` could not read what is written
INDEX = "index.json"
FILES = "files/"
BLOCK = 1 << 20  # bytes that are read at once
MOMENT = (1980, 1, 1, 0, 0, 0)  # of every entry
STATUSES = ("FINISHED", "FAILED", "RUNNING", "KILLED", "SCHEDULED")
CORPUS = ("name", "digest", "source_type", "source", "schema", "profile", "context")
KINDS = ("pairing", "search")  # of groups
WORD = re.compile(r"[\w.:@+-]{1,200}")  # keys and fingerprints: they enter queries


class ArchiveError(BenchError):
    """A file that is no archive of runs, or a damaged one."""


@dataclass(frozen=True)
class ArchivedRun:
    """One of MLflow's runs. `tags` have MLflow's own names; times are in ms since the epoch."""

    name: str
    status: str
    started: int
    ended: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int, int]]  # name, value, time, step
    files: Mapping[str, str] = field(default_factory=dict)  # artifact -> its SHA-256
    inputs: Sequence[Mapping[str, str]] = ()  # corpora, each by the fields of CORPUS


@dataclass(frozen=True)
class Group:
    """A pairing with its runs, or a search with its trials."""

    task: str
    kind: str
    key: str
    parent: ArchivedRun
    runs: Sequence[ArchivedRun]


class Writer:
    """An archive that is being written."""

    def __init__(self, target: zipfile.ZipFile) -> None:
        self.target = target
        self.known: set[str] = set()

    def add(self, path: Path) -> str:
        """The SHA-256 of a file, which is in the archive from now on."""
        with path.open("rb") as file:
            code = hashlib.file_digest(file, "sha256").hexdigest()
        if code not in self.known:
            self.known.add(code)
            with path.open("rb") as file, self._entry(FILES + code) as entry:
                while block := file.read(BLOCK):
                    entry.write(block)
        return code

    def close(self, groups: Sequence[Group]) -> None:
        """Write the index, which is the last entry."""
        content = {
            "format": FORMAT,
            "layout": LAYOUT,
            "groups": [asdict(group) for group in groups],
        }
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1)
        with self._entry(INDEX) as entry:
            entry.write(text.encode())

    def _entry(self, name: str) -> Any:
        entry = zipfile.ZipInfo(name, MOMENT)
        entry.external_attr = 0o644 << 16
        return self.target.open(entry, "w", force_zip64=True)


class Archive:
    """An archive whose every entry has been checked."""

    def __init__(self, source: zipfile.ZipFile, groups: Sequence[Group]) -> None:
        self.source = source
        self.groups = groups

    def unpack(self, run: ArchivedRun, folder: Path) -> None:
        """Write the artifacts of a run below a folder."""
        for name, code in run.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.source.open(FILES + code) as entry, path.open("wb") as file:
                while block := entry.read(BLOCK):
                    file.write(block)


@contextmanager
def written(path: Path) -> Iterator[Writer]:
    """A new archive, which is there as a whole once the context has ended without an error."""
    try:
        with TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
            part = Path(folder) / path.name
            with zipfile.ZipFile(part, "w") as target:
                yield Writer(target)
            part.replace(path)
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be written: {error.strerror or one_line(error)}"
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive in a file, whose every entry is checked first.

    Raises:
        ArchiveError: it is no archive of runs, or damaged.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        source, groups = _checked(path, file)
        yield Archive(source, groups)


def _checked(path: Path, file: BinaryIO) -> tuple[zipfile.ZipFile, list[Group]]:
    try:
        source = zipfile.ZipFile(file)
        _check_entries(source, path.stat().st_size)
        content = json.loads(source.read(INDEX))
        _check_layout(content)
        groups = [_group(each) for each in content["groups"]]
        _check_files(source, groups)
    except ArchiveError as error:
        raise ArchiveError(f"{path} {error}") from None
    except Exception as error:  # of zipfile, of JSON, of all that noise can lead to
        raise ArchiveError(
            f"{path} is damaged, or no file of `bench export` ({one_line(error, 100)}): copy or "
            "export it again"
        ) from error
    return source, groups


def _check_entries(source: zipfile.ZipFile, size: int) -> None:
    entries = source.infolist()
    names = [entry.filename for entry in entries]
    if INDEX not in names:
        raise ArchiveError(f"is no file of `bench export`: it has no {INDEX}")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    encrypted = any(entry.flag_bits & 1 for entry in entries)
    total = sum(entry.file_size for entry in entries)
    if packed or encrypted or total > size or len(set(names)) < len(names):
        raise ArchiveError(
            "is no file of `bench export` as it was written: export it again"
        )


def _check_layout(content: Mapping[str, Any]) -> None:
    if content["format"] != FORMAT:
        raise ArchiveError("is no file of `bench export`")
    if content["layout"] != LAYOUT:
        raise ArchiveError(
            f"has layout {content['layout']}, which this version cannot read: update ser-bench"
        )


def _check_files(source: zipfile.ZipFile, groups: Sequence[Group]) -> None:
    """Every artifact is there, is what its name says, and there is nothing else."""
    wanted = {INDEX}
    for group in groups:
        for run in (group.parent, *group.runs):
            wanted |= {FILES + code for code in run.files.values()}
    if wanted != set(source.namelist()):
        raise ArchiveError("has lost some of its entries, or has others: export again")
    for name in wanted - {INDEX}:
        with source.open(name) as entry:
            code = hashlib.sha256()
            while block := entry.read(BLOCK):
                code.update(block)
        if FILES + code.hexdigest() != name:
            raise ArchiveError(f"is damaged in {name}: copy or export it again")


def _group(content: Mapping[str, Any]) -> Group:
    parent = _run(content["parent"])
    runs = [_run(each) for each in content["runs"]]
    task, kind, key = _text(content["task"]), content["kind"], _word(content["key"])
    if not task or kind not in KINDS:
        raise ValueError("a group without a task, or of an unknown kind")
    for run in runs:
        _word(run.tags["ser.fingerprint"])
    return Group(task, kind, key, parent, runs)


def _run(content: Mapping[str, Any]) -> ArchivedRun:
    status, ended = content["status"], content["ended"]
    if status not in STATUSES:
        raise ValueError("a run of an unknown status")
    metrics = []
    for name, value, moment, step in content["metrics"]:
        metrics.append((_text(name), float(value), int(moment), int(step)))
    run = ArchivedRun(
        name=_text(content["name"]),
        status=status,
        started=int(content["started"]),
        ended=None if ended is None else int(ended),
        params=_texts(content["params"]),
        tags=_texts(content["tags"]),
        metrics=metrics,
        files=_texts(content["files"]),
        inputs=[_corpus(each) for each in content["inputs"]],
    )
    for name in run.files:
        _check_artifact(name)
    _check_tags(run)
    return run


def _corpus(content: Mapping[str, Any]) -> dict[str, str]:
    """A corpus by exactly the fields that it has."""
    found = _texts(content)
    if set(found) != set(CORPUS):
        raise ValueError("a corpus has other fields")
    return found


def _check_artifact(name: str) -> None:
    """Raise ValueError for the name of an artifact that could lead out of its folder."""
    parts = name.split("/")
    leads_out = not {"", ".", ".."}.isdisjoint(parts)
    has_signs = re.search(r"[\\:\0]", name)
    is_absolute = PurePosixPath(name).is_absolute()
    if leads_out or has_signs or is_absolute:
        raise ValueError(f"an artifact is called {name!r}")


def _check_tags(run: ArchivedRun) -> None:
    """Raise ValueError for a tag that stands for an artifact of another run."""
    for text in run.tags.values():
        begin, file = text[:5], text[5:]
        is_file = begin == "file:"
        if is_file and file not in run.files:
            raise ValueError("a tag stands for an artifact that is not there")


def _texts(content: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, value in content.items():
        found[_text(name)] = _text(value)
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    return value


def _word(value: object) -> str:
    text = _text(value)
    if not WORD.fullmatch(text) or ".." in text:
        raise ValueError("a key or a fingerprint is of another kind")
    return text
