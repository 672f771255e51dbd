"""Decoded audio and features on disk, found by content: equal samples are kept once, whatever their files are called.

    sources/<key>                     encoded bytes, segment and decoder -> hash of the decoded samples
    audio/<content>.npy               decoded samples
    features/<fingerprint>/<content>  what a feature makes of them

A file appears under its name only when it is complete, so a killed or a concurrent writer harms no reader.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from bench.errors import BenchError, UsageError, suggest
from bench.home import home

if TYPE_CHECKING:
    from bench.feature import Array, Waveform

_KINDS = ("sources", "audio", "features", "unfinished")


class Usage(NamedTuple):
    """What one kind of entry takes: `sources`, `audio`, `features/<fingerprint>`, or `unfinished` leftovers."""

    kind: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Cache:
    """Arrays under a folder that any number of processes may fill at once."""

    root: Path

    @classmethod
    def default(cls) -> "Cache":
        return cls(home() / "cache")

    def open(self, fingerprint: str, content: str) -> "Array | None":
        """The feature of the samples with this hash, memory-mapped and read-only, or None."""
        return _map(self._feature(fingerprint, content))

    def put(self, fingerprint: str, content: str, array: "Array") -> None:
        self._write(self._feature(fingerprint, content), lambda file: np.save(file, _plain(array)))

    def waveform(self, content: str) -> "Waveform | None":
        """The decoded samples, memory-mapped and read-only, or None."""
        return _map(self._audio(content))

    def put_waveform(self, source: str, samples: "Waveform") -> str:
        """Keep what the recording with this source key decodes to; gives the content hash."""
        samples = _plain(samples)
        content = hashlib.sha256(samples.tobytes()).hexdigest()[:32]
        if self.waveform(content) is None:
            self._write(self._audio(content), lambda file: np.save(file, samples))
        self._write(self._source(source), lambda file: file.write(content.encode()))
        return content

    def content(self, source: str) -> str | None:
        """The content hash of a recording decoded before, if its samples are still here."""
        try:
            content = self._source(source).read_text("ascii")
        except (OSError, ValueError):
            return None
        return content if len(content) == 32 and self.waveform(content) is not None else None

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
        return {folder.relative_to(self.root).as_posix(): folder for folder in folders if folder.is_dir()}

    def _write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        try:
            unfinished = self.root / "unfinished"
            unfinished.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(unfinished, path, write)
        except OSError as error:
            reason = f"cannot write the cache at {self.root}: {error.strerror}"
            raise BenchError(f"{reason}; make room, or set SER_BENCH_HOME to another folder") from error


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
