"""The part of a cache that machines without a common disk share: a URL of any file system that
fsspec knows.
"""

import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UsageError

FOLDERS = {
    "file",
    "sftp",
    "smb",
    "hdfs",
    "webhdfs",
    "ftp",
}  # of fsspec: there a file is seen while it is written
AT_ONCE = 16  # transfers


@dataclass(frozen=True)
class Remote:
    """Whole files by name (`features/<fingerprint>/...`) below a URL such as `s3://bucket/prefix`.

    A name shows a whole file or none: object stores put a file at once, elsewhere it is written
    aside and renamed. Raises UsageError for a URL that is none, BenchError where the other side
    does not answer.
    """

    url: str

    def __post_init__(self) -> None:
        with self._answering():
            self._system.exists(self._root)

    def names(self, folder: str) -> set[str]:
        """The names of all files below a folder; none where it does not exist."""
        with self._answering():
            self._system.invalidate_cache()
            return {
                path.removeprefix(f"{self._root}/")
                for path in self._system.find(f"{self._root}/{folder}")
            }

    def fetch(self, names: Iterable[str], root: Path) -> None:
        """Copy files into a local folder under the same names, leaving out those that do not exist."""
        _each(lambda name: self._fetch(name, root), names)

    def put(self, names: Iterable[str], root: Path) -> None:
        """Copy files from a local folder."""
        _each(lambda name: self._put(name, root / name), names)

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
                f"the cache {self.url} cannot be used: {' '.join(str(error).split())}"
            ) from error
        return system, root.rstrip("/")

    @cached_property
    def _renames(self) -> bool:
        protocol = self._system.protocol
        return bool(FOLDERS.intersection([protocol] if isinstance(protocol, str) else protocol))

    def _fetch(self, name: str, folder: Path) -> None:
        unfinished = folder / "unfinished"
        unfinished.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=unfinished) as aside, self._answering():
            part = Path(aside) / "part"
            try:
                self._system.get_file(f"{self._root}/{name}", str(part))
            except FileNotFoundError:
                return
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            part.replace(folder / name)

    def _put(self, name: str, path: Path) -> None:
        target = f"{self._root}/{name}"
        with self._answering():
            if not self._renames:
                self._system.put_file(str(path), target)
                return
            parent, _, last = target.rpartition("/")
            aside = f"{parent}/.{last}-{uuid.uuid4().hex}"
            self._system.makedirs(parent, exist_ok=True)
            self._system.put_file(str(path), aside)
            self._system.mv(aside, target)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except BenchError:
            raise
        except Exception as error:  # each file system raises its own
            text = " ".join(str(error).split()) or type(error).__name__
            raise BenchError(
                f"the shared cache {self.url} does not answer: {text[:300]}"
            ) from error


def _each(do: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(do, names):
            pass
