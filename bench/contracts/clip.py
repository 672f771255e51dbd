"""One labelled recording, and where its samples are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recording:
    """Encoded audio: a file, or the bytes of one held in memory (a row of a parquet file).

    `start` and `end` in seconds cut a segment out of a longer recording; None means the file's own
    end.
    """

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording.

    `labels` holds exactly one label, or any number of them in a multi-label task. `where` is how an
    error names the clip to its user (a path, or `row 17 of the manifest` where paths are private).
    """

    id: str
    audio: Recording
    labels: tuple[str, ...]
    speaker: str | None = None
    split: str | None = None  # train, valid or test, where the corpus itself says so
    language: str | None = None
    where: str = ""
    meta: Mapping[str, str] = field(
        default_factory=dict
    )  # gender, accent, intensity, ... as the corpus tells
