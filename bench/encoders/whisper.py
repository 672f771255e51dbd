"""Whisper (Radford et al. 2023, arXiv 2212.04356) on clips of any length: forward pass and frozen
features.

The networks are those of transformers. Their encoder takes windows of exactly 30 s; here it also
runs on each clip's own length, with masks, and a clip longer than 30 s is cut into windows of 30 s
whose states are joined.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.contracts.batch import Padded, pad
from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.contracts.weights import Weights
from bench.encoders.frozen import frozen_network
from bench.encoders.whisper_checkpoint import Dims, create, load
from bench.features.signal import HOP, LogMel, cut

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

Padding = Literal["own", "30s"]

WINDOW = 30.0  # s, on which Whisper was trained
STRIDE = 2  # mel frames per encoder position


def encode(encoder: Any, mel: Padded) -> Padded:
    """The encoder's output on log-mels (batch, frames, mels): (batch, positions, dim), two frames
    to a position.
    """
    return deque(layers(encoder, mel), maxlen=1).pop()


def layers(encoder: Any, mel: Padded) -> Iterator[Padded]:
    """What each layer reads, then the encoder's output: one more than it has layers, each (batch,
    positions, dim).

    Equal to `WhisperEncoder.forward` on windows of 30 s; a clip's states do not depend on its
    batch.
    """
    lengths = positions(mel.lengths)
    for states in _window_layers(
        encoder, _windows(mel, STRIDE * encoder.config.max_source_positions)
    ):
        yield Padded(states.reshape(len(lengths), -1, states.shape[-1]), lengths)


def decode_start(decoder: Any, states: Padded) -> Tensor:
    """The decoder's output (batch, dim) for its start token alone, on the states of an encoder."""
    start = torch.full(
        (len(states.lengths), 1), decoder.config.decoder_start_token_id, device=states.values.device
    )
    hidden = decoder.embed_tokens(start) + decoder.embed_positions(start)
    mask = _attention_mask(states)
    for layer in decoder.layers:
        hidden = layer(hidden, None, states.values, encoder_attention_mask=mask)
    return decoder.layer_norm(hidden)[:, 0]  # type: ignore[no-any-return]


def positions(frames: Tensor) -> Tensor:
    """How many positions of the encoder so many mel frames make."""
    return (frames + STRIDE - 1) // STRIDE


@dataclass(frozen=True)
class PaddedLogMel(Feature):
    """Log-mels of as many windows of 30 s as the clip needs, the last one padded with silence:
    (3000 each, mels).
    """

    founding: ClassVar[tuple[str, ...]] = ("mels", "max_seconds")

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
    return (
        LogMel(mels, max_seconds=max_seconds)
        if padding == "own"
        else PaddedLogMel(mels, max_seconds)
    )


def own_frames(waveforms: "Sequence[Waveform]", max_seconds: float) -> Tensor:
    """Mel frames that each clip fills by itself, whatever it is padded to."""
    return torch.tensor([max(1, len(cut(w, max_seconds)) // HOP) for w in waveforms])


@dataclass(frozen=True)
class OwnFrames(Feature):
    """How many mel frames of a clip are its own, where the log-mel itself is padded: (1, 1)."""

    cached: ClassVar[bool] = False
    pooled: ClassVar[bool] = True
    founding: ClassVar[tuple[str, ...]] = ("max_seconds",)

    max_seconds: float = 0.0  # 0: the whole clip

    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        return [
            np.full((1, 1), n, np.float32) for n in own_frames(waveforms, self.max_seconds).tolist()
        ]


@frozen_network
def frozen(weights: Weights, dims: Dims) -> Any:
    """The encoder of the features below."""
    return load("encoder", weights, dims)


@dataclass(frozen=True)
class _Frozen(Feature):
    """A frozen encoder. `padding` is what it sees: the clip alone, or the clip in a window of 30 s."""

    founding: ClassVar[tuple[str, ...]] = ("weights", "dims", "padding", "max_seconds")

    weights: Weights
    dims: Dims
    padding: Padding = "30s"
    max_seconds: float = 0.0  # 0: the whole clip

    @property
    def parameters(self) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in create("encoder", self.dims).parameters())

    def _layers(self, waveforms: "Sequence[Waveform]", device: torch.device) -> Iterator[Padded]:
        mels = log_mel(self.dims.mels, self.padding, self.max_seconds).extract(waveforms, device)
        mel = pad([torch.from_numpy(m) for m in mels]).to(device)
        return layers(frozen(self.weights, self.dims).to(device), mel)


@dataclass(frozen=True)
class WhisperStates(_Frozen):
    """The encoder's output, padding of the window included: (positions, dim), 50 positions a
    second.
    """

    @torch.inference_mode()
    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        states = deque(self._layers(waveforms, device), maxlen=1).pop()
        return [
            v[:n].cpu().numpy() for v, n in zip(states.values, states.lengths.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class WhisperMeans(_Frozen):
    """What each layer reads and the encoder's output, averaged over the clip's own positions: (1,
    layers + 1, dim).
    """

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
    # a window behind a clip's end keeps one frame: attention over nothing is undefined, and nobody
    # reads it
    return Padded(values, (mel.lengths[:, None] - starts).clamp(1, size).flatten())


def _attention_mask(states: Padded) -> Tensor | None:
    """(batch, 1, 1, positions) bool, True where attention may look; None if it may look everywhere."""
    mask = states.mask
    return None if bool(mask.all()) else mask[:, None, None]
