"""The network of BYOL-A and BYOL-S (AudioNTT2020), with masks: a clip's embedding does not depend
on its batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.contracts.batch import Inputs, Padded, pad
from bench.contracts.feature import Feature
from bench.contracts.weights import Weights
from bench.encoders.frozen import frozen_network
from bench.encoders.hub import local_folder
from bench.errors import WeightsError
from bench.features.signal import LogMelSpectrogram
from bench.training.layers import Standardise

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

LOGMEL = LogMelSpectrogram()  # 64 HTK mels, 60-7800 Hz: what the released weights were trained on
Norm = Literal["clip", "audioset"]

AUDIOSET_MEAN, AUDIOSET_DEVIATION = (
    -5.49,
    5.04,
)  # log-mel statistics printed with BYOL-A (Niizumi et al. 2021)

BLOCKS = 3  # each halves frames and mels
MIN_FRAMES = 2**BLOCKS  # shorter clips are continued with zeros, the mean of standardised input


@dataclass(frozen=True)
class ByolInput(Feature):
    """The standardised log-mel that the network reads, (frames, mels).

    norm: how it is standardised without looking at other clips. "clip": by the clip's own mean and
    deviation over all its values; "audioset": by those of the data the network was trained on,
    which keeps differences in recording level.
    """

    founding: ClassVar[tuple[str, ...]] = ("norm", "logmel")

    norm: Norm = "clip"
    logmel: LogMelSpectrogram = LOGMEL

    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        return [self._one(a) for a in self.logmel.extract(waveforms, device)]

    def _one(self, logmel: "Array") -> "Array":
        if self.norm == "audioset":
            return (logmel - np.float32(AUDIOSET_MEAN)) / np.float32(AUDIOSET_DEVIATION)
        deviation = float(logmel.std())
        own: Array = (logmel - logmel.mean()) / np.float32(
            deviation if deviation > 1e-3 else 1.0
        )  # silence has none
        return own


INPUT = ByolInput()


@dataclass(frozen=True)
class ByolEmbedding(Feature):
    """The embedding of a clip by the frozen network, (1, 1, dim): one frame, one layer."""

    pooled: ClassVar[bool] = True
    founding: ClassVar[tuple[str, ...]] = ("weights", "of", "channels", "dim")

    weights: Weights
    of: ByolInput = INPUT
    channels: int = 64
    dim: int = 512

    @property
    def parameters(self) -> int:
        return sum(w.numel() for w in self._network().parameters())

    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        logmels = [torch.from_numpy(a) for a in self.of.extract(waveforms, device)]
        with torch.inference_mode():
            embeddings = self._network().to(device)(pad(logmels).to(device)).cpu().numpy()
        return [np.array(e[None, None]) for e in embeddings]

    def _network(self) -> "AudioNTT":
        network: AudioNTT = _frozen(self.weights, self.of.logmel.mels, self.channels, self.dim)
        return network


class FineTuned(nn.Module):
    """Log-mel -> network -> embedding, standardised by what the training part's was at the start ->
    linear classifier.

    Standardised, the classifier learns at the rate that suits the network; on raw embeddings its
    first steps are so large that they undo the pre-training.
    """

    def __init__(self, encoder: "AudioNTT", classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.standardise = Standardise(encoder.dim)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(encoder.dim, classes)

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        self.encoder.eval()
        embeddings = (self.encoder(i["logmel"])[:, None] for i in inputs)
        self.standardise.calibrate(
            Padded(e, torch.ones(len(e), dtype=torch.long)) for e in embeddings
        )
        self.encoder.train()

    def forward(self, inputs: Inputs) -> Tensor:
        embedding = self.standardise(self.encoder(inputs["logmel"]))
        return self.classify(self.dropout(embedding))  # type: ignore[no-any-return]


class AudioNTT(nn.Module):
    """Three convolution blocks, two linear layers, maximum plus mean over time.

    Names of layers are those of the released state dicts. 0.6 M parameters at 64 channels and 512
    dimensions.
    """

    def __init__(self, mels: int = 64, channels: int = 64, dim: int = 512) -> None:
        super().__init__()
        self.dim = dim
        self.features = nn.Sequential(
            *_block(1, channels),
            *_block(channels, channels),
            *_block(channels, channels),
        )
        self.fc = nn.Sequential(
            nn.Linear(channels * (mels // 2**BLOCKS), dim),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(dim, dim),
            nn.ReLU(),
        )

    def forward(self, logmel: Padded) -> Tensor:
        """(batch, frames, mels) standardised log-mel -> (batch, dim) embeddings, every value at
        least 0.
        """
        frames = self.frames(logmel)
        values = self.fc(frames.values)  # (batch, frames / 8, dim)
        own = values.masked_fill(~frames.mask[..., None], 0.0)  # no value is below 0: ReLU
        maximum: Tensor = own.amax(1)
        return maximum + Padded(own, frames.lengths).mean()

    def frames(self, logmel: Padded) -> Padded:
        """(batch, frames, mels) -> (batch, frames / 8, mels / 8 * channels)."""
        values, lengths = _at_least(logmel, MIN_FRAMES)
        values = _own(values.transpose(1, 2)[:, None], lengths)  # (batch, 1, mels, frames)
        for layer in self.features:
            if isinstance(layer, MaskedBatchNorm):
                values = layer(values, lengths)
            elif isinstance(layer, nn.MaxPool2d):
                # a convolution must see zeros beyond the clip's end, as it does when the clip is
                # alone
                lengths = lengths // 2
                values = _own(layer(values), lengths)
            else:
                values = layer(values)
        return Padded(values.permute(0, 3, 2, 1).flatten(2), lengths)


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics, in training, come from the clips' own frames alone."""

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """values: (batch, channels, mels, frames); what lies beyond `lengths` comes out as zeros in
        training.
        """
        if not self.training:
            return super().forward(values)
        own = torch.cat([v[..., :n] for v, n in zip(values, lengths.tolist(), strict=True)], dim=-1)
        own = super().forward(own[None])[0]  # (channels, mels, all frames)
        clips = torch.split(own, lengths.tolist(), dim=-1)
        return torch.stack([F.pad(clip, (0, values.shape[-1] - clip.shape[-1])) for clip in clips])


def load(weights: Weights, mels: int = 64, channels: int = 64, dim: int = 512) -> AudioNTT:
    """The network with `weights`: every tensor of the released state dict, or random ones.

    Raises WeightsError if the file holds something else.
    """
    network = AudioNTT(mels, channels, dim)
    if weights.random:
        return network
    path = local_folder(weights)
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:  # torch raises many kinds for a file that is no state dict
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{path} does not hold the weights of BYOL-S with d = {dim} ({reason}): give its released .pth file"
        ) from error
    return network


@frozen_network
def _frozen(weights: Weights, mels: int, channels: int, dim: int) -> AudioNTT:
    return load(weights, mels, channels, dim).eval()


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1),
        MaskedBatchNorm(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, 2),
    ]


def _mask(values: Tensor, lengths: Tensor) -> Tensor:
    """(batch, 1, 1, frames) bool, True on a clip's own frames."""
    return (torch.arange(values.shape[-1], device=lengths.device) < lengths[:, None])[:, None, None]


def _own(values: Tensor, lengths: Tensor) -> Tensor:
    return values.masked_fill(~_mask(values, lengths), 0.0)


def _at_least(batch: Padded, frames: int) -> tuple[Tensor, Tensor]:
    missing = max(0, frames - batch.values.shape[1])
    values = batch.values * batch.mask[..., None]
    return F.pad(values, (0, 0, 0, missing)), batch.lengths.clamp_min(frames)
