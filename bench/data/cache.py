"""Decoded audio and features on disk, found by content: equal samples are kept once, whatever their
files are called.

    sources/<key>                     encoded bytes, segment and decoder -> hash of the decoded samples
    audio/<content>.npy               decoded samples
    features/<fingerprint>/<content>  what a feature makes of them

A file appears under its name only when it is complete, so a killed or a concurrent writer harms no
reader. Machines without a common disk share audio and features through a `Remote` of the same
layout.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from bench.data.remote_cache import Remote
from bench.errors import BenchError, UsageError, suggest
from bench.paths import home

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

_KINDS = ("sources", "audio", "features", "unfinished")


class Usage(NamedTuple):
    """What one kind of entry takes: `sources`, `audio`, `features/<fingerprint>`, or `unfinished`
    leftovers.
    """

    kind: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Cache:
    """Arrays under a folder that any number of processes may fill at once, and what `remote` has
    beyond them.
    """

    root: Path
    remote: Remote | None = None

    @classmethod
    def default(cls) -> "Cache":
        return cls(home() / "cache")

    @classmethod
    def at(cls, place: str | None) -> "Cache":
        """The cache in a folder; or the default one, backed by a URL. Raises BenchError if that
        does not answer.
        """
        if place is None or "://" in place:
            return cls(home() / "cache", Remote(place) if place else None)
        return cls(Path(place).expanduser().resolve())

    def open(self, fingerprint: str, content: str) -> "Array | None":
        """The feature of the samples with this hash, memory-mapped and read-only, or None."""
        return self._read(self._feature(fingerprint, content))

    def put(self, fingerprint: str, content: str, array: "Array") -> None:
        path = self._feature(fingerprint, content)
        self._write(path, lambda file: np.save(file, _plain(array)))
        if self.remote:
            self.remote.put([self._name(path)], self.root)

    def lacking(
        self, fingerprint: str, contents: Collection[str], fetch: bool = False
    ) -> list[str]:
        """The contents whose feature is neither here nor remote; `fetch` brings the remote ones
        here, many at once.
        """
        absent = [c for c in contents if _map(self._feature(fingerprint, c)) is None]
        if not absent or not self.remote:
            return absent
        there = self.remote.names(f"features/{fingerprint}")
        names = {c: self._name(self._feature(fingerprint, c)) for c in absent}
        if not fetch:
            return [c for c in absent if names[c] not in there]
        self.remote.fetch([name for name in names.values() if name in there], self.root)
        return [c for c in absent if _map(self._feature(fingerprint, c)) is None]

    def waveform(self, content: str) -> "Waveform | None":
        """The decoded samples, memory-mapped and read-only, or None."""
        return self._read(self._audio(content))

    def share(self, contents: Collection[str], fingerprint: str | None = None) -> None:
        """Have the remote hold what is here of a feature, or (None) of the audio itself, for other
        machines to read.
        """
        if not self.remote:
            return
        paths = [self._feature(fingerprint, c) if fingerprint else self._audio(c) for c in contents]
        there = self.remote.names(f"features/{fingerprint}" if fingerprint else "audio")
        names = [self._name(path) for path in paths if _map(path) is not None]
        self.remote.put([name for name in names if name not in there], self.root)

    def put_waveform(self, source: str, samples: "Waveform") -> str:
        """Keep, on this machine, what the recording with this source key decodes to; gives the
        content hash.
        """
        samples = _plain(samples)
        content = hashlib.sha256(samples.tobytes()).hexdigest()[:32]
        if _map(self._audio(content)) is None:
            self._write(self._audio(content), lambda file: np.save(file, samples))
        self._write(self._source(source), lambda file: file.write(content.encode()))
        return content

    def content(self, source: str) -> str | None:
        """The content hash of a recording decoded before, if its samples are still on this machine."""
        try:
            content = self._source(source).read_text("ascii")
        except (OSError, ValueError):
            return None
        return content if len(content) == 32 and _map(self._audio(content)) is not None else None

    def size(self) -> list[Usage]:
        """What each kind takes on disk, in a fixed order."""
        return [_usage(kind, folder) for kind, folder in self._kinds().items()]

    def clear(self, kind: str | None = None) -> None:
        """Delete one kind of entry, `features` for those of all fingerprints, or (None) everything."""
        kinds = self._kinds()
        chosen = [k for k in kinds if kind is None or k == kind or k.startswith(f"{kind}/")]
        if kind is not None and not chosen and kind not in _KINDS:
            raise UsageError(
                f"the cache holds no {kind!r}{suggest(kind, kinds)}; it holds: {', '.join(kinds) or 'nothing'}"
            )
        for name in chosen:
            shutil.rmtree(kinds[name], ignore_errors=True)

    def _source(self, key: str) -> Path:
        return self.root / "sources" / key[:2] / key

    def _audio(self, content: str) -> Path:
        return self.root / "audio" / content[:2] / f"{content}.npy"

    def _feature(self, fingerprint: str, content: str) -> Path:
        return self.root / "features" / fingerprint / content[:2] / f"{content}.npy"

    def _kinds(self) -> dict[str, Path]:
        plain = [self.root / kind for kind in _KINDS if kind != "features"]
        folders = [*plain, *sorted((self.root / "features").glob("*"))]
        return {
            folder.relative_to(self.root).as_posix(): folder
            for folder in folders
            if folder.is_dir()
        }

    def _name(self, path: Path) -> str:
        """How the remote calls a file."""
        return path.relative_to(self.root).as_posix()

    def _read(self, path: Path) -> "Array | None":
        """From here, else from the remote."""
        array = _map(path)
        if array is None and self.remote:
            self.remote.fetch([self._name(path)], self.root)
            array = _map(path)
        return array

    def _write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        try:
            unfinished = self.root / "unfinished"
            unfinished.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(unfinished, path, write)
        except OSError as error:
            reason = f"cannot write the cache at {self.root}: {error.strerror}"
            raise BenchError(
                f"{reason}; make room, or set SER_BENCH_HOME or --cache to another folder"
            ) from error


def _replace(unfinished: Path, path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write aside, then put in place at once."""
    with tempfile.NamedTemporaryFile(dir=unfinished, delete=False) as file:
        try:
            write(file)  # type: ignore[arg-type]
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _plain(array: "Array") -> "Array":
    return np.ascontiguousarray(array, dtype="<f4")


def _map(path: Path) -> "Array | None":
    """A whole .npy file, mapped; None if it is absent, or not what its header says."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        whole = array.offset + array.nbytes == path.stat().st_size
    except (OSError, ValueError):
        return None
    return array.view(np.ndarray) if whole and array.dtype == np.float32 else None


def _usage(kind: str, folder: Path) -> Usage:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Usage(kind, len(sizes), sum(sizes))
