"""Weights in the hub's layout: found on this machine or downloaded, then loaded without surprises.

Code that a checkpoint brings along is never run, and nobody is asked whether it should be.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.contracts import hub_client, openai_whisper
from bench.contracts.weights import Weights, absent
from bench.errors import WeightsError, first_sentence

_SAFETENSORS = ("model.safetensors", "model-?????-of-?????.safetensors")
_PICKLED = ("pytorch_model.bin", "pytorch_model-?????-of-?????.bin")
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def local_folder(weights: Weights) -> Path:
    """The user's own path, or the folder in the hub cache, to which the files are downloaded first
    where needed.

    Raises:
        WeightsError: if the files are not on this machine and cannot be downloaded.
    """
    if weights.random:
        raise ValueError("random weights have no files")
    if openai_whisper.is_named(weights.source):
        raise WeightsError(
            f"{weights.source} is a checkpoint of the openai-whisper package, which only the "
            f"Whisper backbones read: name other weights with --weights BACKBONE=PATH."
        )
    if weights.revision is None:
        return Path(weights.source)
    return _cached(weights) or _download(weights)


def load_config(weights: Weights) -> Any:
    """The configuration (of transformers) that comes with `weights`.

    Raises:
        WeightsError: if it is missing, cannot be read, or asks for code of its own.
    """
    from transformers import AutoConfig

    folder = local_folder(weights)
    path = folder / "config.json"
    if not path.is_file():
        raise _unusable(weights, folder, "it holds no config.json")
    try:
        own_code = "auto_map" in json.loads(path.read_text("utf-8"))
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise _unusable(weights, folder, first_sentence(error)) from error
    if own_code:
        reason = (
            "its config.json asks for code of its own (auto_map), which is never run"
        )
        raise _unusable(weights, folder, reason)
    return config


def load_pretrained(
    auto_class: Any,
    weights: Weights,
    config: Any = None,
    may_miss: Collection[str] = ("masked_spec_embed",),
) -> Any:
    """The float32 model that `auto_class` (such as `transformers.AutoModel`) makes of `weights`.

    Args:
        auto_class: a class of transformers with `from_pretrained`.
        weights: a hub id or a folder in the hub's layout.
        config: the configuration; None reads the one beside the weights.
        may_miss: parts of the names of the only parameters that may be newly initialised.

    Raises:
        WeightsError: if files are missing or broken, or leave a part of the network without
            weights.
    """
    import torch

    folder = local_folder(weights)
    config = load_config(weights) if config is None else config
    try:
        with _quiet():
            model, info = auto_class.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                trust_remote_code=False,
            )
    except Exception as error:
        raise _unusable(weights, folder, first_sentence(error)) from error
    wrong = _unloaded(info, may_miss)
    if wrong:
        kind = type(model).__name__
        reason = (
            f"{len(wrong)} parameters of {kind} are not in it, {wrong[0]} among them"
        )
        raise _unusable(weights, folder, reason)
    return model


def load_json(weights: Weights, name: str) -> dict[str, Any]:
    """A JSON file beside the weights, such as `preprocessor_config.json`; empty if it is absent.

    Raises:
        WeightsError: if it cannot be read.
    """
    path = local_folder(weights) / name
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        reason = f"it is no JSON object ({first_sentence(error)})"
        raise _unusable(weights, path, reason) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide transformers' progress bar and its report on keys, which are checked here instead."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _unloaded(info: dict[str, Any], may_miss: Collection[str]) -> list[str]:
    """The parameters that the files do not hold, else those that they hold in another shape."""
    missing = [
        name
        for name in info["missing_keys"]
        if not any(part in name for part in may_miss)
    ]
    return sorted(missing or map(str, info["mismatched_keys"]))


def _cached(weights: Weights) -> Path | None:
    from huggingface_hub import constants

    repository = f"models--{weights.source.replace('/', '--')}"
    folder = (
        Path(constants.HF_HUB_CACHE) / repository / "snapshots" / str(weights.revision)
    )
    return folder if _is_complete(folder) else None


def _is_complete(folder: Path) -> bool:
    """Whether every file is there, which an interrupted download leaves undone."""
    if not (folder / "config.json").is_file():
        return False
    for name in _INDEXES:
        index = folder / name
        if index.is_file():
            shards = json.loads(index.read_text("utf-8"))["weight_map"].values()
            return all((folder / shard).is_file() for shard in set(shards))
    return (folder / "model.safetensors").is_file() or (
        folder / "pytorch_model.bin"
    ).is_file()


def _download(weights: Weights) -> Path:
    """The snapshot with its JSON files and one kind of weights: safetensors if there are any."""
    from huggingface_hub import constants

    revision = str(weights.revision)
    for weight_files in (_SAFETENSORS, _PICKLED):
        patterns = ["*.json", *weight_files]
        try:
            hub_client.download(
                weights.source, revision, patterns, constants.HF_HUB_CACHE
            )
        except Exception as error:
            raise WeightsError(absent(weights.source, revision, error)) from error
        folder = _cached(weights)
        if folder is not None:
            return folder
    raise WeightsError(absent(weights.source, revision, "the download is incomplete"))


def _unusable(weights: Weights, path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"The weights {weights.source} at {path} cannot be used: {reason}; fetch them again, or "
        f"name others with --weights BACKBONE=PATH."
    )
