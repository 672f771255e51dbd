"""The network of the wav2vec 2.0 family's backbones."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs, Padded
from bench.encoders.wav2vec2 import project
from bench.training.layers import Head

# WavLM's attention adds its position bias to a mask of another type, which torch accepts with a
# warning at every start
warnings.filterwarnings(
    "ignore", "Support for mismatched key_padding_mask and attn_mask"
)


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
        everything = bool(frames.mask.all())
        mask = None if everything else frames.mask
        output = self.encoder.encoder(hidden, attention_mask=mask)
        return Padded(output.last_hidden_state, frames.lengths)

    def _augment(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """SpecAugment with the checkpoint's own probabilities, drawn from torch's seed."""
        config = self.encoder.config
        if config.mask_time_prob > 0:
            mask = self._time_mask(hidden.shape[1], lengths).to(hidden.device)
            replacement = self.encoder.masked_spec_embed.to(hidden.dtype)
            hidden = torch.where(mask[..., None], replacement, hidden)
        if config.mask_feature_prob > 0:
            mask = self._feature_mask(hidden.shape[2], len(lengths)).to(hidden.device)
            hidden = hidden.masked_fill(mask[:, None], 0)
        return hidden

    def _time_mask(self, frames: int, lengths: Tensor) -> Tensor:
        """(batch, frames) bool, True on the frames that are replaced."""
        config = self.encoder.config
        masks = []
        for own in lengths.tolist():
            mask = spans(
                own,
                frames,
                probability=config.mask_time_prob,
                length=config.mask_time_length,
                least=config.mask_time_min_masks,
            )
            masks.append(mask)
        return torch.stack(masks)

    def _feature_mask(self, width: int, clips: int) -> Tensor:
        """(batch, width) bool, True on the features that become zero."""
        config = self.encoder.config
        masks = []
        for _ in range(clips):
            mask = spans(
                width,
                width,
                probability=config.mask_feature_prob,
                length=config.mask_feature_length,
                least=config.mask_feature_min_masks,
            )
            masks.append(mask)
        return torch.stack(masks)


class TransformerClassifier(TrainedEncoder):
    """A trained encoder, the mean over each clip's own frames, and the head. Reads `frontend`."""

    def __init__(
        self, encoder: Any, spec_augment: bool, classes: int, dropout: float
    ) -> None:
        super().__init__(encoder, spec_augment)
        width = encoder.config.hidden_size
        self.head = Head(width, classes, dropout)

    def forward(self, inputs: Inputs) -> Tensor:
        states = self.states(inputs["frontend"])
        mean = states.mean()
        return self.head(mean)  # type: ignore[no-any-return]


def spans(own: int, size: int, probability: float, length: int, least: int) -> Tensor:
    """(size,) bool, True in random spans of `length` among the first `own` places.

    A span starts at a place with `probability / length`. There are at least `least` spans, as in
    Wav2Vec2Config, but they never cover more than half of a short clip.
    """
    mask = torch.zeros(size, dtype=torch.bool)
    expected = probability * own / length
    drawn = int(
        expected + torch.rand(()).item()
    )  # rounded up as often as its fraction says
    most = own // (2 * length)
    count = min(max(drawn, least), most)
    if count:
        order = torch.randperm(own - length + 1)
        starts = order[:count]
        places = starts[:, None] + torch.arange(length)
        mask[places] = True
    return mask
