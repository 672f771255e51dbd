"""The networks that fuse a trained wav2vec 2.0 encoder with a pitch signal: Thanh's and Wang's."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backbones._fusion import Design, Sizes
from backbones._ssl_net import TrainedEncoder
from bench.contracts.batch import Inputs, Padded
from bench.encoders.wav2vec2 import project, reach
from bench.training.layers import Standardise

MFCCS = 39  # coefficients with derivatives
Residual = Literal["query", "source"]


class MaskedGroupNorm(nn.Module):
    """`nn.GroupNorm` with a group per channel over a clip's own frames, (batch, channels, frames),
    padding left out.

    Takes over the parameters of `norm`.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight = norm.weight
        self.bias = norm.bias
        self.eps = norm.eps

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """mask: (batch, frames), True on a clip's own frames."""
        own = mask[:, None]
        values = hidden.float()
        values = (
            values - values[..., :1]
        )  # a signal that hardly varies keeps its digits
        count = own.sum(-1, keepdim=True)
        total = (values * own).sum(-1, keepdim=True)
        centred = (values - total / count) * own
        squares = centred.square().sum(-1, keepdim=True)
        variance = squares / count
        scale = (variance + self.eps).rsqrt()
        weight = self.weight[:, None]
        bias = self.bias[:, None]
        return centred * scale * weight + bias


class PitchEncoder(nn.Module):
    """wav2vec 2.0's front end and projection, randomly initialised and trained, on a pitch signal
    at 16 kHz.

    (batch, samples) to (batch, frames, width), as many frames as the audio has. No norm sees the
    padding, so that a clip's frames do not depend on its batch.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        from transformers import AutoModel

        without_transformer = {**config.to_dict(), "num_hidden_layers": 0}
        reduced = type(config).from_dict(without_transformer)
        network = AutoModel.from_config(reduced, trust_remote_code=False)

        self.layers = network.feature_extractor.conv_layers
        self.feature_projection = network.feature_projection
        self.steps = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.least = reach(config)
        if config.feat_extract_norm == "group":
            first = self.layers[0]
            first.layer_norm = MaskedGroupNorm(first.layer_norm)

    def forward(self, signal: Padded) -> Padded:
        lengths = signal.lengths.clamp_min(self.least)
        hidden = signal.values[:, None]  # (batch, 1, samples)
        missing = max(0, self.least - hidden.shape[-1])
        hidden = nn.functional.pad(hidden, (0, missing))
        for layer, (kernel, stride) in zip(self.layers, self.steps, strict=True):
            lengths = (lengths - kernel) // stride + 1
            hidden = self._convolved(layer, hidden, lengths)
        frames = hidden.transpose(1, 2)
        return Padded(project(self, frames), lengths)

    def _convolved(self, layer: Any, hidden: Tensor, lengths: Tensor) -> Tensor:
        """The output of one layer, (batch, channels, frames)."""
        norm = getattr(layer, "layer_norm", None)
        if not isinstance(norm, MaskedGroupNorm):
            return layer(hidden)  # type: ignore[no-any-return]
        hidden = layer.conv(hidden)
        own = Padded(hidden.transpose(1, 2), lengths).mask
        return layer.activation(norm(hidden, own))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Attention, residual, layer norm, and a feed-forward network of four times the width with the
    same around it.

    `residual`: to which side the attended values are added. Both papers' code adds them to the
    source (keys and values), which needs as many queries as sources.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        residual: Residual = "source",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.attend = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.dropout = nn.Dropout(dropout)
        self.first = nn.LayerNorm(width)
        self.second = nn.LayerNorm(width)

    def forward(
        self, query: Tensor, source: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """(batch, frames, width) each; mask: (batch, frames), False where the source is padding."""
        padding = None
        if mask is not None and not bool(mask.all()):
            padding = ~mask
        attended, _ = self.attend(
            query,
            source,
            source,
            key_padding_mask=padding,
            need_weights=False,
        )
        kept = source if self.residual == "source" else query
        hidden = self.first(kept + self.dropout(attended))
        fed = self.feed(hidden)
        return self.second(hidden + self.dropout(fed))  # type: ignore[no-any-return]


class _Fusion(nn.Module):
    """The base of both networks; without `masked`, padding counts as signal in training."""

    masked: bool

    def own(self, given: Padded) -> Padded:
        """The batch with its lengths, or, unmasked and in training, with the padding as every
        clip's own.

        A clip that is scored is scored as if alone, where there is no padding to see.
        """
        if self.masked or not self.training:
            return given
        frames = given.values.shape[1]
        lengths = torch.full_like(given.lengths, frames)
        return Padded(given.values, lengths)


class PitchFusion(_Fusion):
    """Thanh's network. Reads `frontend` and `pitch`; both streams have the same frames."""

    def __init__(
        self, audio: TrainedEncoder, classes: int, sizes: Sizes, masked: bool
    ) -> None:
        super().__init__()
        config = audio.encoder.config
        width = config.hidden_size
        heads = sizes.cross_heads
        narrow = sizes.hidden // 2
        self.masked = masked
        self.audio = audio
        self.pitch = PitchEncoder(config)
        self.audio_by_pitch = Attention(width, heads)
        self.pitch_by_audio = Attention(width, heads)
        self.fuse = Attention(2 * width, heads)
        self.project = nn.Linear(2 * width, narrow)
        self.classify = nn.Linear(narrow, classes)

    def forward(self, inputs: Inputs) -> Tensor:
        audio = self.audio.states(self.own(inputs["frontend"]))
        pitch = self.pitch(self.own(inputs["pitch"]))
        mask = audio.mask
        by_pitch = self.audio_by_pitch(pitch.values, audio.values, mask)
        by_audio = self.pitch_by_audio(audio.values, pitch.values, mask)
        joint = torch.cat([by_pitch, by_audio], dim=-1)
        fused = self.fuse(joint, joint, mask)
        hidden = Padded(self.project(fused), audio.lengths)
        return self.classify(hidden.mean())  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """Wang's MFCC stream, a bidirectional LSTM: (batch, frames, 39) to (batch, frames, 2 * units).

    Each direction begins at a clip's own end, and MFCCs are standardised by the training part. With
    `frames`, every clip is continued with zeros to that length, or cut; the zeros count, and
    nothing is standardised.
    """

    def __init__(self, units: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.standardise = None if frames else Standardise(MFCCS)
        self.lstm = nn.LSTM(MFCCS, units, batch_first=True, bidirectional=True)

    def forward(self, mfcc: Padded) -> Padded:
        if self.standardise is None:
            return self._of_fixed_length(mfcc)
        values = self.standardise(mfcc.values)
        lengths = mfcc.lengths.cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            values, lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = self.lstm(packed)
        values, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
        return Padded(values, mfcc.lengths)

    def _of_fixed_length(self, mfcc: Padded) -> Padded:
        missing = self.frames - mfcc.values.shape[1]  # below 0, frames are cut
        values = nn.functional.pad(mfcc.values, (0, 0, 0, missing))
        states, _ = self.lstm(values)
        lengths = torch.full_like(mfcc.lengths, self.frames)
        return Padded(states, lengths)


class FeatureFusion(_Fusion):
    """Wang's network, and its ablations by `design`. Reads the streams of the design.

    Cross-attention relates audio and pitch frame by frame; each stream is then averaged over a
    clip's own frames. Self-attention relates the averages: as three tokens of the encoder's width
    (a linear map brings the MFCCs' there), or, as released, as one vector, where a softmax over one
    score leaves queries and keys without effect.
    """

    def __init__(
        self,
        audio: TrainedEncoder | None,
        config: Any,
        design: Design,
        sizes: Sizes,
        classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.design = design
        self.masked = design.masked
        self.audio = audio
        self.pitch = None
        self.mfcc = None
        width = config.hidden_size
        if "pitch" in design.streams:
            self.pitch = PitchEncoder(config)
        if "mfcc" in design.streams:
            self.mfcc = Recurrent(sizes.recurrent, design.mfcc_frames)
        if design.cross:
            heads = sizes.cross_heads
            self.audio_to_pitch = Attention(width, heads, design.residual)
            self.pitch_to_audio = Attention(width, heads, design.residual)
        widths = {"frontend": width, "pitch": width, "mfcc": 2 * sizes.recurrent}
        read = self._relate_streams(widths, sizes)
        self.head = _head(read, sizes.hidden, classes, dropout)

    def _relate_streams(self, widths: Mapping[str, int], sizes: Sizes) -> int:
        """Add self-attention over the pooled streams; the width of what the head reads."""
        design = self.design
        width = widths["frontend"]
        total = sum(widths[name] for name in design.streams)
        if design.attend == "vector":
            self.relate = Attention(total, sizes.self_heads)
        if design.attend == "tokens":
            self.widen = nn.Linear(widths["mfcc"], width)
            self.relate = Attention(width, sizes.self_heads)
            total = 3 * width
        return total

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        if self.mfcc is not None and self.mfcc.standardise is not None:
            mfccs = (batch["mfcc"] for batch in inputs)
            self.mfcc.standardise.calibrate(mfccs)

    def forward(self, inputs: Inputs) -> Tensor:
        streams: dict[str, Padded] = {}
        if self.audio is not None:
            streams["frontend"] = self.audio.states(self.own(inputs["frontend"]))
        if self.pitch is not None:
            streams["pitch"] = self.pitch(self.own(inputs["pitch"]))
        if self.mfcc is not None:
            streams["mfcc"] = self.mfcc(inputs["mfcc"])
        if self.design.cross:
            streams |= self._cross(streams["frontend"], streams["pitch"])
        pooled = [stream.mean() for stream in streams.values()]
        return self.head(self._related(pooled))  # type: ignore[no-any-return]

    def _cross(self, audio: Padded, pitch: Padded) -> dict[str, Padded]:
        """Audio that attends to pitch, and pitch that attends to audio."""
        mask = audio.mask
        by_pitch = self.audio_to_pitch(audio.values, pitch.values, mask)
        by_audio = self.pitch_to_audio(pitch.values, audio.values, mask)
        return {
            "frontend": Padded(by_pitch, audio.lengths),
            "pitch": Padded(by_audio, audio.lengths),
        }

    def _related(self, pooled: list[Tensor]) -> Tensor:
        """The averages of the streams, (batch, width) each, as what the head reads."""
        if self.design.attend == "none":
            return torch.cat(pooled, 1)
        if self.design.attend == "tokens":
            *others, mfcc = pooled
            widened = self.widen(mfcc)
            tokens = torch.stack([*others, widened], 1)  # (batch, 3, width)
        else:
            joined = torch.cat(pooled, 1)
            tokens = joined[:, None]  # (batch, 1, all widths)
        related = self.relate(tokens, tokens)
        return related.flatten(1)  # type: ignore[no-any-return]


def _head(width: int, hidden: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(width, hidden),
        nn.Tanh(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
