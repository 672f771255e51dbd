"""Variable-length arrays side by side: the only form in which a network sees its inputs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Padded(NamedTuple):
    """A batch of arrays of unequal length, zero-padded.

    values: (batch, frames, *dims) float32; lengths: (batch,) int64, the frames that are each clip's
    own.
    """

    values: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """(batch, frames) bool, True on a clip's own frames."""
        frames = torch.arange(self.values.shape[1], device=self.lengths.device)
        return frames[None, :] < self.lengths[:, None]

    def mean(self) -> Tensor:
        """(batch, *dims): mean over each clip's own frames."""
        mask = self.mask.reshape(*self.mask.shape, *[1] * (self.values.ndim - 2))
        lengths = self.lengths.reshape(-1, *[1] * (self.values.ndim - 2))
        return (self.values * mask).sum(1) / lengths

    def to(self, device: torch.device | str) -> "Padded":
        return Padded(
            self.values.to(device, non_blocking=True),
            self.lengths.to(device, non_blocking=True),
        )


Inputs = Mapping[str, Padded]  # one entry per feature that the backbone reads


def pad(arrays: Sequence[Tensor]) -> Padded:
    """Arrays of shape (frames_i, *dims) as one batch."""
    lengths = torch.tensor([len(a) for a in arrays])
    return Padded(
        torch.nn.utils.rnn.pad_sequence(list(arrays), batch_first=True), lengths
    )
