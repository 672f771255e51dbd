"""The features of `multistream`, on clips of one length (Ha et al., sections 3.1 and 3.2), and its
network.
"""

from collections.abc import Iterable, Mapping, Sequence
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

Size = tuple[int, int]  # height, width

# of the convolutions and of the four poolings of a 1D and of a 2D stream
KERNELS: Mapping[int, Size] = {1: (1, 3), 2: (3, 3)}
POOLS: Mapping[int, Sequence[Size]] = {
    1: [(1, 4), (1, 4), (1, 4), (1, 4)],
    2: [(2, 2), (4, 4), (4, 4), (4, 4)],
}


# --- features ---


@dataclass(frozen=True)
class _Fixed(Feature):
    """A clip brought to one length: continued by its mirror image, or reduced to its middle.

    At 8 kHz windows and hops keep their duration, so that every map keeps its size.
    """

    founding: ClassVar[tuple[str, ...]] = ("seconds", "rate", "mirror")

    seconds: float = 5.0
    rate: int = SAMPLE_RATE  # Hz
    mirror: bool = True  # False: silence follows, as in the paper's first rows

    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        arrays = []
        for waveform in waveforms:
            array = self._one(self._fix(waveform))
            arrays.append(np.ascontiguousarray(array, dtype=np.float32))
        return arrays

    def _one(self, samples: "Waveform") -> "Array":
        return samples

    def _fix(self, samples: "Waveform") -> "Waveform":
        if self.rate != SAMPLE_RATE:
            samples = soxr.resample(samples, SAMPLE_RATE, self.rate)
        count = round(self.seconds * self.rate)
        surplus = max(0, len(samples) - count)
        start = surplus // 2
        samples = samples[start : start + count]
        missing = count - len(samples)
        if self.mirror:
            return np.pad(samples, (0, missing), mode="symmetric")
        return np.pad(samples, (0, missing))

    def _frames(self, n_fft: int) -> dict[str, int]:
        """librosa's window and hop in samples, for a window of `n_fft` samples at 16 kHz."""
        window = n_fft * self.rate // SAMPLE_RATE
        hop = HOP * self.rate // SAMPLE_RATE
        return {"n_fft": window, "hop_length": hop}

    def _decibels(self, samples: "Waveform") -> "Array":
        """(bands, frames): mel power spectrogram, at most 80 dB below its maximum."""
        from librosa import power_to_db
        from librosa.feature import melspectrogram

        frames = self._frames(WINDOW)
        mels = melspectrogram(y=samples, sr=self.rate, n_mels=BANDS, **frames)
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

        decibels = self._decibels(samples)
        coefficients = mfcc(S=decibels, n_mfcc=BANDS)
        return np.asarray(coefficients).T


@dataclass(frozen=True)
class FixedSpectrum(_Fixed):
    """(frames, 128) in dB: mel bands, or `linear` ones of a window of 254 samples."""

    founding: ClassVar[tuple[str, ...]] = ("linear",)

    linear: bool = False

    def _one(self, samples: "Waveform") -> "Array":
        if not self.linear:
            return self._decibels(samples).T
        from librosa import power_to_db, stft

        frames = self._frames(WINDOW)
        frames["n_fft"] = 2 * BANDS - 2
        spectrum = stft(samples, **frames)
        power = np.abs(spectrum) ** 2
        return np.asarray(power_to_db(power)).T


# --- network ---


class MultiStream(nn.Module):
    """Streams, concatenated or joined by non-local attention, and a linear classifier."""

    def __init__(
        self, streams: "dict[str, Stream]", attention: bool, classes: int
    ) -> None:
        super().__init__()
        self.standardise: Any = nn.ModuleDict()
        for name, stream in streams.items():
            self.standardise[name] = (
                Standardise(BANDS) if stream.dims == 2 else Standardise()
            )

        self.streams: Any = nn.ModuleDict(streams)
        self.attention = None
        width = sum(stream.width for stream in streams.values())
        if attention:
            width = stream.channels  # the same in every stream
            self.attention = NonLocal(width)
        self.classify = nn.Linear(width, classes)

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        calibrate_each(self.standardise, inputs)

    def forward(self, inputs: Inputs) -> Tensor:
        outputs = []
        for name, stream in self.streams.items():
            values = self.standardise[name](inputs[name].values)
            output = stream(values) if self.attention is None else stream.tokens(values)
            outputs.append(output)
        joined = torch.cat(outputs, 1)
        if self.attention is not None:
            joined = self.attention(joined).mean(1)
        return self.classify(joined)  # type: ignore[no-any-return]


class NonLocal(nn.Module):
    """Embedded Gaussian over tokens with a residual (Wang et al. 2018).

    (batch, tokens, channels) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.theta = nn.Linear(channels, inner)
        self.phi = nn.Linear(channels, inner)
        self.g = nn.Linear(channels, inner)
        self.out = nn.Linear(inner, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        queries = self.theta(tokens)
        keys = self.phi(tokens)
        values = self.g(tokens)
        scores = queries @ keys.transpose(1, 2)
        attended = scores.softmax(2) @ values
        return tokens + self.out(attended)  # type: ignore[no-any-return]


class Stream(nn.Module):
    """One input's part of the network: a vector of `width` per clip, or tokens of `channels`."""

    dims: int  # 1: (batch, samples); 2: (batch, frames, bands)
    channels: int
    width: int

    def tokens(self, values: Tensor) -> Tensor:
        """(batch, tokens, channels)."""
        raise NotImplementedError


class ConvStream(Stream):
    """Four blocks of convolution, batch norm, ReLU and max pooling (Tables 3 and 4), then an LSTM.

    `lstm` is its width; at 0 there is none.

    channels: of the four blocks, 64, 64, 128 and 128 in the paper. Tokens are the maps before the
    last pooling, or with an LSTM its states; the 1D stream's are averaged to 16.
    """

    def __init__(self, dims: int, channels: Sequence[int], lstm: int = 0) -> None:
        super().__init__()
        self.dims = dims
        self.channels = channels[-1]
        self.width = lstm or channels[-1]
        kernel = KERNELS[dims]
        *pools, last = POOLS[dims]
        pools = [*pools, (1, 1)]  # the last pooling is done apart, behind the tokens
        inputs = (1, *channels[:-1])
        blocks = []
        for before, after, pool in zip(inputs, channels, pools, strict=True):
            blocks.append(_block(kernel, before, after, pool))
        self.blocks = nn.Sequential(*blocks)
        # faster on a CPU
        self.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pool = nn.MaxPool2d(last)
        self.lstm = None
        if lstm:
            self.lstm = nn.LSTM(channels[-1], lstm, batch_first=True)

    def forward(self, values: Tensor) -> Tensor:
        maps = self._maps(values)
        steps = self._sequence(maps)
        return steps[:, -1]

    def tokens(self, values: Tensor) -> Tensor:
        maps = self._maps(values)
        tokens = maps.flatten(2)  # (batch, channels, tokens)
        if self.lstm:
            tokens = self._sequence(maps).transpose(1, 2)
        if self.dims == 1:
            tokens = nn.functional.adaptive_avg_pool1d(tokens, TOKENS)
        return tokens.transpose(1, 2)

    def _maps(self, values: Tensor) -> Tensor:
        """(batch, channels, 1, samples / 64), one row of an image, or (batch, channels, 4, frames /
        32).
        """
        rows = values[:, None] if self.dims == 1 else values.transpose(1, 2)
        image = rows[:, None].to(memory_format=torch.channels_last)
        return self.blocks(image)  # type: ignore[no-any-return]

    def _sequence(self, maps: Tensor) -> Tensor:
        """(batch, steps, width): of a 2D stream, one step."""
        pooled = self.pool(maps)
        steps = pooled.flatten(2).transpose(1, 2)
        if self.lstm:
            steps, _ = self.lstm(steps)
        return steps  # type: ignore[no-any-return]


class ResNetStream(Stream):
    """ResNet-18, pre-trained on ImageNet, on a spectrogram as a grey image.

    The positions of its last map are the tokens.
    """

    dims = 2

    def __init__(self, weights: Weights, channels: int, tiny: bool) -> None:
        super().__init__()
        self.channels = channels
        self.width = channels
        self.resnet = _resnet(weights, tiny)
        last = self.resnet.config.hidden_sizes[-1]
        self.project = nn.Linear(last, channels)

    def forward(self, values: Tensor) -> Tensor:
        tokens = self.tokens(values)
        return tokens.mean(1)

    def tokens(self, values: Tensor) -> Tensor:
        grey = values.transpose(1, 2)[:, None]
        image = grey.expand(-1, 3, -1, -1)
        maps = self.resnet(image).last_hidden_state  # (batch, 512, 4, frames / 32)
        places = maps.flatten(2).transpose(1, 2)
        return self.project(places)  # type: ignore[no-any-return]


def _block(
    kernel: tuple[int, int], inputs: int, outputs: int, pool: tuple[int, int]
) -> nn.Sequential:
    height, width = kernel
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=(height // 2, width // 2)),
        nn.BatchNorm2d(outputs),
        nn.MaxPool2d(pool),
        nn.ReLU(),  # before the pooling it would give the same, on more values
    )


def _resnet(weights: Weights, tiny: bool) -> Any:
    from transformers import ResNetConfig, ResNetModel

    from bench.encoders.hub import load_pretrained

    if not weights.random:
        return load_pretrained(ResNetModel, weights)
    config = ResNetConfig(
        layer_type="basic",
        depths=[2, 2, 2, 2],
        hidden_sizes=[64, 128, 256, 512],
    )
    if tiny:
        config = ResNetConfig(
            layer_type="basic",
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 8, 8],
            embedding_size=8,
        )
    return ResNetModel(config)
