"""The file from which an interrupted training goes on; a damaged one costs time, and no run."""

import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from bench.errors import one_line
from bench.progress import display
from bench.training.job import TrainingState

REASON_LENGTH = 200  # characters of another library's message

Content = Mapping[str, Any]


class DamagedError(Exception):
    """A checkpoint from which the training cannot go on."""


def read(path: Path, device: torch.device) -> Content | None:
    """What `write` wrote; None if there is no such file, or one that is damaged."""
    if not path.is_file():
        return None
    try:
        content = _load(path, device)
        progress(content)
    except Exception:  # unpickling raises whatever the file makes it raise
        say_damaged()
        return None
    return content


def progress(content: Content) -> TrainingState:
    """How far the training had come."""
    return TrainingState(**content["progress"])


def say_damaged() -> None:
    """Tell the user that a checkpoint is of no use."""
    display.say(
        "the checkpoint of an interrupted training is damaged: the training starts over"
    )


def write(content: Content, path: Path) -> None:
    """Replace the file. Where that is impossible the training goes on without, and says so."""
    suffix = f".{os.getpid()}.part"
    partial = path.with_suffix(suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # a full disk is a RuntimeError to torch
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        reason = one_line(error, REASON_LENGTH)
        display.say(
            f"no checkpoint can be written to {path.parent}, and the training goes on without: "
            f"{reason}"
        )


def _load(path: Path, device: torch.device) -> Content:
    """The content of a file whose parts have their checksums, which torch writes and never reads.

    Raises:
        Exception: Of many kinds, for a file that is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise DamagedError
    content: Content = torch.load(path, map_location=device, weights_only=True)
    return content
