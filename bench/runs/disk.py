"""What a results folder takes on disk, and the checkpoints of interrupted trainings in it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from bench.runs.run_locks import run_lock

CHECKPOINTS = "checkpoints"
KINDS = {  # what is counted, and where it lies
    "recorded runs": "artifacts",
    "checkpoints of interrupted trainings": CHECKPOINTS,
    "figures of searches": "tuning",
}


@dataclass(frozen=True)
class Usage:
    kind: str
    files: int
    bytes: int


def usages(results: Path) -> list[Usage]:
    """The size of each kind of files in a results folder."""
    found = []
    for kind, folder in KINDS.items():
        sizes = list(_sizes((results / folder).rglob("*")))
        found.append(Usage(kind, len(sizes), sum(sizes)))
    return found


def clear_checkpoints(results: Path) -> Usage:
    """Delete the checkpoints, and say how many. Those of trainings under way are kept."""
    freed: list[int] = []
    for path in (results / CHECKPOINTS).glob("*"):
        with suppress(Timeout), run_lock(results, path.stem, timeout=0):
            freed += _sizes([path])
            path.unlink(missing_ok=True)
    return Usage(CHECKPOINTS, len(freed), sum(freed))


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        with suppress(OSError):  # deleted meanwhile
            state = path.stat()
            if not path.is_dir():
                yield state.st_size
