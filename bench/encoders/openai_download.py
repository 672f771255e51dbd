"""Checkpoint files of the openai-whisper package: found in its cache folder or downloaded to it.

The package downloads straight into its folder and replaces a file that it does not know. Here a
file appears there whole and checked, and one of other content is the user's to remove.
"""

import hashlib
import tempfile
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from bench.contracts.hub_client import answer_seconds, contact, within
from bench.contracts.openai_whisper import Released, released
from bench.contracts.weights import file_digest
from bench.errors import WeightsError, first_sentence
from bench.progress import display

READ_SECONDS = 30.0  # without a byte, until a download is given up
MEBIBYTE = 2**20  # bytes
CHUNK = 2**20  # bytes


def local_file(source: str) -> Path:
    """The file of `openai:NAME`, downloaded first if it is not on this machine.

    Raises:
        WeightsError: if it cannot be downloaded, or if the file in its place is another one.
    """
    checkpoint = released(source)
    if not checkpoint.path.exists():
        try:
            _download(checkpoint)
        except Exception as error:
            raise WeightsError(
                f"The weights {source} are not at {checkpoint.path} and cannot be downloaded "
                f"({first_sentence(error)}): put {checkpoint.url} there (SHA-256 "
                f"{checkpoint.sha256}), or name other weights with --weights BACKBONE=PATH."
            ) from error
    digest = file_digest(checkpoint.path)
    if digest != checkpoint.sha256:
        raise WeightsError(
            f"{checkpoint.path} is not {source} as published: its SHA-256 is {digest} instead of "
            f"{checkpoint.sha256}; remove it, and it is downloaded again."
        )
    return checkpoint.path


def _download(checkpoint: Released) -> None:
    folder = checkpoint.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            digest = _fetch(checkpoint.url, file)
            if digest != checkpoint.sha256:
                raise ValueError(f"the server sent a file whose SHA-256 is {digest}")
            part.replace(checkpoint.path)
        finally:
            part.unlink(missing_ok=True)


def _fetch(url: str, file: IO[bytes]) -> str:
    """Write what the server sends to `file`; the SHA-256 of it."""
    import requests

    limit = answer_seconds()

    def ask() -> Any:
        return requests.get(url, stream=True, timeout=(limit, READ_SECONDS))

    digest = hashlib.sha256()
    server = urlsplit(url)
    with contact(f"{server.scheme}://{server.netloc}"), within(limit, ask) as response:
        response.raise_for_status()
        size = int(response.headers.get("Content-Length", 0))
        title = url.rpartition("/")[2]
        with display.step(f"weights {title}", size / MEBIBYTE, "MiB") as step:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                step.advance(len(chunk) / MEBIBYTE)
    file.flush()
    return digest.hexdigest()
