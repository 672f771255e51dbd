"""What corpora that come as a folder of WAV files have in common."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from bench.contracts.clip import Clip
from bench.contracts.task import Task
from bench.errors import CorpusError


def folder(task: str, root: Path | None, obtain: str) -> Path:
    """`root`, if it is a folder. Raises CorpusError with how to get the corpus."""
    if root is None:
        raise CorpusError(f"the task {task} needs its corpus: {obtain}")
    if not root.is_dir():
        raise CorpusError(f"the task {task} has no corpus at {root}: {obtain}")
    return root


def nested(top: Path, name: str) -> Path:
    """The folder `name` that an archive unpacks to, if `top` has it; otherwise `top` itself."""
    inner = inside(top, name)
    return inner if inner.is_dir() else top


def inside(folder: Path, *names: str) -> Path:
    """The path of `names` below a folder, each in whatever case it has there, as copies that went
    through other systems do; what is absent keeps the case it is given in.
    """
    path = folder
    for name in names:
        path = _entry(path, name)
    return path


def _entry(folder: Path, name: str) -> Path:
    exact = folder / name
    if exact.exists() or not folder.is_dir():
        return exact
    for path in sorted(folder.iterdir()):
        if path.name.lower() == name.lower():
            return path
    return exact


def media(directory: Path, suffixes: Collection[str] = (".wav",)) -> list[Path]:
    """The visible files of a folder that have one of the suffixes, sorted by name."""
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries)
    paths = []
    for name in names:
        suffix = Path(name).suffix
        if suffix.lower() in suffixes and not name.startswith("."):
            paths.append(directory / name)
    return paths


def differences(task: Task, clips: Sequence[Clip]) -> tuple[str, ...]:
    """How the clips differ from a complete copy of the corpus, as caveats."""
    if task.expected is None:
        return ()
    return task.expected.differences(clips)
