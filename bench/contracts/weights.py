"""Which pre-trained weights a pairing uses, and how two of them are told apart.

Four sources: a hub id (pinned to a commit), a local path (a folder in the hub's layout, or one
checkpoint file), a checkpoint of the openai-whisper package (`openai:small`), and "random".
Loading them is the work of `bench.encoders`.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.contracts import hub_client, openai_whisper
from bench.errors import WeightsError, first_sentence

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")
_FILE_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors"}

# the first kind that a folder holds is the one that is read
_WEIGHT_FILES = ("*.safetensors", "*.bin", "*.pt", "*.pth")


@dataclass(frozen=True)
class Checkpoint:
    """Pre-trained weights on the hub, pinned."""

    hub_id: str
    revision: (
        str | None
    )  # the hub's commit; None: whatever `main` is, recorded with the run
    licence: str
    parameters: int  # of the whole checkpoint


@dataclass(frozen=True)
class Weights:
    """The parameters of a pre-trained network: enough to load them and to tell two of them apart.

    Attributes:
        source: a hub id, a local path, `openai:NAME`, or "random".
        digest: the hub's commit, a SHA-256 of the local files, or "random". It alone enters a
            fingerprint, so a file or folder may be renamed.
        revision: the hub's commit; None for weights that are not the hub's.
    """

    source: str
    digest: str
    revision: str | None = None

    @property
    def random(self) -> bool:
        return self.source == "random"


RANDOM = Weights("random", "random")


def resolve(given: str | None, checkpoint: Checkpoint | None) -> Weights:
    """The weights that `given` names, else those of `checkpoint`, else random ones.

    Args:
        given: "random", a path, `openai:NAME`, `HUB_ID` or `HUB_ID@REVISION`.
        checkpoint: the weights that the backbone was published with.

    Raises:
        WeightsError: for a path or a name that does not exist, and for a hub id whose commit is
            neither in the hub cache nor known from the hub.
    """
    if given is None:
        return _hub(checkpoint.hub_id, checkpoint.revision) if checkpoint else RANDOM
    if given == "random":
        return RANDOM
    if openai_whisper.is_named(given):
        return Weights(given, openai_whisper.released(given).sha256)
    path = Path(given).expanduser()
    if path.exists():
        return Weights(str(path), _content(path))
    match = _HUB_ID.fullmatch(given)
    if match is None or path.suffix in _FILE_SUFFIXES:
        raise WeightsError(
            f"No weights at {path.absolute()}: that path does not exist, and {given} is not a hub "
            f"id of the form ORGANISATION/NAME; give an existing file or folder with --weights "
            f"BACKBONE=PATH."
        )
    pinned = (
        checkpoint.revision if checkpoint and checkpoint.hub_id == match["id"] else None
    )
    return _hub(match["id"], match["revision"] or pinned)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hex digits; computed again when size or time change."""
    status = path.stat()
    return _file_digest(path.resolve(), status.st_size, status.st_mtime_ns)


def absent(hub_id: str, revision: str | None, reason: object) -> str:
    """The sentence on hub weights that are neither in the cache nor can be downloaded."""
    from huggingface_hub import constants

    return (
        f"The weights {hub_id} ({revision}) are not in the hub cache {constants.HF_HUB_CACHE} and "
        f"cannot be downloaded ({first_sentence(reason)}): run `hf download {hub_id} --revision "
        f"{revision}` where there is a network, name a local folder with --weights BACKBONE=PATH, "
        f"or use --scale tiny."
    )


# --- local files ---


def _content(path: Path) -> str:
    """64 hex digits over the content and names of the files that are read."""
    if path.is_file():
        return file_digest(path)
    files = [*path.glob("*config.json"), *_weight_files(path)]
    if not files:
        raise WeightsError(
            f"The folder {path} holds no weights: config.json and model.safetensors are expected "
            f"in it."
        )
    lines = sorted(f"{file.name} {file_digest(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    for pattern in _WEIGHT_FILES:
        files = sorted(folder.glob(pattern))
        if files:
            return files
    return []


@lru_cache(maxsize=256)
def _file_digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the hub ---


def _hub(hub_id: str, revision: str | None) -> Weights:
    if revision is None or not _COMMIT.fullmatch(revision):
        revision = _commit(hub_id, revision or "main")
    return Weights(hub_id, revision, revision)


def _commit(hub_id: str, revision: str) -> str:
    """The commit of a branch or tag: the one in the hub cache, else the one that the hub names."""
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(
        hub_id, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
    )
    if isinstance(cached, str):
        return Path(cached).parent.name  # .../snapshots/COMMIT/config.json
    try:
        return hub_client.commit(hub_id, revision)
    except Exception as error:
        raise WeightsError(absent(hub_id, revision, error)) from error
