"""The network of the wav2vec 2.0 family's backbones."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs, Padded
from bench.encoders.wav2vec2 import project
from bench.training.layers import Head

# WavLM's attention adds its position bias to a mask of another type; torch takes both, and says so
# at every start
warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask and attn_mask")


class TrainedEncoder(nn.Module):
    """Projection and transformer, both trained, behind the cached front end.

    The attention mask keeps padding out whatever the front end's norm: the norm has seen each clip
    alone.
    """

    def __init__(self, encoder: Any, spec_augment: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder.feature_extractor = None  # cached
        self.spec_augment = spec_augment

    def states(self, frames: Padded) -> Padded:
        """The transformer's output, (batch, frames, width), of the front end's."""
        hidden = project(self.encoder, frames.values)
        if self.training and self.spec_augment:
            hidden = self._augment(hidden, frames.lengths)
        mask = None if bool(frames.mask.all()) else frames.mask
        return Padded(
            self.encoder.encoder(hidden, attention_mask=mask).last_hidden_state, frames.lengths
        )

    def _augment(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """SpecAugment with the checkpoint's own probabilities, drawn from torch's seed."""
        config, (_, frames, width) = self.encoder.config, hidden.shape
        if config.mask_time_prob > 0:
            over = (config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks)
            mask = torch.stack([spans(n, frames, *over) for n in lengths.tolist()]).to(
                hidden.device
            )
            hidden = torch.where(
                mask[..., None], self.encoder.masked_spec_embed.to(hidden.dtype), hidden
            )
        if config.mask_feature_prob > 0:
            over = (
                config.mask_feature_prob,
                config.mask_feature_length,
                config.mask_feature_min_masks,
            )
            mask = torch.stack([spans(width, width, *over) for _ in lengths]).to(hidden.device)
            hidden = hidden.masked_fill(mask[:, None], 0)
        return hidden


class TransformerClassifier(TrainedEncoder):
    """A trained encoder, the mean over each clip's own frames, and the head. Reads `frontend`."""

    def __init__(self, encoder: Any, spec_augment: bool, classes: int, dropout: float) -> None:
        super().__init__(encoder, spec_augment)
        self.head = Head(encoder.config.hidden_size, classes, dropout)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.head(self.states(inputs["frontend"]).mean())  # type: ignore[no-any-return]


def spans(own: int, size: int, probability: float, length: int, least: int) -> Tensor:
    """(size,) bool, True in random spans of `length` that start with `probability / length` among
    the first `own`.

    At least `least` spans, as Wav2Vec2Config says, but never more than half of a short clip.
    """
    mask = torch.zeros(size, dtype=torch.bool)
    drawn = int(probability * own / length + torch.rand(()).item())
    count = min(max(drawn, least), own // (2 * length))
    if count:
        starts = torch.randperm(own - length + 1)[:count]
        mask[starts[:, None] + torch.arange(length)] = True
    return mask
