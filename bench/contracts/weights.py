"""Pre-trained weights: which ones a pairing uses, where they are on this machine, and loading them
without surprises.

Three sources: a hub id (pinned to a commit, read from the hub's cache or downloaded once), a local
path (a folder in the hub's layout, or one checkpoint file), and "random".
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.errors import WeightsError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")
_WEIGHT_FILES = (
    "*.safetensors",
    "*.bin",
    "*.pt",
    "*.pth",
)  # the first kind present is the one that is read


@dataclass(frozen=True)
class Checkpoint:
    """Pre-trained weights on the hub, pinned."""

    hub_id: str
    revision: str | None  # the hub's commit; None: whatever `main` is, recorded with the run
    licence: str
    parameters: int  # of the whole checkpoint


@dataclass(frozen=True)
class Weights:
    """Which parameters a pre-trained network has: enough to load them and to tell two of them
    apart.

    source: a hub id, a local path, or "random". digest: the hub's commit, a hash of the local
    files, or "random". Only the digest counts for a fingerprint: a folder may be renamed.
    """

    source: str
    digest: str
    revision: str | None = None

    @property
    def random(self) -> bool:
        return self.source == "random"


RANDOM = Weights("random", "random")


def resolve(given: str | None, checkpoint: Checkpoint | None) -> Weights:
    """The weights meant by `given` ("random", a path, `HUB_ID` or `HUB_ID@REVISION`), else
    `checkpoint`'s, else random.

    The digest is the hub's commit, or a hash of the local files' content.

    Raises: WeightsError for a path that does not exist, and for a hub id whose commit cannot be
    found out.
    """
    if given is None:
        return _hub(checkpoint.hub_id, checkpoint.revision) if checkpoint else RANDOM
    if given == "random":
        return RANDOM
    if (path := Path(given).expanduser()).exists():
        return Weights(str(path), _content(path))
    if not (match := _HUB_ID.fullmatch(given)) or path.suffix in {
        ".pt",
        ".pth",
        ".bin",
        ".safetensors",
    }:
        raise WeightsError(
            f"No weights at {path.absolute()}: that path does not exist, nor is {given} a hub id of the form "
            f"ORGANISATION/NAME; give an existing file or folder with --weights BACKBONE=PATH."
        )
    pinned = checkpoint.revision if checkpoint and checkpoint.hub_id == match["id"] else None
    return _hub(match["id"], match["revision"] or pinned)


# --- local files ---


def _content(path: Path) -> str:
    """64 hex digits over the files that matter; their names within a folder count, the folder's own
    does not.
    """
    if path.is_file():
        return _sha256(path)
    files = [*path.glob("*config.json"), *_weight_files(path)]
    if not files:
        raise WeightsError(
            f"The folder {path} holds no weights: config.json and model.safetensors are expected in it."
        )
    lines = sorted(f"{f.name} {_sha256(f)}\n" for f in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    return next((found for pattern in _WEIGHT_FILES if (found := sorted(folder.glob(pattern)))), [])


def _sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_of(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the hub ---


def _hub(hub_id: str, revision: str | None) -> Weights:
    commit = (
        revision
        if revision and _COMMIT.fullmatch(revision)
        else _commit(hub_id, revision or "main")
    )
    return Weights(hub_id, commit, commit)


def _commit(hub_id: str, revision: str) -> str:
    """The commit behind a branch or tag: what the cache holds under that name, else what the hub
    says now.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    cached = try_to_load_from_cache(
        hub_id, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
    )
    if isinstance(cached, str):
        return Path(cached).parent.name  # .../snapshots/COMMIT/config.json
    try:
        return str(HfApi().model_info(hub_id, revision=revision).sha)
    except Exception as error:
        raise WeightsError(_absent(hub_id, revision, error)) from error


# --- sentences ---


def _absent(hub_id: str, revision: str | None, reason: Exception | str) -> str:
    from huggingface_hub import constants

    return (
        f"The weights {hub_id} ({revision}) are not in the hub cache {constants.HF_HUB_CACHE} and cannot be fetched "
        f"({_first_sentence(reason)}): run `hf download {hub_id} --revision {revision}` where there is a network, name "
        f"a local folder with --weights BACKBONE=PATH, or use --scale tiny."
    )


def _first_sentence(reason: Exception | str) -> str:
    text = str(reason).strip().split("\n")[0].split(". ")[0][:200].rstrip(" .:")
    return text or type(reason).__name__
