"""Layers that several backbones share."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs, Padded


class Standardise(nn.Module):
    """(x - mean) / deviation, with statistics of the training part that `calibrate` sets once.

    mean, deviation: (*dims); a dimension that never varies keeps scale 1.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *dims: int) -> None:
        super().__init__()
        mean = torch.zeros(dims)
        deviation = torch.ones(dims)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def calibrate(self, batches: Iterable[Padded]) -> None:
        """Set mean and deviation per dimension over every clip's own frames.

        Axes of size 1 in `dims` are averaged, too.
        """
        layers = {"": self}
        inputs = ({"": batch} for batch in batches)
        calibrate_each(layers, inputs)

    def sums(self, batch: Padded) -> Tensor:
        """(3, *dims) float64: count, sum and sum of squares of a batch."""
        values = batch.values[batch.mask]  # (all frames, *dims of the batch)
        frames = values.double()

        # the frames are summed, and each axis of size 1
        axes = [0]
        for axis, size in enumerate(self.mean.shape, start=1):
            if size == 1:
                axes.append(axis)
        total = frames.sum(axes, keepdim=True)[0]
        squares = frames.square().sum(axes, keepdim=True)[0]

        averaged = frames.numel() / total.numel()
        count = torch.full_like(total, averaged)
        return torch.stack([count, total, squares])

    def settle(self, sums: Tensor) -> None:
        """Set the statistics from the sums of all batches."""
        count, total, squares = sums
        mean = total / count
        mean_square = squares / count
        variance = mean_square - mean.square()
        deviation = variance.clamp_min(0).sqrt()

        # a deviation that is only rounding error would blow up noise
        rounding_error = 1e-8 * (1 + mean.abs())
        varies = deviation > rounding_error
        ones = torch.ones_like(deviation)
        scale = torch.where(varies, deviation, ones)

        self.mean.copy_(mean)
        self.deviation.copy_(scale)

    def forward(self, values: Tensor) -> Tensor:
        centred = values - self.mean
        return centred / self.deviation


def calibrate_each(layers: Any, inputs: Iterable[Inputs]) -> None:
    """Calibrate several `Standardise` layers in one pass.

    layers: input name -> layer, a mapping or nn.ModuleDict.
    """
    totals: dict[str, Tensor] = {}
    for batch in inputs:
        for name, layer in layers.items():
            sums = layer.sums(batch[name])
            if name in totals:
                sums = totals[name] + sums
            totals[name] = sums

    for name, layer in layers.items():
        layer.settle(totals[name])


# Factor of a probe's layer weights in their softmax, which lets them learn as fast as the
# classifier, in spite of the L2 penalty.
SHARPNESS = 10.0


class LayerProbe(nn.Module):
    """A linear classifier on a frozen encoder, whose layers are mixed by learned weights.

    It reads (frames, layers, dim) per clip: the states of each frame, or their mean over the clip
    as one frame. Both give the same logits, since layer weighting, linear map and masked mean
    commute.
    """

    def __init__(self, name: str, layers: int, dim: int, classes: int) -> None:
        super().__init__()
        self.name = name
        self.standardise = Standardise(layers, dim)
        equal = torch.zeros(layers)
        self.layer_weights = nn.Parameter(equal)
        self.classify = nn.Linear(dim, classes)

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        """Standardise the clips' means by their statistics over the training part."""
        means = (_means(batch[self.name]) for batch in inputs)
        self.standardise.calibrate(means)

    def forward(self, inputs: Inputs) -> Tensor:
        mean = inputs[self.name].mean()
        states = self.standardise(mean)  # (batch, layers, dim)
        shares = self.shares()
        mixed = torch.einsum("l,bld->bd", shares, states)
        logits: Tensor = self.classify(mixed)
        return logits

    def shares(self) -> Tensor:
        """(layers,): the weight of each layer in the mix; they sum to 1."""
        sharpened = SHARPNESS * self.layer_weights
        return sharpened.softmax(0)


class MeanClassifier(nn.Module):
    """A linear classifier on the standardised mean of one feature, (frames, dim) per clip."""

    def __init__(self, name: str, dim: int, classes: int) -> None:
        super().__init__()
        self.name = name
        self.standardise = Standardise(dim)
        self.classify = nn.Linear(dim, classes)

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        """Standardise the clips' means by their statistics over the training part."""
        means = (_means(batch[self.name]) for batch in inputs)
        self.standardise.calibrate(means)

    def forward(self, inputs: Inputs) -> Tensor:
        mean = inputs[self.name].mean()
        standardised = self.standardise(mean)
        logits: Tensor = self.classify(standardised)
        return logits


class Head(nn.Sequential):
    """Dropout, linear, tanh, dropout, linear: (batch, dim) to logits.

    As in the released code of Chen et al. 2024.
    """

    def __init__(self, dim: int, classes: int, dropout: float) -> None:
        super().__init__(
            nn.Dropout(dropout),
            nn.Linear(dim, dim),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(dim, classes),
        )


def recompute(network: Any) -> None:
    """Have a network of transformers recompute its layers in the backward pass.

    This needs less memory, and a third more time.
    """
    enable = getattr(network, "activation_checkpointing_enable", None)
    if enable is None:  # its name in other versions of transformers
        enable = network.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _means(padded: Padded) -> Padded:
    """The mean of each clip, as its only frame."""
    means = padded.mean()
    as_frames = means[:, None]
    lengths = torch.ones(len(means), dtype=torch.long)
    return Padded(as_frames, lengths)
