"""Checkpoints that the openai-whisper package publishes: `openai:small` and its like."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench.errors import WeightsError, suggest

PREFIX = "openai:"


@dataclass(frozen=True)
class Released:
    """A checkpoint file as published."""

    url: str
    sha256: str
    path: Path  # where the package keeps it


def is_named(source: str) -> bool:
    """Whether `source` names a checkpoint of the package: `openai:NAME`."""
    return source.startswith(PREFIX)


def released(source: str) -> Released:
    """The file behind `openai:NAME`, whether it is on this machine or not.

    Raises:
        WeightsError: for a name that the package does not publish, or without the package.
    """
    try:
        import whisper
    except ImportError as error:
        raise WeightsError(
            f"{source} is a checkpoint of the openai-whisper package, which is not installed: pip "
            f"install openai-whisper."
        ) from error
    urls = whisper._MODELS  # the only list of checksums: each is a part of a URL
    name = source.removeprefix(PREFIX)
    if name not in urls:
        raise WeightsError(
            f"The openai-whisper package has no checkpoint {name!r}{suggest(name, urls)}; "
            f"available: {', '.join(urls)}."
        )
    url = urls[name]
    *_, sha256, file = url.split("/")
    return Released(url, sha256, _folder() / file)


def _folder() -> Path:
    """The package's own cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "whisper"
