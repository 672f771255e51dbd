"""The weights of many copies of a network side by side, with one optimiser and one loss for all."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from bench.contracts.batch import Inputs
from bench.contracts.recipe import Recipe
from bench.training.batching import Examples
from bench.training.objective import class_weights, learning_rate_factor

# as in bench.training.loop
MOMENTUM = 0.9  # of SGD and Adam
SQUARES = 0.999  # of Adam
EPSILON = 1e-8  # of Adam


class StackedHeads:
    """The trained weights of copies of a network, (heads, weights), and their optimiser.

    All copies start with the weights of `network`.
    """

    def __init__(self, network: nn.Module, heads: int) -> None:
        self.network = network
        self.steps = 0
        named = network.named_parameters()
        trained = {
            name: weight.detach() for name, weight in named if weight.requires_grad
        }
        self.shapes = {name: weight.shape for name, weight in trained.items()}
        flat = torch.cat([weight.flatten() for weight in trained.values()])
        self.weights = flat.repeat(heads, 1)
        self.momentum = torch.zeros_like(self.weights)
        self.squares = torch.zeros_like(self.weights)

    def keep(
        self, rows: Sequence[int], recipes: Sequence[Recipe], epoch_steps: int
    ) -> None:
        """Continue with these rows alone, each trained by its recipe."""
        self.weights = self.weights.detach()[rows].requires_grad_()
        self.momentum = self.momentum[rows]
        self.squares = self.squares[rows]
        self.rates = []
        clip, penalty, decay, sgd = [], [], [], []
        for recipe in recipes:
            factor = learning_rate_factor(recipe, epoch_steps * recipe.epochs)
            self.rates.append((recipe.learning_rate, factor))
            decoupled = recipe.optimizer == "adamw"
            clip.append(recipe.clip_norm or math.inf)
            penalty.append(0.0 if decoupled else recipe.weight_decay)
            decay.append(recipe.weight_decay if decoupled else 0.0)
            sgd.append(recipe.optimizer == "sgd")
        self.clip = self._column(clip)
        self.penalty = self._column(penalty)
        self.decay = self._column(decay)
        self.sgd = self._column(sgd)

    def __call__(self, inputs: Inputs) -> Tensor:
        """(heads, batch, classes) logits; a dropout masks the same places in all heads."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        columns = torch.split(self.weights, sizes, 1)
        weights = {}
        for (name, shape), column in zip(self.shapes.items(), columns, strict=True):
            weights[name] = column.reshape(-1, *shape)

        def logits(weights: dict[str, Tensor]) -> Any:
            return functional_call(self.network, weights, (inputs,))

        return vmap(logits, randomness="same")(weights)  # type: ignore[no-any-return]

    @torch.no_grad()
    def step(self) -> None:
        """Take one step of each head's optimiser, as torch.optim does, and clear the gradient."""
        gradient = self.weights.grad
        assert gradient is not None
        self.weights.grad = None
        norm = gradient.norm(dim=1, keepdim=True)
        shrink = self.clip / (norm + 1e-6)
        gradient *= shrink.clamp_max(1.0)
        gradient += self.penalty * self.weights
        rates = [peak * factor(self.steps) for peak, factor in self.rates]
        self.steps += 1
        direction = self._direction(gradient)
        direction.addcmul_(self.decay, self.weights)
        self.weights -= self._column(rates) * direction

    def _direction(self, gradient: Tensor) -> Tensor:
        """SGD's momentum, or Adam's corrected ratio of moments; updates both moments."""
        share = torch.where(self.sgd, 1.0, 1 - MOMENTUM)
        self.momentum.mul_(MOMENTUM)
        self.momentum.add_(gradient * share)
        self.squares.mul_(SQUARES)
        self.squares.addcmul_(gradient, gradient, value=1 - SQUARES)
        scale = self.squares / (1 - SQUARES**self.steps)
        scale.sqrt_()
        scale.add_(EPSILON)
        scale.mul_(1 - MOMENTUM**self.steps)
        divisor = torch.where(self.sgd, 1.0, scale)
        return self.momentum / divisor

    def _column(self, values: Sequence[float]) -> Tensor:
        row = torch.tensor(values, device=self.weights.device)
        return row[:, None]


def stacked_losses(
    recipes: Sequence[Recipe], examples: Examples, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """Each head's loss by its recipe.

    Returns a function of logits (heads, batch, classes) and targets (batch, classes), to (heads,).
    """
    unweighted = torch.ones(len(examples.labels))
    rows = []
    for recipe in recipes:
        weights = class_weights(recipe, examples)
        rows.append(unweighted if weights is None else weights)
    weights = torch.stack(rows)[:, None].to(device)
    if examples.multilabel:
        return partial(_binary, weights)
    amounts = [recipe.label_smoothing for recipe in recipes]
    smoothing = torch.tensor(amounts, device=device)[:, None, None]
    return partial(_categorical, weights, smoothing)


def _binary(weights: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over clips and classes."""
    losses = F.binary_cross_entropy_with_logits(
        logits,
        targets.expand_as(logits),
        pos_weight=weights,
        reduction="none",
    )
    return losses.mean((1, 2))


def _categorical(
    weights: Tensor, smoothing: Tensor, logits: Tensor, targets: Tensor
) -> Tensor:
    """Cross-entropy, the mean over clips weighted by class."""
    classes = targets.shape[1]
    smooth = (1 - smoothing) * targets + smoothing / classes
    likelihoods = logits.log_softmax(-1)
    weighted = weights * smooth * likelihoods
    total = (weights * targets).sum((1, 2))
    return -weighted.sum((1, 2)) / total
