"""The network of BYOL-A and BYOL-S (AudioNTT2020), with masks: a clip's embedding does not depend
on its batch.
"""

from collections.abc import Iterable, Iterator, Sequence
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
from bench.errors import WeightsError, first_sentence
from bench.features.signal import LogMelSpectrogram
from bench.training.layers import Standardise

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

LOGMEL = (
    LogMelSpectrogram()
)  # 64 HTK mels, 60-7800 Hz: what the released weights were trained on
Norm = Literal["clip", "audioset"]

# log-mel statistics printed with BYOL-A (Niizumi et al. 2021)
AUDIOSET_MEAN = -5.49
AUDIOSET_DEVIATION = 5.04

BLOCKS = 3  # each halves frames and mels
MIN_FRAMES = (
    2**BLOCKS
)  # shorter clips are continued with zeros, the mean of standardised input


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

    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        logmels = self.logmel.extract(waveforms, device)
        return [self._one(logmel) for logmel in logmels]

    def _one(self, logmel: "Array") -> "Array":
        if self.norm == "audioset":
            centred: Array = logmel - np.float32(AUDIOSET_MEAN)
            return centred / np.float32(AUDIOSET_DEVIATION)
        deviation = float(logmel.std())
        if deviation <= 1e-3:  # silence
            deviation = 1.0
        centred = logmel - logmel.mean()
        return centred / np.float32(deviation)


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
        network = self._network()
        return sum(weight.numel() for weight in network.parameters())

    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        arrays = self.of.extract(waveforms, device)
        logmels = [torch.from_numpy(array) for array in arrays]
        network = self._network().to(device)
        with torch.inference_mode():
            batch = pad(logmels).to(device)
            embeddings = network(batch)
        embeddings = embeddings.cpu().numpy()
        return [np.array(embedding[None, None]) for embedding in embeddings]

    def _network(self) -> "AudioNTT":
        mels = self.of.logmel.mels
        network: AudioNTT = _frozen(self.weights, mels, self.channels, self.dim)
        return network


class FineTuned(nn.Module):
    """Log-mel, network, standardised embedding, linear classifier.

    Embeddings are standardised by the training part's before the first step. The classifier then
    learns at the rate that suits the network; on raw embeddings its first steps are so large that
    they undo the pre-training.
    """

    def __init__(self, encoder: "AudioNTT", classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.standardise = Standardise(encoder.dim)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(encoder.dim, classes)

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        self.encoder.eval()
        self.standardise.calibrate(self._embeddings(inputs))
        self.encoder.train()

    def forward(self, inputs: Inputs) -> Tensor:
        embedding = self.encoder(inputs["logmel"])
        embedding = self.standardise(embedding)
        embedding = self.dropout(embedding)
        return self.classify(embedding)  # type: ignore[no-any-return]

    def _embeddings(self, inputs: Iterable[Inputs]) -> Iterator[Padded]:
        """(batch, 1, dim) each."""
        for batch in inputs:
            embedding = self.encoder(batch["logmel"])
            lengths = torch.ones(len(embedding), dtype=torch.long)
            yield Padded(embedding[:, None], lengths)


class AudioNTT(nn.Module):
    """Three convolution blocks, two linear layers, maximum plus mean over time.

    Layers have the names of the released state dicts. 0.6 M parameters at 64 channels and 512
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
        width = channels * (mels // 2**BLOCKS)
        self.fc = nn.Sequential(
            nn.Linear(width, dim),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(dim, dim),
            nn.ReLU(),
        )

    def forward(self, logmel: Padded) -> Tensor:
        """(batch, frames, mels) standardised log-mel -> (batch, dim) embeddings, none below 0."""
        frames = self.frames(logmel)
        values = self.fc(frames.values)  # (batch, frames / 8, dim)
        padding = ~frames.mask[..., None]
        own = values.masked_fill(
            padding, 0.0
        )  # changes no maximum: ReLU leaves none below 0
        maximum: Tensor = own.amax(1)
        mean = Padded(own, frames.lengths).mean()
        return maximum + mean

    def frames(self, logmel: Padded) -> Padded:
        """(batch, frames, mels) -> (batch, frames / 8, mels / 8 * channels)."""
        values, lengths = _at_least(logmel, MIN_FRAMES)
        image = values.transpose(1, 2)[:, None]  # (batch, 1, mels, frames)
        values = _own(image, lengths)
        for layer in self.features:
            if isinstance(layer, MaskedBatchNorm):
                values = layer(values, lengths)
            elif isinstance(layer, nn.MaxPool2d):
                # a convolution must see zeros behind the clip's end, as when the clip is alone
                lengths = lengths // 2
                values = _own(layer(values), lengths)
            else:
                values = layer(values)
        values = values.permute(0, 3, 2, 1)  # (batch, frames, mels, channels)
        return Padded(values.flatten(2), lengths)


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics, in training, come from the clips' own frames alone."""

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """values: (batch, channels, mels, frames); in training, zeros follow a clip's end."""
        if not self.training:
            return super().forward(values)
        counts = lengths.tolist()
        clips = [clip[..., :count] for clip, count in zip(values, counts, strict=True)]
        joined = torch.cat(clips, dim=-1)  # (channels, mels, all frames)
        normalised = super().forward(joined[None])[0]
        frames = values.shape[-1]
        padded = []
        for clip in torch.split(normalised, counts, dim=-1):
            missing = frames - clip.shape[-1]
            padded.append(F.pad(clip, (0, missing)))
        return torch.stack(padded)


def load(
    weights: Weights, mels: int = 64, channels: int = 64, dim: int = 512
) -> AudioNTT:
    """The network with `weights`: every tensor of the released state dict, or random ones.

    Raises:
        WeightsError: if the file holds something else.
    """
    network = AudioNTT(mels, channels, dim)
    if weights.random:
        return network
    path = local_folder(weights)
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except (
        Exception
    ) as error:  # torch raises many kinds for a file that is no state dict
        reason = first_sentence(error)  # torch's second one is advice that is not safe
        raise WeightsError(
            f"{path} does not hold the weights of BYOL-S with d = {dim} ({reason}): give its "
            f"released .pth file"
        ) from error
    return network


@frozen_network
def _frozen(weights: Weights, mels: int, channels: int, dim: int) -> AudioNTT:
    network = load(weights, mels, channels, dim)
    return network.eval()


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1),
        MaskedBatchNorm(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, 2),
    ]


def _mask(values: Tensor, lengths: Tensor) -> Tensor:
    """(batch, 1, 1, frames) bool, True on a clip's own frames."""
    places = torch.arange(values.shape[-1], device=lengths.device)
    own = places < lengths[:, None]
    return own[:, None, None]


def _own(values: Tensor, lengths: Tensor) -> Tensor:
    """`values` with zeros behind each clip's end."""
    mask = _mask(values, lengths)
    return values.masked_fill(~mask, 0.0)


def _at_least(batch: Padded, frames: int) -> tuple[Tensor, Tensor]:
    """Values and lengths of clips continued with zeros to so many frames."""
    own = batch.mask[..., None]
    values = batch.values * own
    missing = max(0, frames - values.shape[1])
    padded = F.pad(values, (0, 0, 0, missing))
    lengths = batch.lengths.clamp_min(frames)
    return padded, lengths
