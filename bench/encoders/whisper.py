"""Whisper (Radford et al. 2023, arXiv 2212.04356) on clips of any length: forward pass and frozen
features.

The networks are those of transformers. Their encoder takes windows of exactly 30 s; here it also
runs on each clip's own length, with masks, and a clip longer than 30 s is cut into windows of 30 s
whose states are joined.
"""

import math
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
    """The encoder's output, (batch, positions, dim), on log-mels (batch, frames, mels).

    Two frames make a position.
    """
    return _last(layers(encoder, mel))


def layers(encoder: Any, mel: Padded) -> Iterator[Padded]:
    """What each layer reads, then the encoder's output: each (batch, positions, dim).

    Equal to `WhisperEncoder.forward` on windows of 30 s; a clip's states do not depend on its
    batch.
    """
    lengths = positions(mel.lengths)
    size = STRIDE * encoder.config.max_source_positions
    windows = _windows(mel, size)
    for states in _window_layers(encoder, windows):
        joined = states.reshape(len(lengths), -1, states.shape[-1])
        yield Padded(joined, lengths)


def decode_start(decoder: Any, states: Padded) -> Tensor:
    """The decoder's output (batch, dim) for its start token alone, on the states of an encoder."""
    clips = len(states.lengths)
    token = decoder.config.decoder_start_token_id
    start = torch.full((clips, 1), token, device=states.values.device)
    hidden = decoder.embed_tokens(start) + decoder.embed_positions(start)
    mask = _attention_mask(states)
    for layer in decoder.layers:
        hidden = layer(hidden, None, states.values, encoder_attention_mask=mask)
    return decoder.layer_norm(hidden)[:, 0]  # type: ignore[no-any-return]


def positions(frames: Tensor) -> Tensor:
    """The encoder's positions for so many mel frames."""
    rounded_up = frames + STRIDE - 1
    return rounded_up // STRIDE


@dataclass(frozen=True)
class PaddedLogMel(Feature):
    """Log-mels of windows of 30 s, the last one padded with silence: (3000 per window, mels)."""

    founding: ClassVar[tuple[str, ...]] = ("mels", "max_seconds")

    mels: int = 80
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        clips = [cut(waveform, self.max_seconds) for waveform in waveforms]
        return [self._one(clip, device) for clip in clips]

    def _one(self, samples: "Waveform", device: torch.device) -> "Array":
        size = round(WINDOW * SAMPLE_RATE)
        starts = range(0, len(samples), size)
        windows = [samples[start : start + size] for start in starts]
        padded = LogMel(self.mels, pad_seconds=WINDOW)
        return np.concatenate(padded.extract(windows, device))


def log_mel(mels: int, padding: Padding, max_seconds: float = 0.0) -> Feature:
    """Whisper's log-mel of the clip alone, or of windows of 30 s."""
    if padding == "own":
        return LogMel(mels, max_seconds=max_seconds)
    return PaddedLogMel(mels, max_seconds)


def own_frames(waveforms: "Sequence[Waveform]", max_seconds: float) -> Tensor:
    """Mel frames that each clip fills by itself, whatever it is padded to."""
    counts = []
    for waveform in waveforms:
        samples = cut(waveform, max_seconds)
        frames = len(samples) // HOP
        counts.append(max(1, frames))
    return torch.tensor(counts)


@dataclass(frozen=True)
class OwnFrames(Feature):
    """The number of a clip's own mel frames, where the log-mel itself is padded: (1, 1)."""

    cached: ClassVar[bool] = False
    pooled: ClassVar[bool] = True
    founding: ClassVar[tuple[str, ...]] = ("max_seconds",)

    max_seconds: float = 0.0  # 0: the whole clip

    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        counts = own_frames(waveforms, self.max_seconds).tolist()
        return [np.full((1, 1), count, np.float32) for count in counts]


@frozen_network
def frozen(weights: Weights, dims: Dims) -> Any:
    """The encoder of the features below."""
    return load("encoder", weights, dims)


@dataclass(frozen=True)
class _Frozen(Feature):
    """A frozen encoder that sees the clip alone or in a window of 30 s, by `padding`."""

    founding: ClassVar[tuple[str, ...]] = ("weights", "dims", "padding", "max_seconds")

    weights: Weights
    dims: Dims
    padding: Padding = "30s"
    max_seconds: float = 0.0  # 0: the whole clip

    @property
    def parameters(self) -> int:
        with torch.device("meta"):
            network = create("encoder", self.dims)
        return sum(parameter.numel() for parameter in network.parameters())

    def _layers(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> Iterator[Padded]:
        feature = log_mel(self.dims.mels, self.padding, self.max_seconds)
        arrays = feature.extract(waveforms, device)
        mels = [torch.from_numpy(array) for array in arrays]
        batch = pad(mels).to(device)
        encoder = frozen(self.weights, self.dims).to(device)
        return layers(encoder, batch)


@dataclass(frozen=True)
class WhisperStates(_Frozen):
    """The encoder's output, padding of the window included: (positions, dim), 50 a second."""

    @torch.inference_mode()
    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        states = _last(self._layers(waveforms, device))
        counts = states.lengths.tolist()
        arrays = []
        for values, count in zip(states.values, counts, strict=True):
            own = values[:count]
            arrays.append(own.cpu().numpy())
        return arrays


@dataclass(frozen=True)
class WhisperMeans(_Frozen):
    """What each layer reads and the output, averaged over own positions: (1, layers + 1, dim)."""

    pooled: ClassVar[bool] = True

    @torch.inference_mode()
    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        frames = own_frames(waveforms, self.max_seconds)
        own = positions(frames).to(device)
        means = []
        for states in self._layers(waveforms, device):
            clips = Padded(states.values, own)
            means.append(clips.mean())
        stacked = torch.stack(means, 1)[:, None]
        return list(stacked.cpu().numpy())


def _last(states: Iterator[Padded]) -> Padded:
    return deque(states, maxlen=1).pop()


def _window_layers(encoder: Any, mel: Padded) -> Iterator[Tensor]:
    hidden = _convolved(encoder, mel)
    mask = _attention_mask(Padded(hidden, positions(mel.lengths)))
    for layer in encoder.layers:
        yield hidden
        hidden = layer(hidden, mask)
    yield encoder.layer_norm(hidden)


def _convolved(encoder: Any, mel: Padded) -> Tensor:
    """What the first layer reads: (batch, positions, dim)."""
    channels = mel.values.transpose(1, 2)
    hidden = F.gelu(encoder.conv1(channels))
    hidden = (
        hidden * mel.mask[:, None]
    )  # the second convolution must see the clip's end as an end
    hidden = F.gelu(encoder.conv2(hidden))
    hidden = hidden.transpose(1, 2)
    places = encoder.embed_positions.weight[: hidden.shape[1]]
    return hidden + places  # type: ignore[no-any-return]


def _windows(mel: Padded, size: int) -> Padded:
    """Clips longer than `size` frames as several windows each: (batch * windows, size, mels)."""
    batch, frames, mels = mel.values.shape
    if frames <= size:
        return mel
    count = math.ceil(frames / size)
    missing = count * size - frames
    values = F.pad(mel.values, (0, 0, 0, missing))
    windows = values.reshape(batch * count, size, mels)
    starts = torch.arange(count, device=mel.lengths.device) * size
    left = mel.lengths[:, None] - starts
    # a window behind a clip's end keeps one frame, which nobody reads: attention over nothing is
    # undefined
    lengths = left.clamp(1, size)
    return Padded(windows, lengths.flatten())


def _attention_mask(states: Padded) -> Tensor | None:
    """(batch, 1, 1, positions) bool, True where attention may look; None if that is everywhere."""
    mask = states.mask
    everything = bool(mask.all())
    return None if everything else mask[:, None, None]
