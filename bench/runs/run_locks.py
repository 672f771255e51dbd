"""Which process does a run: whoever holds its lock, a file beside the results."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import BenchError

FOLDER = "locks"  # of a results folder


def run_lock(results: Path, fingerprint: str, timeout: float) -> FileLock:
    """The lock of a run, not yet held. `timeout`: s to wait for it; -1: for good."""
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{fingerprint}.lock", timeout=timeout)


@contextmanager
def held(
    results: Path, fingerprint: str, name: str, then: str = "end that, or wait for it"
) -> Iterator[None]:
    """Keep other processes from doing a run.

    Raises:
        BenchError: one of them is doing it; `name`: what the error calls it, `then`: what to do.
    """
    lock = run_lock(results, fingerprint, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BenchError(f"{name} is under way in another process: {then}") from None
    try:
        yield
    finally:
        lock.release()
