"""What `strl` reads (clips in segments), and its network (Chen, Z. et al. 2023, section 4 and
Algorithm 1).
"""

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

    def extract(self, waveforms: "Sequence[Waveform]", device: torch.device) -> "list[Array]":
        clips = [self._cut(w) for w in waveforms]
        found = iter(self.of.extract([part for clip in clips for part in clip], device))
        return [np.stack([next(found) for _ in clip]) for clip in clips]

    def _cut(self, samples: "Waveform") -> "list[Waveform]":
        size = round(self.seconds * SAMPLE_RATE) or len(samples)
        count = max(1, (math.ceil if self.pad_last else math.floor)(len(samples) / size))
        return list(at_least(samples, count * size)[: count * size].reshape(count, size))


# --- network ---


@dataclass(frozen=True)
class Sizes:
    """Widths of the network: the paper's, or ours where it tells none (recurrent, width)."""

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
        self.utterance = (
            nn.Sequential(nn.Linear(FUNCTIONALS, utterance), nn.ReLU()) if utterance else None
        )
        self.frame, self.fusion = frame, fusion
        self.classify = nn.Linear(fusion.width, classes)
        self.multilabel = multilabel

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        calibrate_each(self.standardise, inputs)

    def forward(self, inputs: Inputs) -> Tensor | Padded:
        """(batch, classes); in training (batch, segments, classes)."""
        lengths, mask = inputs["lld"].lengths, inputs["lld"].mask
        ready = {name: layer(inputs[name].values) for name, layer in self.standardise.items()}
        parts = self.frame(ready["lld"][mask])
        if self.utterance is not None:  # functionals: (batch, segments or 1, 1, 1582)
            parts.append(
                self.utterance(ready["functionals"].expand(-1, mask.shape[1], -1, -1)[mask][:, 0])
            )
        logits = self.classify(self.fusion(parts))
        each = logits.new_zeros(*mask.shape, logits.shape[1])
        each[mask] = logits
        return (
            Padded(each, lengths)
            if self.training
            else decide(Padded(each.float(), lengths), self.multilabel)
        )


def decide(segments: Padded, multilabel: bool) -> Tensor:
    """Logits of the mean probability over a clip's segments: (batch, classes) of (batch, segments,
    classes).
    """
    if not multilabel:
        return _log_mean(segments.values.log_softmax(2), segments)
    yes, no = F.logsigmoid(segments.values), F.logsigmoid(-segments.values)
    return _log_mean(yes, segments) - _log_mean(no, segments)


def _log_mean(logs: Tensor, segments: Padded) -> Tensor:
    """Logarithm of the mean of exp(logs) over each clip's own segments."""
    own = logs.masked_fill(~segments.mask[..., None], -math.inf)
    return own.logsumexp(1) - segments.lengths.log()[:, None]


class FrameModule(nn.Module):
    """Descriptors, (batch, frames, 76) -> what attention finds on the CNN's map, and what the
    temporal module tells.

    kernels: heights over descriptors and over frames of the two parallel convolutions.
    """

    def __init__(self, sizes: Sizes, kernels: tuple[int, int], temporal: nn.Module) -> None:
        super().__init__()
        inner = sizes.channels
        self.over_descriptors = nn.Conv2d(1, sizes.multiscale, (kernels[0], 1), padding="same")
        self.over_frames = nn.Conv2d(1, sizes.multiscale, (1, kernels[1]), padding="same")
        self.blocks = nn.Sequential(
            *(_block(i, inner) for i in (2 * sizes.multiscale, inner, inner))
        )
        self.attention = nn.Linear(inner, 1, bias=False)
        self.temporal = temporal

    def forward(self, frames: Tensor) -> list[Tensor]:
        image = frames.transpose(1, 2)[:, None]  # (batch, 1, 76, frames)
        maps = self.blocks(torch.cat([self.over_descriptors(image), self.over_frames(image)], 1))
        positions = maps.flatten(2).transpose(1, 2)  # (batch, 9 * (frames // 8), channels)
        attended = (self.attention(positions).softmax(1) * positions).sum(1)
        return [attended, self.temporal(frames)]


class Recurrent(nn.Module):
    """Mean over time of an LSTM's states, both directions side by side."""

    def __init__(self, width: int, both: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(DESCRIPTORS, width, batch_first=True, bidirectional=both)
        self.width = width * (1 + both)

    def forward(self, frames: Tensor) -> Tensor:
        return self.lstm(frames)[0].mean(1)  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Mean over time of one transformer layer with sinusoidal positions; the paper tells nothing of
    its sizes.
    """

    def __init__(self, width: int, heads: int = 8) -> None:
        super().__init__()
        self.project = nn.Linear(DESCRIPTORS, width)
        self.layer = nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True)
        self.width = width

    def forward(self, frames: Tensor) -> Tensor:
        time = torch.arange(frames.shape[1], device=frames.device)[:, None]
        rates = 1e4 ** (-torch.arange(0, self.width, 2, device=frames.device) / self.width)
        places = torch.cat([(time * rates).sin(), (time * rates).cos()], 1)
        return self.layer(self.project(frames) + places).mean(1)  # type: ignore[no-any-return]


class GroupFusion(nn.Module):
    """Each part projected to one token, attention over the two or three tokens, all of them side by
    side.
    """

    def __init__(self, widths: Sequence[int], width: int, heads: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(w, width) for w in widths)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.width = len(widths) * width

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        tokens = torch.stack([layer(p) for layer, p in zip(self.project, parts, strict=True)], 1)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0].flatten(1)  # type: ignore[no-any-return]


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
        query, key, value = self.project(features).transpose(1, 2)[..., None].chunk(3, 1)
        heads = F.scaled_dot_product_attention(query, key, value)[
            ..., 0
        ]  # (batch, heads, dimensions)
        return self.join(heads.transpose(1, 2))[..., 0]  # type: ignore[no-any-return]


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
    both = 2 * sizes.recurrent
    over_time = (
        Transformer(both)
        if temporal == "transformer"
        else Recurrent(sizes.recurrent, temporal == "bilstm")
    )
    widths = [sizes.channels, over_time.width, *([sizes.width] if utterance else [])]
    fusion = GroupFusion(widths, sizes.width, heads) if groups else DimensionFusion(widths, heads)
    frame = FrameModule(sizes, kernels, over_time)
    return Strl(frame, fusion, sizes.width if utterance else 0, classes, multilabel)
