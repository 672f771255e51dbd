"""Decoded audio and features on disk, identified by content: equal samples are kept once, whatever
their files are called.

    sources/<key>                     encoded bytes, segment and decoder -> hash of decoded samples
    audio/<content>.npy               decoded samples
    features/<fingerprint>/<content>  a feature of them

A file gets its name only when it is complete, so that a killed or concurrent writer harms no
reader; what a disk has damaged is found when it is first read. Machines without a common disk share
audio and features through a `Remote` of the same layout.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from bench.data import array_file
from bench.data.remote_cache import Remote
from bench.errors import BenchError, UsageError, suggest
from bench.paths import home
from bench.progress import display

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

HASH_DIGITS = 32  # hexadecimal, of a content hash

_KINDS = ("sources", "audio", "features", "unfinished")


class Usage(NamedTuple):
    """Disk space of one kind of entry: `sources`, `audio`, `features/<fingerprint>`, or the
    leftovers in `unfinished`.
    """

    kind: str
    files: int
    bytes: int


class _Seen:
    """The files whose content a process has checked, and those that it has deleted."""

    def __init__(self) -> None:
        self.checked: set[Path] = set()
        self.damaged: set[Path] = set()


@dataclass(frozen=True)
class Cache:
    """Arrays in a folder, which any number of processes may fill at once; those it lacks come from
    `remote`.
    """

    root: Path
    remote: Remote | None = None
    _seen: _Seen = field(default_factory=_Seen, init=False, repr=False, compare=False)

    @classmethod
    def default(cls) -> "Cache":
        return cls(home() / "cache")

    @classmethod
    def at(cls, place: str | None) -> "Cache":
        """The cache in a folder, or the default one: alone (None), or backed by a URL.

        Raises:
            BenchError: the URL does not answer.
        """
        if place is None:
            return cls.default()
        if "://" in place:
            return cls(home() / "cache", Remote(place))
        folder = Path(place).expanduser()
        return cls(folder.resolve())

    def open(self, fingerprint: str, content: str) -> "Array | None":
        """The feature of the samples with this hash, memory-mapped and read-only, or None."""
        path = self._feature(fingerprint, content)
        return self._read(path)

    def put(self, fingerprint: str, content: str, array: "Array") -> None:
        """Keep a feature, on this machine and in the remote."""
        path = self._feature(fingerprint, content)
        self._write(path, lambda file: array_file.write(file, array))
        if self.remote:
            name = self._name(path)
            self.remote.put([name], self.root)

    def lacking(
        self, fingerprint: str, contents: Collection[str], fetch: bool = False
    ) -> list[str]:
        """The contents whose feature is neither here nor in the remote.

        `fetch`: they are about to be read. Those that are damaged are deleted, and those that the
        remote has are copied, many at once.
        """
        find = self._sound if fetch else array_file.mapped
        absent = self._absent(fingerprint, contents, find)
        if not absent or not self.remote:
            return absent
        remote_names = self.remote.names(f"features/{fingerprint}")
        names = {
            content: self._name(self._feature(fingerprint, content))
            for content in absent
        }
        if not fetch:
            return [content for content in absent if names[content] not in remote_names]
        offered = remote_names.intersection(names.values())
        self.remote.fetch(sorted(offered), self.root)
        return self._absent(fingerprint, absent, self._sound)

    def waveform(self, content: str) -> "Waveform | None":
        """The decoded samples, memory-mapped and read-only, or None."""
        path = self._audio(content)
        return self._read(path)

    def samples(self, content: str) -> int:
        """The number of decoded samples; 0 if they are not on this machine."""
        path = self._audio(content)
        waveform = array_file.mapped(path)
        return 0 if waveform is None else len(waveform)

    def share(self, contents: Collection[str], fingerprint: str | None = None) -> None:
        """Copy to the remote what is here of a feature, or of the audio itself (None), for other
        machines to read.
        """
        if not self.remote:
            return
        if fingerprint is None:
            folder = "audio"
            paths = [self._audio(content) for content in contents]
        else:
            folder = f"features/{fingerprint}"
            paths = [self._feature(fingerprint, content) for content in contents]
        present = [path for path in paths if array_file.mapped(path) is not None]
        remote_names = self.remote.names(folder)
        names = [self._name(path) for path in present]
        new = [name for name in names if name not in remote_names]
        self.remote.put(new, self.root)

    def put_waveform(self, source: str, samples: "Waveform") -> str:
        """Keep, on this machine, the decoded samples of the recording with this source key.

        Returns their content hash.
        """
        plain = array_file.plain(samples)
        content = _hash(plain)
        path = self._audio(content)
        if array_file.mapped(path) is None:
            self._write(path, lambda file: np.save(file, plain))
        encoded = content.encode()
        self._write(self._source(source), lambda file: file.write(encoded))
        return content

    def content(self, source: str) -> str | None:
        """The content hash of a recording decoded before, if its samples are on this machine."""
        path = self._source(source)
        try:
            content = path.read_text("ascii")
        except (OSError, ValueError):
            return None
        if len(content) != HASH_DIGITS:
            return None
        audio = self._audio(content)
        return content if array_file.mapped(audio) is not None else None

    def size(self) -> list[Usage]:
        """The disk space of each kind of entry, in a fixed order."""
        kinds = self._kinds()
        return [_usage(kind, folder) for kind, folder in kinds.items()]

    def clear(self, kind: str | None = None) -> None:
        """Delete one kind of entry, the features of all fingerprints (`features`), or everything
        (None).
        """
        kinds = self._kinds()
        chosen = list(kinds)
        if kind is not None:
            chosen = [
                name for name in kinds if name == kind or name.startswith(f"{kind}/")
            ]
            if not chosen and kind not in _KINDS:
                available = ", ".join(kinds) or "nothing"
                raise UsageError(
                    f"the cache holds no {kind!r}{suggest(kind, kinds)}; available: {available}"
                )
        for name in chosen:
            shutil.rmtree(kinds[name], ignore_errors=True)

    def _absent(
        self,
        fingerprint: str,
        contents: Collection[str],
        find: Callable[[Path], "Array | None"],
    ) -> list[str]:
        """The contents whose feature is not found on this machine."""
        absent = []
        for content in contents:
            path = self._feature(fingerprint, content)
            if find(path) is None:
                absent.append(content)
        return absent

    def _source(self, key: str) -> Path:
        folder = self.root / "sources"
        return folder / key[:2] / key

    def _audio(self, content: str) -> Path:
        folder = self.root / "audio"
        return _array_file(folder, content)

    def _feature(self, fingerprint: str, content: str) -> Path:
        folder = self.root / "features"
        return _array_file(folder / fingerprint, content)

    def _kinds(self) -> dict[str, Path]:
        """The folder of each kind of entry that is there."""
        folders = []
        for kind in _KINDS:
            if kind != "features":
                folders.append(self.root / kind)
        features = self.root / "features"
        folders += sorted(features.glob("*"))
        present = [folder for folder in folders if folder.is_dir()]
        return {self._name(folder): folder for folder in present}

    def _name(self, path: Path) -> str:
        """The name of a file or folder in the remote."""
        relative = path.relative_to(self.root)
        return relative.as_posix()

    def _read(self, path: Path) -> "Array | None":
        """The array on this machine, else from the remote."""
        array = self._sound(path)
        if array is not None or not self.remote:
            return array
        name = self._name(path)
        self.remote.fetch([name], self.root)
        came = path.exists()
        array = self._sound(path)
        if came and array is None:
            self.remote.delete(name)
        return array

    def _sound(self, path: Path) -> "Array | None":
        """The array of a file, whose content is checked when this process first reads it.

        One that is damaged is deleted, and is made again by whoever asks.
        """
        array = array_file.mapped(path)
        if array is None or path in self._seen.checked:
            return array
        if self._is_sound(path, array):
            self._seen.checked.add(path)
            return array
        self._delete(path)
        return None

    def _is_sound(self, path: Path, array: "Array") -> bool:
        if self.root / "audio" in path.parents:  # named after its content
            return _hash(array) == path.stem
        return array_file.is_sound(path)

    def _delete(self, path: Path) -> None:
        """Delete a damaged file; the first one is named."""
        if not self._seen.damaged:
            name = self._name(path)
            display.say(
                f"{name} in the cache at {self.root} is damaged: what is damaged there is made "
                f"again"
            )
        self._seen.damaged.add(path)
        path.unlink(missing_ok=True)

    def _write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        try:
            unfinished = self.root / "unfinished"
            unfinished.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(unfinished, path, write)
        except OSError as error:
            raise BenchError(
                f"cannot write the cache at {self.root}: {error.strerror}; "
                "make room, or set SER_BENCH_HOME or --cache to another folder"
            ) from error


def _replace(unfinished: Path, path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write to a temporary file and rename it."""
    with tempfile.NamedTemporaryFile(dir=unfinished, delete=False) as file:
        try:
            write(file)  # type: ignore[arg-type]
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _array_file(folder: Path, content: str) -> Path:
    name = f"{content}.npy"
    return folder / content[:2] / name


def _hash(samples: "Array") -> str:
    """The content hash of decoded samples."""
    digest = hashlib.sha256(np.ascontiguousarray(samples).data)
    return digest.hexdigest()[:HASH_DIGITS]


def _usage(kind: str, folder: Path) -> Usage:
    files = 0
    total = 0
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            files += 1
            total += status.st_size
    return Usage(kind, files, total)
