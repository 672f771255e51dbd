"""Weights on this machine: found in the hub's cache or downloaded, then loaded without surprises."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.contracts.weights import Weights, _absent, _first_sentence
from bench.errors import WeightsError

_DOWNLOADED = ("model.safetensors", "model-?????-of-?????.safetensors")
_DOWNLOADED_OLD = ("pytorch_model.bin", "pytorch_model-?????-of-?????.bin")


def local_folder(weights: Weights) -> Path:
    """Where the files of `weights` are: the user's own path, or the hub cache's folder, downloaded
    first if needed.

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
    auto_class: Any,
    weights: Weights,
    config: Any = None,
    may_miss: Collection[str] = ("masked_spec_embed",),
) -> Any:
    """The float32 model that `auto_class` (such as `transformers.AutoModel`) makes of `weights`.

    `may_miss` names the only parameters that may be newly initialised (a part of a name is enough).

    Raises: WeightsError if files are missing, broken, or leave a part of the network without
    weights.
    """
    import torch

    folder = local_folder(weights)
    config = config if config is not None else load_config(weights)
    try:
        with _quiet():
            model, info = auto_class.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
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
    """A small JSON file beside the weights, such as `preprocessor_config.json`; empty if there is
    none.

    Raises: WeightsError if it cannot be read.
    """
    path = local_folder(weights) / name
    try:
        return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}
    except (ValueError, TypeError) as error:
        raise WeightsError(
            _unusable(weights, path, f"it is no JSON object ({_first_sentence(error)})")
        ) from error


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
    """The snapshot with its JSON files and one kind of weights: safetensors, or where there is none
    torch's own.
    """
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


def _unusable(weights: Weights, path: Path, reason: str) -> str:
    return (
        f"The weights {weights.source} at {path} cannot be used: {reason}; fetch them again, or name others with "
        f"--weights BACKBONE=PATH."
    )
