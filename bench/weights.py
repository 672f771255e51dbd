"""Pre-trained weights: which ones a pairing uses, where they are on this machine, and loading them without surprises.

Three sources: a hub id (pinned to a commit, read from the hub's cache or downloaded once), a local path (a folder in
the hub's layout, or one checkpoint file), and "random".
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.backbone import Checkpoint
from bench.errors import WeightsError
from bench.feature import Weights

RANDOM = Weights("random", "random")

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")
_WEIGHT_FILES = ("*.safetensors", "*.bin", "*.pt", "*.pth")  # the first kind present is the one that is read
_DOWNLOADED = ("model.safetensors", "model-?????-of-?????.safetensors")
_DOWNLOADED_OLD = ("pytorch_model.bin", "pytorch_model-?????-of-?????.bin")


def resolve(given: str | None, checkpoint: Checkpoint | None) -> Weights:
    """The weights meant by `given` ("random", a path, `HUB_ID` or `HUB_ID@REVISION`), else `checkpoint`'s, else random.

    The digest is the hub's commit, or a hash of the local files' content.

    Raises: WeightsError for a path that does not exist, and for a hub id whose commit cannot be found out.
    """
    if given is None:
        return _hub(checkpoint.hub_id, checkpoint.revision) if checkpoint else RANDOM
    if given == "random":
        return RANDOM
    if (path := Path(given).expanduser()).exists():
        return Weights(str(path), _content(path))
    if not (match := _HUB_ID.fullmatch(given)) or path.suffix in {".pt", ".pth", ".bin", ".safetensors"}:
        raise WeightsError(
            f"No weights at {path.absolute()}: that path does not exist, nor is {given} a hub id of the form "
            f"ORGANISATION/NAME; give an existing file or folder with --weights BACKBONE=PATH."
        )
    pinned = checkpoint.revision if checkpoint and checkpoint.hub_id == match["id"] else None
    return _hub(match["id"], match["revision"] or pinned)


def local_folder(weights: Weights) -> Path:
    """Where the files of `weights` are: the user's own path, or the hub cache's folder, downloaded first if needed.

    Raises: WeightsError if they are not on this machine and cannot be downloaded.
    """
    if weights.random:
        raise ValueError("random weights have no files")
    if weights.revision is None:
        return Path(weights.source)
    return _cached(weights) or _download(weights)


def load_config(weights: Weights) -> Any:
    """The configuration (of transformers) that comes with `weights`.

    Raises: WeightsError if it is missing or cannot be read.
    """
    from transformers import AutoConfig

    folder = local_folder(weights)
    if not (folder / "config.json").is_file():
        raise WeightsError(_unusable(weights, folder, "it holds no config.json"))
    try:
        return AutoConfig.from_pretrained(folder)
    except Exception as error:
        raise WeightsError(_unusable(weights, folder, _first_sentence(error))) from error


def load_pretrained(
    auto_class: Any, weights: Weights, config: Any = None, may_miss: Collection[str] = ("masked_spec_embed",)
) -> Any:
    """The float32 model that `auto_class` (such as `transformers.AutoModel`) makes of `weights`.

    `may_miss` names the only parameters that may be newly initialised (a part of a name is enough).

    Raises: WeightsError if files are missing, broken, or leave a part of the network without weights.
    """
    import torch

    folder = local_folder(weights)
    config = config if config is not None else load_config(weights)
    try:
        with _quiet():
            model, info = auto_class.from_pretrained(
                folder, config=config, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
    except Exception as error:
        raise WeightsError(_unusable(weights, folder, _first_sentence(error))) from error
    missing = sorted(k for k in info["missing_keys"] if not any(part in k for part in may_miss))
    if missing or info["mismatched_keys"]:
        wrong = missing or sorted(str(k) for k in info["mismatched_keys"])
        reason = f"{len(wrong)} parameters of {type(model).__name__} are not in it, {wrong[0]} among them"
        raise WeightsError(_unusable(weights, folder, reason))
    return model


def load_json(weights: Weights, name: str) -> dict[str, Any]:
    """A small JSON file beside the weights, such as `preprocessor_config.json`; empty if there is none.

    Raises: WeightsError if it cannot be read.
    """
    path = local_folder(weights) / name
    try:
        return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}
    except (ValueError, TypeError) as error:
        raise WeightsError(_unusable(weights, path, f"it is no JSON object ({_first_sentence(error)})")) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and its report of keys, which are checked here instead."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


# --- local files ---


def _content(path: Path) -> str:
    """64 hex digits over the files that matter; their names within a folder count, the folder's own does not."""
    if path.is_file():
        return _sha256(path)
    files = [*path.glob("*config.json"), *_weight_files(path)]
    if not files:
        raise WeightsError(f"The folder {path} holds no weights: config.json and model.safetensors are expected in it.")
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
    commit = revision if revision and _COMMIT.fullmatch(revision) else _commit(hub_id, revision or "main")
    return Weights(hub_id, commit, commit)


def _commit(hub_id: str, revision: str) -> str:
    """The commit behind a branch or tag: what the cache holds under that name, else what the hub says now."""
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    cached = try_to_load_from_cache(hub_id, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision)
    if isinstance(cached, str):
        return Path(cached).parent.name  # .../snapshots/COMMIT/config.json
    try:
        return str(HfApi().model_info(hub_id, revision=revision).sha)
    except Exception as error:
        raise WeightsError(_absent(hub_id, revision, error)) from error


def _cached(weights: Weights) -> Path | None:
    from huggingface_hub import constants

    repository = f"models--{weights.source.replace('/', '--')}"
    folder = Path(constants.HF_HUB_CACHE) / repository / "snapshots" / str(weights.revision)
    return folder if _complete(folder) else None


def _complete(folder: Path) -> bool:
    """Whether an interrupted download left nothing out."""
    if not (folder / "config.json").is_file():
        return False
    for index in folder.glob("*.index.json"):
        if index.name in {"model.safetensors.index.json", "pytorch_model.bin.index.json"}:
            shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
            return all((folder / shard).is_file() for shard in shards)
    return (folder / "model.safetensors").is_file() or (folder / "pytorch_model.bin").is_file()


def _download(weights: Weights) -> Path:
    """The snapshot with its JSON files and one kind of weights: safetensors, or where there is none torch's own."""
    from huggingface_hub import constants, snapshot_download

    for patterns in (_DOWNLOADED, _DOWNLOADED_OLD):
        try:
            snapshot_download(
                weights.source,
                revision=weights.revision,
                allow_patterns=["*.json", *patterns],
                cache_dir=constants.HF_HUB_CACHE,
            )
        except Exception as error:
            raise WeightsError(_absent(weights.source, weights.revision, error)) from error
        if folder := _cached(weights):
            return folder
    raise WeightsError(_absent(weights.source, weights.revision, "the download is incomplete"))


# --- sentences ---


def _absent(hub_id: str, revision: str | None, reason: Exception | str) -> str:
    from huggingface_hub import constants

    return (
        f"The weights {hub_id} ({revision}) are not in the hub cache {constants.HF_HUB_CACHE} and cannot be fetched "
        f"({_first_sentence(reason)}): run `hf download {hub_id} --revision {revision}` where there is a network, name "
        f"a local folder with --weights BACKBONE=PATH, or use --scale tiny."
    )


def _unusable(weights: Weights, path: Path, reason: str) -> str:
    return (
        f"The weights {weights.source} at {path} cannot be used: {reason}; fetch them again, or name others with "
        f"--weights BACKBONE=PATH."
    )


def _first_sentence(reason: Exception | str) -> str:
    text = str(reason).strip().split("\n")[0].split(". ")[0][:200].rstrip(" .:")
    return text or type(reason).__name__
