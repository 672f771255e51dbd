"""The few layers that backbones share."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs, Padded


class Standardise(nn.Module):
    """(x - mean) / deviation with statistics of the training part, set once by `calibrate`.

    mean, deviation: (*dims); a dimension that never varies is left at scale 1.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("deviation", torch.ones(dims))

    def calibrate(self, batches: Iterable[Padded]) -> None:
        """Mean and deviation per dimension over every clip's own frames (axes of size 1 in `dims`
        are averaged too).
        """
        calibrate_each({"": self}, ({"": batch} for batch in batches))

    def sums(self, batch: Padded) -> Tensor:
        """(3, *dims) float64: count, sum and sum of squares of a batch."""
        frames = batch.values[batch.mask].double()  # (all frames, *dims of the batch)
        axes = [0, *[i + 1 for i, d in enumerate(self.mean.shape) if d == 1]]
        total = frames.sum(axes, keepdim=True)[0]
        count = torch.full_like(total, frames.numel() / total.numel())
        return torch.stack([count, total, frames.square().sum(axes, keepdim=True)[0]])

    def settle(self, sums: Tensor) -> None:
        """Take the statistics from the sums of all batches."""
        mean = sums[1] / sums[0]
        deviation = (sums[2] / sums[0] - mean.square()).clamp_min(0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(
            torch.where(deviation > 1e-8 * (1 + mean.abs()), deviation, torch.ones_like(deviation))
        )

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.deviation


def calibrate_each(layers: Any, inputs: Iterable[Inputs]) -> None:
    """Calibrate several `Standardise` layers, by input name (a mapping or nn.ModuleDict), in one
    pass.
    """
    totals: dict[str, Tensor] = {}
    for batch in inputs:
        for name, layer in layers.items():
            sums = layer.sums(batch[name])
            totals[name] = totals[name] + sums if name in totals else sums
    for name, layer in layers.items():
        layer.settle(totals[name])


# of a probe's layer softmax: its weights keep up with the classifier's, and the L2 penalty off them
SHARPNESS = 10.0


class LayerProbe(nn.Module):
    """A linear classifier on a frozen encoder: learned softmax over its layers, masked mean, linear
    map.

    Reads (frames, layers, dim) per clip: frame-wise states, or their mean over the clip (one
    frame). Both give the same logits, since layer weighting, linear map and mean commute.
    """

    def __init__(self, name: str, layers: int, dim: int, classes: int) -> None:
        super().__init__()
        self.name = name
        self.standardise = Standardise(layers, dim)
        self.layer_weights = nn.Parameter(torch.zeros(layers))
        self.classify = nn.Linear(dim, classes)

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        means = (i[self.name].mean()[:, None] for i in inputs)
        self.standardise.calibrate(Padded(m, torch.ones(len(m), dtype=torch.long)) for m in means)

    def forward(self, inputs: Inputs) -> Tensor:
        states = self.standardise(inputs[self.name].mean())  # (batch, layers, dim)
        return self.classify(torch.einsum("l,bld->bd", self.shares(), states))  # type: ignore[no-any-return]

    def shares(self) -> Tensor:
        """(layers,): each layer's part in the mix; they sum to 1."""
        return (SHARPNESS * self.layer_weights).softmax(0)


class MeanClassifier(nn.Module):
    """A linear classifier on the masked mean of one feature, (frames, dim) per clip, standardised."""

    def __init__(self, name: str, dim: int, classes: int) -> None:
        super().__init__()
        self.name = name
        self.standardise = Standardise(dim)
        self.classify = nn.Linear(dim, classes)

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        means = (i[self.name].mean()[:, None] for i in inputs)
        self.standardise.calibrate(Padded(m, torch.ones(len(m), dtype=torch.long)) for m in means)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.classify(self.standardise(inputs[self.name].mean()))  # type: ignore[no-any-return]


class Head(nn.Sequential):
    """dropout, linear, tanh, dropout, linear: (batch, dim) to logits (Chen et al. 2024, released
    code).
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
    """Have a network of transformers recompute its layers in the backward pass: less memory, a
    third slower.
    """
    # the method's name differs between versions of transformers
    enable = (
        getattr(network, "activation_checkpointing_enable", None)
        or network.gradient_checkpointing_enable
    )
    enable({"use_reentrant": False})
