"""The part of a cache that machines without a common disk share, at a URL of any file system that
fsspec supports.
"""

import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UsageError, one_line

# protocols of fsspec whose files are visible while they are written
FOLDERS = {"file", "sftp", "smb", "hdfs", "webhdfs", "ftp"}
AT_ONCE = 16  # parallel transfers


@dataclass(frozen=True)
class Remote:
    """Whole files by name (`features/<fingerprint>/...`) below a URL such as `s3://bucket/prefix`.

    A name stands for a complete file: object stores put a file at once; elsewhere a temporary file
    is renamed.

    Raises:
        UsageError: the URL is malformed. BenchError: the file system does not answer.
    """

    url: str

    def __post_init__(self) -> None:
        with self._answering():
            self._system.exists(self._root)

    def names(self, folder: str) -> set[str]:
        """The names of all files below a folder; none where it does not exist."""
        with self._answering():
            self._system.invalidate_cache()
            paths = self._system.find(f"{self._root}/{folder}")
        prefix = f"{self._root}/"
        return {path.removeprefix(prefix) for path in paths}

    def fetch(self, names: Iterable[str], root: Path) -> None:
        """Copy files into a local folder under the same names; missing ones are skipped."""

        def fetch(name: str) -> None:
            self._fetch(name, root)

        _in_parallel(fetch, names)

    def put(self, names: Iterable[str], root: Path) -> None:
        """Copy files from a local folder."""

        def put(name: str) -> None:
            self._put(name, root / name)

        _in_parallel(put, names)

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        with self._answering(), suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{name}")

    @property
    def _system(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return str(self._opened[1])

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system, and the path of the root in it."""
        import fsspec

        try:
            system, root = fsspec.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise UsageError(
                f"the cache {self.url} cannot be used: {one_line(error)}"
            ) from error
        return system, root.rstrip("/")

    @cached_property
    def _renames(self) -> bool:
        """Whether files are put under a temporary name first."""
        protocol = self._system.protocol
        names = [protocol] if isinstance(protocol, str) else protocol
        return not FOLDERS.isdisjoint(names)

    def _fetch(self, name: str, folder: Path) -> None:
        unfinished = folder / "unfinished"
        unfinished.mkdir(parents=True, exist_ok=True)
        target = folder / name
        with (
            tempfile.TemporaryDirectory(dir=unfinished) as temporary,
            self._answering(),
        ):
            part = Path(temporary) / "part"
            try:
                self._system.get_file(f"{self._root}/{name}", str(part))
            except FileNotFoundError:
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)

    def _put(self, name: str, path: Path) -> None:
        target = f"{self._root}/{name}"
        with self._answering():
            if not self._renames:
                self._system.put_file(str(path), target)
                return
            parent, _, last = target.rpartition("/")
            temporary = f"{parent}/.{last}-{uuid.uuid4().hex}"
            self._system.makedirs(parent, exist_ok=True)
            self._system.put_file(str(path), temporary)
            self._system.mv(temporary, target)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except BenchError:
            raise
        except Exception as error:  # each file system raises its own
            reason = one_line(error, 300)
            raise BenchError(
                f"the shared cache {self.url} does not answer: {reason}"
            ) from error


def _in_parallel(do: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(do, names):
            pass
