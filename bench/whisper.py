"""Whisper (Radford et al. 2023, arXiv 2212.04356) on clips of any length: loading, forward pass, frozen features.

The networks are those of transformers. Their encoder takes windows of exactly 30 s; here it also runs on each clip's
own length, with masks, and a clip longer than 30 s is cut into windows of 30 s whose states are joined.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.batch import Padded, pad
from bench.errors import WeightsError
from bench.feature import SAMPLE_RATE, Feature, Weights
from bench.features import HOP, LogMel, cut

if TYPE_CHECKING:
    from bench.feature import Array, Waveform

Part = Literal["encoder", "decoder"]
Padding = Literal["own", "30s"]

WINDOW = 30.0  # s, on which Whisper was trained
STRIDE = 2  # mel frames per encoder position
FROZEN_SEED = 0  # of a frozen encoder with random weights: the same in every run, whatever the run's own seed


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
    "small": Dims(mels=80, width=768, heads=12, encoder_layers=12, decoder_layers=12),
    "medium": Dims(mels=80, width=1024, heads=16, encoder_layers=24, decoder_layers=24),
    "large-v3": Dims(mels=128, width=1280, heads=20, encoder_layers=32, decoder_layers=32, vocabulary=51_866),
    "large-v3-turbo": Dims(mels=128, width=1280, heads=20, encoder_layers=32, decoder_layers=4, vocabulary=51_866),
}


def tiny(size: str) -> Dims:
    """The architecture of `size` at sizes that train in seconds."""
    return replace(SIZES[size], width=48, heads=4, encoder_layers=2, decoder_layers=2, vocabulary=64)


@cache
def read_dims(weights: Weights) -> Dims:
    """The sizes that a checkpoint itself states. Raises WeightsError if it is no Whisper checkpoint."""
    if _is_openai(weights):
        return _from_openai(_openai_checkpoint(weights)["dims"])
    from bench.weights import load_config

    config = load_config(weights)
    if config.model_type != "whisper":
        raise WeightsError(f"{weights.source} holds a {config.model_type} network, not Whisper: name another one")
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

    With random weights it is drawn from torch's current seed. Raises WeightsError.
    """
    if weights.random:
        return _module(part, dims).eval()
    if not _is_openai(weights):
        return _load_pretrained(part, weights)
    network = _module(part, dims)
    network.load_state_dict(_openai_state(part, weights))
    return network.eval()


def encode(encoder: Any, mel: Padded) -> Padded:
    """The encoder's output on log-mels (batch, frames, mels): (batch, positions, dim), two frames to a position."""
    return deque(layers(encoder, mel), maxlen=1).pop()


def layers(encoder: Any, mel: Padded) -> Iterator[Padded]:
    """What each layer reads, then the encoder's output: one more than it has layers, each (batch, positions, dim).

    Equal to `WhisperEncoder.forward` on windows of 30 s; a clip's states do not depend on its batch.
    """
    lengths = positions(mel.lengths)
    for states in _window_layers(encoder, _windows(mel, STRIDE * encoder.config.max_source_positions)):
        yield Padded(states.reshape(len(lengths), -1, states.shape[-1]), lengths)


def decode_start(decoder: Any, states: Padded) -> Tensor:
    """The decoder's output (batch, dim) for its start token alone, on the states of an encoder."""
    start = torch.full((len(states.lengths), 1), decoder.config.decoder_start_token_id, device=states.values.device)
    hidden = decoder.embed_tokens(start) + decoder.embed_positions(start)
    mask = _attention_mask(states)
    for layer in decoder.layers:
        hidden = layer(hidden, None, states.values, encoder_attention_mask=mask)
    return decoder.layer_norm(hidden)[:, 0]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PaddedLogMel(Feature):
    """Log-mels of as many windows of 30 s as the clip needs, the last one padded with silence: (3000 each, mels)."""

    mels: int = 80
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        return [self._one(cut(w, self.max_seconds), device) for w in waveforms]

    def _one(self, samples: "Waveform", device: torch.device) -> "Array":
        size = round(WINDOW * SAMPLE_RATE)
        windows = [samples[start : start + size] for start in range(0, len(samples), size)]
        return np.concatenate(LogMel(self.mels, pad_seconds=WINDOW).extract(windows, device))


def log_mel(mels: int, padding: Padding, max_seconds: float = 0.0) -> Feature:
    """Whisper's log-mel of the clip alone, or of windows of 30 s."""
    return LogMel(mels, max_seconds=max_seconds) if padding == "own" else PaddedLogMel(mels, max_seconds)


def own_frames(waveforms: "Sequence[Waveform]", max_seconds: float) -> Tensor:
    """Mel frames that each clip fills by itself, whatever it is padded to."""
    return torch.tensor([max(1, len(cut(w, max_seconds)) // HOP) for w in waveforms])


@dataclass(frozen=True)
class OwnFrames(Feature):
    """How many mel frames of a clip are its own, where the log-mel itself is padded: (1, 1)."""

    cached: ClassVar[bool] = False
    pooled: ClassVar[bool] = True

    max_seconds: float = 0.0  # 0: the whole clip

    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        return [np.full((1, 1), n, np.float32) for n in own_frames(waveforms, self.max_seconds).tolist()]


@lru_cache(maxsize=1)
def frozen(weights: Weights, dims: Dims) -> Any:
    """The encoder of the features below; the latest one is kept, until `frozen.cache_clear()`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(FROZEN_SEED)
        return load("encoder", weights, dims).requires_grad_(False)


@dataclass(frozen=True)
class _Frozen(Feature):
    """A frozen encoder. `padding` is what it sees: the clip alone, or the clip in a window of 30 s."""

    weights: Weights
    dims: Dims
    padding: Padding = "30s"
    max_seconds: float = 0.0  # 0: the whole clip

    @property
    def parameters(self) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in _module("encoder", self.dims).parameters())

    def _layers(self, waveforms: "Sequence[Waveform]", device: torch.device) -> Iterator[Padded]:
        mels = log_mel(self.dims.mels, self.padding, self.max_seconds).extract(waveforms, device)
        mel = pad([torch.from_numpy(m) for m in mels]).to(device)
        return layers(frozen(self.weights, self.dims).to(device), mel)


@dataclass(frozen=True)
class WhisperStates(_Frozen):
    """The encoder's output, padding of the window included: (positions, dim), 50 positions a second."""

    @torch.inference_mode()
    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        states = deque(self._layers(waveforms, device), maxlen=1).pop()
        return [v[:n].cpu().numpy() for v, n in zip(states.values, states.lengths.tolist(), strict=True)]


@dataclass(frozen=True)
class WhisperMeans(_Frozen):
    """What each layer reads and the encoder's output, averaged over the clip's own positions: (1, layers + 1, dim)."""

    pooled: ClassVar[bool] = True

    @torch.inference_mode()
    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        own = positions(own_frames(waveforms, self.max_seconds)).to(device)
        means = [Padded(s.values, own).mean() for s in self._layers(waveforms, device)]
        return list(torch.stack(means, 1)[:, None].cpu().numpy())


def _window_layers(encoder: Any, mel: Padded) -> Iterator[Tensor]:
    hidden = F.gelu(encoder.conv1(mel.values.transpose(1, 2)))
    hidden = hidden * mel.mask[:, None]  # the second convolution must see the clip's end as an end
    hidden = F.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    mask = _attention_mask(Padded(hidden, positions(mel.lengths)))
    for layer in encoder.layers:
        yield hidden
        hidden = layer(hidden, mask)
    yield encoder.layer_norm(hidden)


def _windows(mel: Padded, size: int) -> Padded:
    """Clips longer than `size` frames as several windows each: (batch * windows, size, mels)."""
    batch, frames, mels = mel.values.shape
    if frames <= size:
        return mel
    count = -(-frames // size)
    values = F.pad(mel.values, (0, 0, 0, count * size - frames)).reshape(batch * count, size, mels)
    starts = torch.arange(count, device=mel.lengths.device) * size
    # a window behind a clip's end keeps one frame: attention over nothing is undefined, and nobody reads it
    return Padded(values, (mel.lengths[:, None] - starts).clamp(1, size).flatten())


def positions(frames: Tensor) -> Tensor:
    return (frames + STRIDE - 1) // STRIDE


def _attention_mask(states: Padded) -> Tensor | None:
    """(batch, 1, 1, positions) bool, True where attention may look; None if it may look everywhere."""
    mask = states.mask
    return None if bool(mask.all()) else mask[:, None, None]


def _kind(part: Part) -> Any:
    from transformers.models.whisper import modeling_whisper

    return modeling_whisper.WhisperEncoder if part == "encoder" else modeling_whisper.WhisperDecoder


def _module(part: Part, dims: Dims) -> Any:
    return _kind(part)(_config(dims))


def _load_pretrained(part: Part, weights: Weights) -> Any:
    """One part out of a checkpoint of both; the other one's tensors are never read from the file."""
    from bench.weights import load_pretrained

    kind = _kind(part)
    alone = type(kind.__name__, (kind,), {"_keys_to_ignore_on_load_unexpected": [r"(en|de)coder\.", r"^proj_out\."]})
    read = partial(alone.from_pretrained, key_mapping={rf"^(model\.)?{part}\.": ""})  # type: ignore[attr-defined]
    network = load_pretrained(SimpleNamespace(from_pretrained=read), weights)
    if part == "encoder":
        network.embed_positions.requires_grad_(False)  # sinusoids; reading a checkpoint makes them trainable
    return network


def _config(dims: Dims) -> Any:
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


# Checkpoints of the openai-whisper package: one file with the sizes ("dims") and the parameters. The networks are the
# same; only the names of their parameters differ.

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
    return not weights.random and Path(weights.source).is_file()


def _openai_checkpoint(weights: Weights) -> Mapping[str, Any]:
    """What the file holds; its tensors stay on the disk until they are used."""
    try:
        checkpoint = torch.load(weights.source, map_location="cpu", mmap=True, weights_only=True)
        if {"dims", "model_state_dict"} <= set(checkpoint):
            return checkpoint  # type: ignore[no-any-return]
    except Exception as error:  # unpickling raises whatever the file makes it raise
        raise WeightsError(f"{weights.source} cannot be read as a PyTorch checkpoint: {error}") from error
    raise WeightsError(
        f"{weights.source} is not a checkpoint of the openai-whisper package (it has no dims and model_state_dict): "
        "give one, or a folder in the hub's layout"
    )


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
    try:
        import whisper
    except ImportError as error:
        raise WeightsError(
            f"{weights.source} is a checkpoint of the openai-whisper package, which is not installed: "
            'pip install "ser-bench[whisper]"'
        ) from error
    state = getattr(whisper.load_model(weights.source, device="cpu"), part).state_dict()
    return {_translated(name): tensor for name, tensor in state.items()}


def _translated(name: str) -> str:
    """`blocks.0.attn.query.weight` as `layers.0.self_attn.q_proj.weight`."""
    name = f".{name}"
    for theirs, ours in OPENAI_NAMES.items():
        name = name.replace(theirs, ours)
    return name[1:]
