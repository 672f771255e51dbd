"""Whisper's parameters: the sizes of the network, and loading its encoder or its decoder alone.

Checkpoints are those of the hub (transformers) or of the openai-whisper package; the networks are
transformers'.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor

from bench.contracts import openai_whisper
from bench.contracts.weights import Weights
from bench.encoders.hub import load_config, load_pretrained
from bench.encoders.openai_download import local_file
from bench.errors import WeightsError, first_sentence

Part = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class Dims:
    """The sizes of a Whisper network (Radford et al. 2023, table 1)."""

    mels: int
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int = 51_865
    positions: int = 1_500  # of the encoder: 30 s
    tokens: int = 448  # of the decoder

    @property
    def start(self) -> int:
        """The token a transcript starts with; it follows the end-of-text token."""
        return {51_864: 50_257}.get(self.vocabulary, min(50_258, self.vocabulary - 1))


SIZES: Mapping[str, Dims] = {
    "tiny": Dims(mels=80, width=384, heads=6, encoder_layers=4, decoder_layers=4),
    "base": Dims(mels=80, width=512, heads=8, encoder_layers=6, decoder_layers=6),
    "small": Dims(mels=80, width=768, heads=12, encoder_layers=12, decoder_layers=12),
    "medium": Dims(mels=80, width=1024, heads=16, encoder_layers=24, decoder_layers=24),
    "large-v3": Dims(
        mels=128,
        width=1280,
        heads=20,
        encoder_layers=32,
        decoder_layers=32,
        vocabulary=51_866,
    ),
    "large-v3-turbo": Dims(
        mels=128,
        width=1280,
        heads=20,
        encoder_layers=32,
        decoder_layers=4,
        vocabulary=51_866,
    ),
}


def tiny(size: str) -> Dims:
    """The architecture of `size` at sizes that train in seconds."""
    return replace(
        SIZES[size],
        width=48,
        heads=4,
        encoder_layers=2,
        decoder_layers=2,
        vocabulary=64,
    )


@cache
def read_dims(weights: Weights) -> Dims:
    """The sizes that a checkpoint states itself.

    Raises:
        WeightsError: if it is not a Whisper checkpoint.
    """
    if _is_openai(weights):
        return _from_openai(_openai_checkpoint(weights)["dims"])
    config = load_config(weights)
    if config.model_type != "whisper":
        raise WeightsError(
            f"{weights.source} holds a {config.model_type} network, not Whisper: name another one."
        )
    return Dims(
        mels=config.num_mel_bins,
        width=config.d_model,
        heads=config.encoder_attention_heads,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        vocabulary=config.vocab_size,
        positions=config.max_source_positions,
        tokens=config.max_target_positions,
    )


def load(part: Part, weights: Weights, dims: Dims) -> Any:
    """The encoder or the decoder alone, as transformers' module, in float32 and in evaluation mode.

    Random weights are drawn from torch's current seed.

    Raises:
        WeightsError: if the weights cannot be loaded.
    """
    if weights.random:
        return create(part, dims).eval()
    if not _is_openai(weights):
        return _load_pretrained(part, weights)
    network = create(part, dims)
    network.load_state_dict(_openai_state(part, weights))
    return network.eval()


def create(part: Part, dims: Dims) -> Any:
    """The encoder or the decoder with random weights, drawn from torch's current seed."""
    return _kind(part)(configuration(dims))


def configuration(dims: Dims) -> Any:
    """transformers' configuration of a network of these sizes."""
    from transformers import WhisperConfig

    end = dims.start - 1
    return WhisperConfig(
        num_mel_bins=dims.mels,
        d_model=dims.width,
        encoder_layers=dims.encoder_layers,
        decoder_layers=dims.decoder_layers,
        encoder_attention_heads=dims.heads,
        decoder_attention_heads=dims.heads,
        encoder_ffn_dim=4 * dims.width,
        decoder_ffn_dim=4 * dims.width,
        vocab_size=dims.vocabulary,
        max_source_positions=dims.positions,
        max_target_positions=dims.tokens,
        decoder_start_token_id=dims.start,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        attn_implementation="sdpa",
    )


def _kind(part: Part) -> Any:
    from transformers.models.whisper import modeling_whisper

    return (
        modeling_whisper.WhisperEncoder
        if part == "encoder"
        else modeling_whisper.WhisperDecoder
    )


def _load_pretrained(part: Part, weights: Weights) -> Any:
    """One part of a checkpoint of both; the tensors of the other are never read from the file."""
    kind = _kind(part)
    alone = type(
        kind.__name__,
        (kind,),
        {"_keys_to_ignore_on_load_unexpected": [r"(en|de)coder\.", r"^proj_out\."]},
    )
    renamed = {rf"^(model\.)?{part}\.": ""}
    from_pretrained = alone.from_pretrained  # type: ignore[attr-defined]
    read = partial(from_pretrained, key_mapping=renamed, attn_implementation="sdpa")
    network = load_pretrained(SimpleNamespace(from_pretrained=read), weights)
    if part == "encoder":
        # sinusoids, which reading a checkpoint makes trainable
        network.embed_positions.requires_grad_(False)
    return network


# Checkpoints of the openai-whisper package: one file with the sizes ("dims") and the parameters.
# The networks are the same; only the names of their parameters differ.

OPENAI_NAMES = {
    ".blocks.": ".layers.",
    ".attn.": ".self_attn.",
    ".attn_ln.": ".self_attn_layer_norm.",
    ".cross_attn.": ".encoder_attn.",
    ".cross_attn_ln.": ".encoder_attn_layer_norm.",
    ".query.": ".q_proj.",
    ".key.": ".k_proj.",
    ".value.": ".v_proj.",
    ".out.": ".out_proj.",
    ".mlp.0.": ".fc1.",
    ".mlp.2.": ".fc2.",
    ".mlp_ln.": ".final_layer_norm.",
    ".ln_post.": ".layer_norm.",
    ".ln.": ".layer_norm.",
    ".token_embedding.": ".embed_tokens.",
    ".positional_embedding": ".embed_positions.weight",
}


def _is_openai(weights: Weights) -> bool:
    if weights.random:
        return False
    return openai_whisper.is_named(weights.source) or Path(weights.source).is_file()


def _openai_file(weights: Weights) -> Path:
    if openai_whisper.is_named(weights.source):
        return local_file(weights.source)
    return Path(weights.source)


def _openai_checkpoint(weights: Weights) -> Mapping[str, Any]:
    """The content of the file; its tensors stay on the disk until they are used."""
    path = _openai_file(weights)
    try:
        mapped = zipfile.is_zipfile(path)  # files of torch before 1.6 cannot be
        checkpoint = torch.load(
            path, map_location="cpu", mmap=mapped, weights_only=True
        )
        is_whisper = {"dims", "model_state_dict"} <= set(checkpoint)
    except Exception as error:  # unpickling raises whatever the file makes it raise
        reason = first_sentence(error)
        raise WeightsError(
            f"{path} cannot be read as a PyTorch checkpoint: {reason}."
        ) from error
    if not is_whisper:
        raise WeightsError(
            f"{path} is not a checkpoint of the openai-whisper package (it has no dims and "
            f"model_state_dict): name one, or a folder in the hub's layout."
        )
    return checkpoint  # type: ignore[no-any-return]


def _from_openai(dims: Mapping[str, int]) -> Dims:
    return Dims(
        mels=dims["n_mels"],
        width=dims["n_audio_state"],
        heads=dims["n_audio_head"],
        encoder_layers=dims["n_audio_layer"],
        decoder_layers=dims["n_text_layer"],
        vocabulary=dims["n_vocab"],
        positions=dims["n_audio_ctx"],
        tokens=dims["n_text_ctx"],
    )


def _openai_state(part: Part, weights: Weights) -> dict[str, Tensor]:
    """The parameters of one part under transformers' names."""
    path = _openai_file(weights)
    try:
        import whisper
    except ImportError as error:
        raise WeightsError(
            f"{path} is a checkpoint of the openai-whisper package, which is not installed: pip "
            f"install openai-whisper."
        ) from error
    model = whisper.load_model(str(path), device="cpu")
    state = getattr(model, part).state_dict()
    return {_translate(name): tensor for name, tensor in state.items()}


def _translate(name: str) -> str:
    """`blocks.0.attn.query.weight` as `layers.0.self_attn.q_proj.weight`."""
    name = f".{name}"
    for theirs, ours in OPENAI_NAMES.items():
        name = name.replace(theirs, ours)
    return name[1:]
