"""What corpora that come as a folder of WAV files have in common."""

import os
from collections.abc import Collection
from pathlib import Path

from bench.errors import CorpusError

_NAMED = 10  # files that an error names before it counts the rest


def folder(task: str, root: Path | None, obtain: str) -> Path:
    """`root`, if it is a folder. Raises CorpusError with how to get the corpus."""
    if root is None:
        raise CorpusError(f"the task {task} needs its corpus: {obtain}")
    if not root.is_dir():
        raise CorpusError(f"the task {task} has no corpus at {root}: {obtain}")
    return root


def media(directory: Path, suffixes: Collection[str] = (".wav",)) -> list[Path]:
    """The files of a folder that have one of the suffixes, in the order of their names; hidden ones
    are no clips.
    """
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    return [directory / name for name in names if Path(name).suffix.lower() in suffixes]


def listed(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(list(names)[:_NAMED]) + more
