"""The features of `strl`, clips in segments, and its network (Chen, Z. et al. 2023, section 4)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.contracts.batch import Inputs, Padded
from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.features.signal import at_least
from bench.training.layers import Standardise, calibrate_each

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

DESCRIPTORS, FUNCTIONALS = 76, 1582  # of openSMILE's IS10


@dataclass(frozen=True)
class Segments(Feature):
    """Another feature of each segment of a clip: (segments, *that feature's shape).

    Segments follow each other without overlap. What remains at the end is left out, or with
    `pad_last` continued with silence to a whole one; a clip shorter than one segment always is. 0
    seconds: the clip is one segment.
    """

    founding: ClassVar[tuple[str, ...]] = ("of", "seconds", "pad_last")

    of: Feature
    seconds: float
    pad_last: bool = False

    @property
    def parameters(self) -> int:
        return self.of.parameters

    def extract(
        self, waveforms: "Sequence[Waveform]", device: torch.device
    ) -> "list[Array]":
        clips = [self._cut(waveform) for waveform in waveforms]
        every = [segment for clip in clips for segment in clip]
        arrays = iter(self.of.extract(every, device))
        result = []
        for clip in clips:
            own = [next(arrays) for _ in clip]
            result.append(np.stack(own))
        return result

    def _cut(self, samples: "Waveform") -> "list[Waveform]":
        size = round(self.seconds * SAMPLE_RATE) or len(samples)
        whole = len(samples) / size
        count = math.ceil(whole) if self.pad_last else math.floor(whole)
        count = max(1, count)
        used = at_least(samples, count * size)[: count * size]
        segments = used.reshape(count, size)
        return list(segments)


# --- network ---


@dataclass(frozen=True)
class Sizes:
    """Widths of the network: the paper's, or ours where it states none (recurrent, width)."""

    multiscale: int = 16  # channels of each parallel convolution
    channels: int = 48
    recurrent: int = 128  # per direction
    width: int = 256  # of the utterance module, and of a group's token


class Strl(nn.Module):
    """Frame module, utterance module, fusion and a linear classifier, for one segment after the
    other.

    In training it gives the logits of every segment, which inherits its clip's label (Eq. 22).
    Otherwise it gives a clip's logits, whose softmax (sigmoid) is exactly the mean of its segments'
    softmax (sigmoid): Eq. 23.
    """

    def __init__(
        self,
        frame: "FrameModule",
        fusion: "GroupFusion | DimensionFusion",
        utterance: int,  # width of the utterance module; 0: there is none
        classes: int,
        multilabel: bool,
    ) -> None:
        super().__init__()
        self.standardise: Any = nn.ModuleDict({"lld": Standardise(1, DESCRIPTORS)})
        if utterance:
            self.standardise["functionals"] = Standardise(1, FUNCTIONALS)
        self.utterance = None
        if utterance:
            self.utterance = nn.Sequential(nn.Linear(FUNCTIONALS, utterance), nn.ReLU())
        self.frame = frame
        self.fusion = fusion
        self.classify = nn.Linear(fusion.width, classes)
        self.multilabel = multilabel

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        calibrate_each(self.standardise, inputs)

    def forward(self, inputs: Inputs) -> Tensor | Padded:
        """(batch, classes); in training (batch, segments, classes)."""
        lengths = inputs["lld"].lengths
        mask = inputs["lld"].mask  # (batch, segments)
        descriptors = self.standardise["lld"](inputs["lld"].values)
        parts = self.frame(descriptors[mask])
        if self.utterance is not None:
            parts.append(self._of_utterance(inputs["functionals"], mask))
        logits = self.classify(self.fusion(parts))
        each = logits.new_zeros(*mask.shape, logits.shape[1])
        each[mask] = logits
        if self.training:
            return Padded(each, lengths)
        return decide(Padded(each.float(), lengths), self.multilabel)

    def _of_utterance(self, functionals: Padded, mask: Tensor) -> Tensor:
        """What the utterance module makes of (batch, segments or 1, 1, 1582)."""
        assert self.utterance is not None
        values = self.standardise["functionals"](functionals.values)
        each = values.expand(-1, mask.shape[1], -1, -1)
        return self.utterance(each[mask][:, 0])  # type: ignore[no-any-return]


def decide(segments: Padded, multilabel: bool) -> Tensor:
    """Logits of the mean probability over a clip's segments.

    (batch, segments, classes) -> (batch, classes)
    """
    if not multilabel:
        logs = segments.values.log_softmax(2)
        return _log_mean(logs, segments)
    yes = F.logsigmoid(segments.values)
    no = F.logsigmoid(-segments.values)
    return _log_mean(yes, segments) - _log_mean(no, segments)


def _log_mean(logs: Tensor, segments: Padded) -> Tensor:
    """Logarithm of the mean of exp(logs) over each clip's own segments."""
    padding = ~segments.mask[..., None]
    own = logs.masked_fill(padding, -math.inf)
    log_counts = segments.lengths.log()[:, None]
    return own.logsumexp(1) - log_counts


class FrameModule(nn.Module):
    """Descriptors (batch, frames, 76) -> attention over the CNN's map, and the temporal module.

    kernels: heights over descriptors and over frames of the two parallel convolutions.
    """

    def __init__(
        self, sizes: Sizes, kernels: tuple[int, int], temporal: nn.Module
    ) -> None:
        super().__init__()
        inner = sizes.channels
        height, width = kernels
        self.over_descriptors = nn.Conv2d(
            1, sizes.multiscale, (height, 1), padding="same"
        )
        self.over_frames = nn.Conv2d(1, sizes.multiscale, (1, width), padding="same")
        self.blocks = nn.Sequential(
            _block(2 * sizes.multiscale, inner),
            _block(inner, inner),
            _block(inner, inner),
        )
        self.attention = nn.Linear(inner, 1, bias=False)
        self.temporal = temporal

    def forward(self, frames: Tensor) -> list[Tensor]:
        image = frames.transpose(1, 2)[:, None]  # (batch, 1, 76, frames)
        over_descriptors = self.over_descriptors(image)
        over_frames = self.over_frames(image)
        maps = self.blocks(torch.cat([over_descriptors, over_frames], 1))
        positions = maps.flatten(2).transpose(
            1, 2
        )  # (batch, 9 * (frames // 8), channels)
        weights = self.attention(positions).softmax(1)
        attended = (weights * positions).sum(1)
        return [attended, self.temporal(frames)]


class Recurrent(nn.Module):
    """Mean over time of an LSTM's states, both directions side by side."""

    def __init__(self, width: int, both: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(DESCRIPTORS, width, batch_first=True, bidirectional=both)
        self.width = width * (1 + both)

    def forward(self, frames: Tensor) -> Tensor:
        states, _ = self.lstm(frames)
        return states.mean(1)  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Mean over time of one transformer layer with sinusoidal positions; its sizes are ours."""

    def __init__(self, width: int, heads: int = 8) -> None:
        super().__init__()
        self.project = nn.Linear(DESCRIPTORS, width)
        self.layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, batch_first=True
        )
        self.width = width

    def forward(self, frames: Tensor) -> Tensor:
        hidden = self.project(frames) + self._places(frames)
        return self.layer(hidden).mean(1)  # type: ignore[no-any-return]

    def _places(self, frames: Tensor) -> Tensor:
        """Sinusoidal positions, (frames, width)."""
        time = torch.arange(frames.shape[1], device=frames.device)[:, None]
        channels = torch.arange(0, self.width, 2, device=frames.device)
        rates = 1e4 ** (-channels / self.width)
        angles = time * rates
        return torch.cat([angles.sin(), angles.cos()], 1)


class GroupFusion(nn.Module):
    """Each part projected to one token, and attention over the two or three tokens."""

    def __init__(self, widths: Sequence[int], width: int, heads: int) -> None:
        super().__init__()
        projections = [nn.Linear(part, width) for part in widths]
        self.project = nn.ModuleList(projections)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.width = len(widths) * width

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        projected = []
        for layer, part in zip(self.project, parts, strict=True):
            projected.append(layer(part))
        tokens = torch.stack(projected, 1)  # (batch, parts, width)
        attended, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return attended.flatten(1)  # type: ignore[no-any-return]


class DimensionFusion(nn.Module):
    """Attention over the dimensions of the concatenated parts, a sequence of 560 numbers (Eqs. 16
    to 21, literally).

    Query, key and value are 1x1 convolutions of one channel. Each head has one channel, too: with
    one number per position, more of them span the same set of attention maps.
    """

    def __init__(self, widths: Sequence[int], heads: int) -> None:
        super().__init__()
        self.project = nn.Linear(1, 3 * heads)
        self.join = nn.Linear(heads, 1)
        self.width = sum(widths)

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        features = torch.cat(list(parts), 1)[..., None]  # (batch, dimensions, 1)
        projected = self.project(features).transpose(1, 2)[..., None]
        query, key, value = projected.chunk(3, 1)
        attended = F.scaled_dot_product_attention(query, key, value)
        heads = attended[..., 0]  # (batch, heads, dimensions)
        joined = self.join(heads.transpose(1, 2))
        return joined[..., 0]  # type: ignore[no-any-return]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
    )


def build(
    temporal: Literal["bilstm", "lstm", "transformer"],
    utterance: bool,
    groups: bool,
    heads: int,
    kernels: tuple[int, int],
    sizes: Sizes,
    classes: int,
    multilabel: bool,
) -> Strl:
    """The network of a variant."""
    over_time = _over_time(temporal, sizes)
    widths = [sizes.channels, over_time.width]
    if utterance:
        widths.append(sizes.width)
    fusion = _fusion(groups, widths, sizes, heads)
    frame = FrameModule(sizes, kernels, over_time)
    of_utterance = sizes.width if utterance else 0
    return Strl(frame, fusion, of_utterance, classes, multilabel)


def _over_time(temporal: str, sizes: Sizes) -> Transformer | Recurrent:
    if temporal == "transformer":
        return Transformer(2 * sizes.recurrent)
    return Recurrent(sizes.recurrent, both=temporal == "bilstm")


def _fusion(
    groups: bool, widths: Sequence[int], sizes: Sizes, heads: int
) -> GroupFusion | DimensionFusion:
    if groups:
        return GroupFusion(widths, sizes.width, heads)
    return DimensionFusion(widths, heads)
