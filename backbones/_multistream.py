"""What `multistream` reads (Ha et al., sections 3.1 and 3.2: clips of one length), and its network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import soxr
import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs
from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.contracts.weights import Weights
from bench.training.layers import Standardise, calibrate_each

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

BANDS = 128
TOKENS = 16  # of the 1D stream, as many as a 2D stream has at 5 s
WINDOW, HOP = 2048, 512  # samples at 16 kHz: 128 ms, 32 ms


# --- features ---


@dataclass(frozen=True)
class _Fixed(Feature):
    """A clip brought to one length: a shorter one is continued by its mirror image, of a longer one
    the middle stays.

    At 8 kHz windows and hops keep their duration, so that every map keeps its size.
    """

    founding: ClassVar[tuple[str, ...]] = ("seconds", "rate", "mirror")

    seconds: float = 5.0
    rate: int = SAMPLE_RATE  # Hz
    mirror: bool = True  # False: silence follows, as in the paper's first rows

    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        return [np.ascontiguousarray(self._one(self._fix(w)), dtype=np.float32) for w in waveforms]

    def _one(self, samples: "Waveform") -> "Array":
        return samples

    def _fix(self, samples: "Waveform") -> "Waveform":
        if self.rate != SAMPLE_RATE:
            samples = soxr.resample(samples, SAMPLE_RATE, self.rate)
        count = round(self.seconds * self.rate)
        start = max(0, len(samples) - count) // 2
        samples = samples[start : start + count]
        return np.pad(
            samples, (0, count - len(samples)), mode="symmetric" if self.mirror else "constant"
        )

    def _frames(self, n_fft: int) -> dict[str, int]:
        return {
            "n_fft": n_fft * self.rate // SAMPLE_RATE,
            "hop_length": HOP * self.rate // SAMPLE_RATE,
        }

    def _decibels(self, samples: "Waveform") -> "Array":
        """(bands, frames): mel power spectrogram, at most 80 dB below its maximum."""
        from librosa import power_to_db
        from librosa.feature import melspectrogram

        mels = melspectrogram(y=samples, sr=self.rate, n_mels=BANDS, **self._frames(WINDOW))
        return np.asarray(power_to_db(mels))


@dataclass(frozen=True)
class FixedWaveform(_Fixed):
    """(samples,): 80,000 for 5 s at 16 kHz."""

    cached: ClassVar[bool] = False


@dataclass(frozen=True)
class FixedMfcc(_Fixed):
    """(frames, 128): every coefficient of 128 mels; 157 frames for 5 s, 251 for 8 s."""

    def _one(self, samples: "Waveform") -> "Array":
        from librosa.feature import mfcc

        return np.asarray(mfcc(S=self._decibels(samples), n_mfcc=BANDS)).T


@dataclass(frozen=True)
class FixedSpectrum(_Fixed):
    """(frames, 128) in dB: mel bands, or `linear` ones, for which the window shrinks to 254
    samples.
    """

    founding: ClassVar[tuple[str, ...]] = ("linear",)

    linear: bool = False

    def _one(self, samples: "Waveform") -> "Array":
        if not self.linear:
            return self._decibels(samples).T
        from librosa import power_to_db, stft

        frames = self._frames(WINDOW) | {"n_fft": 2 * BANDS - 2}
        return np.asarray(power_to_db(np.abs(stft(samples, **frames)) ** 2)).T


# --- network ---


class MultiStream(nn.Module):
    """Streams side by side, their outputs concatenated or joined by non-local attention, and a
    linear classifier.
    """

    def __init__(self, streams: "dict[str, Stream]", attention: bool, classes: int) -> None:
        super().__init__()
        self.standardise: Any = nn.ModuleDict(
            {name: Standardise(*([BANDS] * (s.dims == 2))) for name, s in streams.items()}
        )
        self.streams: Any = nn.ModuleDict(streams)
        width = next(iter(streams.values())).channels
        self.attention = NonLocal(width) if attention else None
        self.classify = nn.Linear(
            width if attention else sum(s.width for s in streams.values()), classes
        )

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        calibrate_each(self.standardise, inputs)

    def forward(self, inputs: Inputs) -> Tensor:
        ready = {name: layer(inputs[name].values) for name, layer in self.standardise.items()}
        if self.attention is None:
            return self.classify(torch.cat([s(ready[name]) for name, s in self.streams.items()], 1))  # type: ignore[no-any-return]
        tokens = torch.cat([s.tokens(ready[name]) for name, s in self.streams.items()], 1)
        return self.classify(self.attention(tokens).mean(1))  # type: ignore[no-any-return]


class NonLocal(nn.Module):
    """Embedded Gaussian over tokens, (batch, tokens, channels) -> the same, with a residual (Wang
    et al. 2018).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g = (nn.Linear(channels, channels // 2) for _ in range(3))
        self.out = nn.Linear(channels // 2, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        weights = (self.theta(tokens) @ self.phi(tokens).transpose(1, 2)).softmax(2)
        return tokens + self.out(weights @ self.g(tokens))  # type: ignore[no-any-return]


class Stream(nn.Module):
    """What a clip is to the others: one vector of `width`, or tokens of `channels`."""

    dims: int  # 1: (batch, samples); 2: (batch, frames, bands)
    channels: int
    width: int

    def tokens(self, values: Tensor) -> Tensor:
        """(batch, tokens, channels)."""
        raise NotImplementedError


class ConvStream(Stream):
    """Four blocks of convolution, batch norm, ReLU and max pooling (Tables 3 and 4), then an LSTM
    if `lstm` > 0.

    channels: of the four blocks, 64, 64, 128 and 128 in the paper. Tokens are the maps before the
    last pooling, or with an LSTM its states; the 1D stream's are averaged to 16.
    """

    def __init__(self, dims: int, channels: Sequence[int], lstm: int = 0) -> None:
        super().__init__()
        self.dims, self.channels, self.width = dims, channels[-1], lstm or channels[-1]
        kernel, pools = ((1, 3), ((1, 4),) * 3) if dims == 1 else ((3, 3), ((2, 2), (4, 4), (4, 4)))
        blocks = [
            _block(kernel, *sizes)
            for sizes in zip((1, *channels), channels, (*pools, (1, 1)), strict=False)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
        self.pool = nn.MaxPool2d((1, 4) if dims == 1 else (4, 4))
        self.lstm = nn.LSTM(channels[-1], lstm, batch_first=True) if lstm else None

    def forward(self, values: Tensor) -> Tensor:
        return self._sequence(self._maps(values))[:, -1]

    def tokens(self, values: Tensor) -> Tensor:
        maps = self._maps(values)
        tokens = self._sequence(maps).transpose(1, 2) if self.lstm else maps.flatten(2)
        few = nn.functional.adaptive_avg_pool1d(tokens, TOKENS) if self.dims == 1 else tokens
        return few.transpose(1, 2)

    def _maps(self, values: Tensor) -> Tensor:
        """(batch, channels, 1, samples / 64): one row of an image; or (batch, channels, 4, frames /
        32).
        """
        image = values[:, None] if self.dims == 1 else values.transpose(1, 2)
        return self.blocks(image[:, None].to(memory_format=torch.channels_last))  # type: ignore[no-any-return]

    def _sequence(self, maps: Tensor) -> Tensor:
        """(batch, steps, width): of a 2D stream, one step."""
        steps = self.pool(maps).flatten(2).transpose(1, 2)
        return self.lstm(steps)[0] if self.lstm else steps  # type: ignore[no-any-return]


class ResNetStream(Stream):
    """ResNet-18, pre-trained on ImageNet, on a spectrogram as a grey image; its last map's
    positions are the tokens.
    """

    dims = 2

    def __init__(self, weights: Weights, channels: int, tiny: bool) -> None:
        super().__init__()
        self.channels = self.width = channels
        self.resnet = _resnet(weights, tiny)
        self.project = nn.Linear(self.resnet.config.hidden_sizes[-1], channels)

    def forward(self, values: Tensor) -> Tensor:
        return self.tokens(values).mean(1)

    def tokens(self, values: Tensor) -> Tensor:
        image = values.transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
        maps = self.resnet(image).last_hidden_state  # (batch, 512, 4, frames / 32)
        return self.project(maps.flatten(2).transpose(1, 2))  # type: ignore[no-any-return]


def _block(
    kernel: tuple[int, int], inputs: int, outputs: int, pool: tuple[int, int]
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=(kernel[0] // 2, kernel[1] // 2))
    norm = nn.BatchNorm2d(outputs)
    return nn.Sequential(
        conv, norm, nn.MaxPool2d(pool), nn.ReLU()
    )  # ReLU first gives the same, on more values


def _resnet(weights: Weights, tiny: bool) -> Any:
    from transformers import ResNetConfig, ResNetModel

    from bench.encoders.hub import load_pretrained

    if not weights.random:
        return load_pretrained(ResNetModel, weights)
    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8]} if tiny else {}
    depths = [1, 1, 1, 1] if tiny else [2, 2, 2, 2]
    sizes = sizes or {"hidden_sizes": [64, 128, 256, 512]}
    return ResNetModel(ResNetConfig(depths=depths, layer_type="basic", **sizes))
