"""The networks that fuse a trained wav2vec 2.0 encoder with a pitch signal: Thanh's and Wang's."""

from collections.abc import Iterable
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
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """mask: (batch, frames), True on a clip's own frames."""
        own, values = mask[:, None], hidden.float()
        values = values - values[..., :1]  # a signal that hardly varies keeps its digits
        count = own.sum(-1, keepdim=True)
        centred = (values - (values * own).sum(-1, keepdim=True) / count) * own
        variance = centred.square().sum(-1, keepdim=True) / count
        return centred * (variance + self.eps).rsqrt() * self.weight[:, None] + self.bias[:, None]


class PitchEncoder(nn.Module):
    """wav2vec 2.0's front end and projection, randomly initialised and trained, on a pitch signal
    at 16 kHz.

    (batch, samples) to (batch, frames, width), as many frames as the audio has. No norm sees the
    padding, so that a clip's frames do not depend on its batch.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        from transformers import AutoModel

        without = type(config).from_dict(
            {**config.to_dict(), "num_hidden_layers": 0}
        )  # a transformer is not wanted
        network = AutoModel.from_config(without, trust_remote_code=False)
        self.layers, self.feature_projection = (
            network.feature_extractor.conv_layers,
            network.feature_projection,
        )
        self.steps = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.least = reach(config)
        if config.feat_extract_norm == "group":
            self.layers[0].layer_norm = MaskedGroupNorm(self.layers[0].layer_norm)

    def forward(self, signal: Padded) -> Padded:
        hidden, lengths = (
            signal.values[:, None],
            signal.lengths.clamp_min(self.least),
        )  # (batch, 1, samples)
        hidden = nn.functional.pad(hidden, (0, max(0, self.least - hidden.shape[-1])))
        for layer, (kernel, stride) in zip(self.layers, self.steps, strict=True):
            lengths = (lengths - kernel) // stride + 1
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, MaskedGroupNorm):
                hidden = layer.conv(hidden)
                hidden = layer.activation(
                    norm(hidden, Padded(hidden.transpose(1, 2), lengths).mask)
                )
            else:
                hidden = layer(hidden)
        return Padded(project(self, hidden.transpose(1, 2)), lengths)


class Attention(nn.Module):
    """Attention, residual, layer norm, and a feed-forward network of four times the width with the
    same around it.

    `residual`: to which side the attended values are added. Both papers' code adds them to the
    source (keys and values), which needs as many queries as sources.
    """

    def __init__(
        self, width: int, heads: int, residual: Residual = "source", dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.residual = residual
        self.attend = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, query: Tensor, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, frames, width) each. mask: (batch, frames), True where the source is not padding."""
        padding = None if mask is None or bool(mask.all()) else ~mask
        attended, _ = self.attend(
            query, source, source, key_padding_mask=padding, need_weights=False
        )
        hidden = self.first(
            (source if self.residual == "source" else query) + self.dropout(attended)
        )
        return self.second(hidden + self.dropout(self.feed(hidden)))  # type: ignore[no-any-return]


class _Fusion(nn.Module):
    """What both networks share: `masked` False lets the padding of a training batch through as if
    it were signal.
    """

    masked: bool

    def own(self, given: Padded) -> Padded:
        """The batch with its lengths, or, unmasked and in training, with the padding as every
        clip's own.

        A clip that is scored is scored as if alone, where there is no padding to see.
        """
        if self.masked or not self.training:
            return given
        return Padded(given.values, torch.full_like(given.lengths, given.values.shape[1]))


class PitchFusion(_Fusion):
    """Thanh's network. Reads `frontend` and `pitch`; both streams have the same frames."""

    def __init__(self, audio: TrainedEncoder, classes: int, sizes: Sizes, masked: bool) -> None:
        super().__init__()
        config, self.masked = audio.encoder.config, masked
        width, heads, narrow = config.hidden_size, sizes.cross_heads, sizes.hidden // 2
        self.audio, self.pitch = audio, PitchEncoder(config)
        self.audio_by_pitch, self.pitch_by_audio = Attention(width, heads), Attention(width, heads)
        self.fuse = Attention(2 * width, heads)
        self.project, self.classify = nn.Linear(2 * width, narrow), nn.Linear(narrow, classes)

    def forward(self, inputs: Inputs) -> Tensor:
        audio, pitch = (
            self.audio.states(self.own(inputs["frontend"])),
            self.pitch(self.own(inputs["pitch"])),
        )
        mask = audio.mask
        joint = torch.cat(
            [
                self.audio_by_pitch(pitch.values, audio.values, mask),
                self.pitch_by_audio(audio.values, pitch.values, mask),
            ],
            dim=-1,
        )
        hidden = self.project(self.fuse(joint, joint, mask))
        return self.classify(Padded(hidden, audio.lengths).mean())  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """Wang's MFCC stream: (batch, frames, 39) to the (batch, frames, 2 * units) of a bidirectional
    LSTM.

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
            values = nn.functional.pad(mfcc.values, (0, 0, 0, self.frames - mfcc.values.shape[1]))
            return Padded(self.lstm(values)[0], torch.full_like(mfcc.lengths, self.frames))
        values, lengths = self.standardise(mfcc.values), mfcc.lengths.cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            values, lengths, batch_first=True, enforce_sorted=False
        )
        values, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return Padded(values, mfcc.lengths)


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
        self.design, self.masked = design, design.masked
        self.audio, self.pitch, self.mfcc = audio, None, None
        width = config.hidden_size
        widths = {"frontend": width, "pitch": width, "mfcc": 2 * sizes.recurrent}
        if "pitch" in design.streams:
            self.pitch = PitchEncoder(config)
        if "mfcc" in design.streams:
            self.mfcc = Recurrent(sizes.recurrent, design.mfcc_frames)
        if design.cross:
            cross = (width, sizes.cross_heads, design.residual)
            self.audio_to_pitch, self.pitch_to_audio = Attention(*cross), Attention(*cross)
        total = sum(widths[name] for name in design.streams)
        if design.attend == "tokens":
            self.widen = nn.Linear(widths["mfcc"], width)
            total = 3 * width
        if design.attend != "none":
            self.relate = Attention(width if design.attend == "tokens" else total, sizes.self_heads)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(total, sizes.hidden),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(sizes.hidden, classes),
        )

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        if self.mfcc is not None and self.mfcc.standardise is not None:
            self.mfcc.standardise.calibrate(i["mfcc"] for i in inputs)

    def forward(self, inputs: Inputs) -> Tensor:
        found: dict[str, Padded] = {}
        if self.audio is not None:
            found["frontend"] = self.audio.states(self.own(inputs["frontend"]))
        if self.pitch is not None:
            found["pitch"] = self.pitch(self.own(inputs["pitch"]))
        if self.mfcc is not None:
            found["mfcc"] = self.mfcc(inputs["mfcc"])
        if self.design.cross:
            found |= self._cross(found["frontend"], found["pitch"])
        return self.head(self._related([stream.mean() for stream in found.values()]))  # type: ignore[no-any-return]

    def _cross(self, audio: Padded, pitch: Padded) -> dict[str, Padded]:
        """Audio that attends to pitch, and pitch that attends to audio."""
        a, p, mask = audio.values, pitch.values, audio.mask
        return {
            "frontend": Padded(self.audio_to_pitch(a, p, mask), audio.lengths),
            "pitch": Padded(self.pitch_to_audio(p, a, mask), audio.lengths),
        }

    def _related(self, pooled: list[Tensor]) -> Tensor:
        """The averages of the streams, (batch, width) each, as what the head reads."""
        if self.design.attend == "none":
            return torch.cat(pooled, 1)
        if self.design.attend == "tokens":
            *others, mfcc = pooled
            tokens = torch.stack([*others, self.widen(mfcc)], 1)  # (batch, 3, width)
        else:
            tokens = torch.cat(pooled, 1)[:, None]  # (batch, 1, all widths)
        return self.relate(tokens, tokens).flatten(1)  # type: ignore[no-any-return]
