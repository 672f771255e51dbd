"""Many copies of a small network trained at once, each by its own recipe: what makes trials of a
probe nearly free.

The copies' weights lie side by side in one matrix; torch.func runs the network over all of them,
and one optimiser step serves all. A copy ends up where `bench.training.loop.train` takes it, but
for rounding: `note` scores both.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from bench.contracts.batch import Inputs, Padded
from bench.contracts.recipe import Recipe
from bench.training.batching import (
    Batch,
    Examples,
    LengthBatches,
    collate,
    in_order_of_length,
    load_batches,
)
from bench.training.job import TrainingState
from bench.training.loop import calibrate
from bench.training.objective import class_weights, learning_rate_factor
from bench.training.prediction import as_predictions

Make = Callable[[], nn.Module]

HELD = (
    2**30
)  # bytes of a part that are kept on the device; a part that exceeds them is read batch by batch
MOMENTUM, SQUARES, EPSILON = (
    0.9,
    0.999,
    1e-8,
)  # of SGD and Adam, of Adam, of Adam: as in bench.training.loop


@dataclass(frozen=True)
class HeadScore:
    """How one head did. history: per epoch its train loss and its validation scores.

    best_epoch: by its recipe's monitor, from 1, or 0 without any; scores: the validation scores of
    that epoch. diverged: in the epoch after the last of the history, its loss or its output was no
    longer finite.
    """

    scores: dict[str, float]
    best_epoch: int
    history: list[dict[str, float]]
    diverged: bool


def supports(make: Make, examples: Examples, device: torch.device) -> bool:
    """Whether `train_heads` can train this network: tried out, on two copies and two clips.

    Not one that fits itself, gives logits per part of a clip, or does what torch.func cannot do for
    many weights at once, such as batch normalisation after a trained layer: those are trained one
    by one.
    """
    network = make().to(device)
    if hasattr(network, "fit"):
        return False
    batch = collate([examples[i] for i in range(min(2, len(examples)))]).to(device)
    try:
        logits = _Stack(network.train(), 2)(batch.inputs)
    except (RuntimeError, ValueError):
        return False
    return isinstance(logits, Tensor) and logits.shape == (2, *batch.targets.shape)


def train_heads(
    make: Make,
    recipes: Sequence[Recipe],
    training: Examples,
    validation: Examples,
    seed: int,
    device: torch.device,
) -> list[HeadScore]:
    """One copy of the network per recipe, in the order of the recipes; all begin with the same
    weights.

    Heads of the same batch size, accumulation and share of an epoch train at once. All compute in
    float32, whatever a recipe's precision. A head that diverges leaves the others as they are. For
    networks that `supports` accepts.
    """
    parts = _Part(training, device), _Part(validation, device)
    groups: dict[tuple[int, int, float], list[int]] = {}
    for position, r in enumerate(recipes):
        groups.setdefault(
            (min(r.batch_size, len(training)), r.accumulate, r.epoch_share), []
        ).append(position)
    found: dict[int, HeadScore] = {}
    for (batch_size, accumulate, _), members in groups.items():
        torch.manual_seed(seed)
        network = make().to(device)
        torch.manual_seed(seed)
        calibrate(network, training, batch_size, device)
        heads = [_Head(recipes[i], TrainingState(batch_size, accumulate)) for i in members]
        _Group(network, heads, *parts, seed).run()
        found |= {i: head.score() for i, head in zip(members, heads, strict=True)}
    return [found[i] for i in range(len(recipes))]


@dataclass
class _Head:
    recipe: Recipe
    state: TrainingState
    diverged: bool = False

    def goes_on(self) -> bool:
        return not self.diverged and self.state.goes_on(self.recipe)

    def score(self) -> HeadScore:
        history, best = self.state.history, self.state.best_epoch
        scores = (
            {name: value for name, value in history[best - 1].items() if name != "train loss"}
            if best
            else {}
        )
        return HeadScore(scores, best, history, self.diverged)


class _Part(Dataset[Batch]):
    """A part of a fold, as a whole on the device if it is small."""

    def __init__(self, examples: Examples, device: torch.device) -> None:
        self.examples, self.device = examples, device
        small = _padded_bytes(examples) <= HELD
        self.whole = (
            collate([examples[i] for i in range(len(examples))]).to(device) if small else None
        )

    def batches(self, order: Iterable[list[int]]) -> Iterable[Batch]:
        if self.whole is None:
            return load_batches(self.examples, order, self.device)
        loader: Any = DataLoader(
            self, batch_size=None, sampler=order
        )  # draws from the generator as in training
        return loader  # type: ignore[no-any-return]

    def __getitem__(self, indices: list[int]) -> Batch:
        assert self.whole
        at = torch.tensor(indices, device=self.device)
        inputs = {name: _cut(padded, at) for name, padded in self.whole.inputs.items()}
        return Batch(inputs, self.whole.targets[at], torch.tensor(indices))


class _Stack:
    """The trained weights of copies of a network, (heads, weights), and one optimiser for all of
    them.
    """

    def __init__(self, network: nn.Module, heads: int) -> None:
        self.network, self.steps = network, 0
        trained = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
        self.shapes = {name: p.shape for name, p in trained.items()}
        self.weights = torch.cat([p.flatten() for p in trained.values()]).repeat(heads, 1)
        self.momentum, self.squares = torch.zeros_like(self.weights), torch.zeros_like(self.weights)

    def keep(self, rows: Sequence[int], recipes: Sequence[Recipe], epoch_steps: int) -> None:
        """Go on with these rows alone, each by its recipe."""
        self.weights = self.weights.detach()[rows].requires_grad_()
        self.momentum, self.squares = self.momentum[rows], self.squares[rows]
        self.rates = [
            (r.learning_rate, learning_rate_factor(r, epoch_steps * r.epochs)) for r in recipes
        ]
        self.clip = self._column([r.clip_norm or math.inf for r in recipes])
        self.penalty = self._column(
            [0.0 if r.optimizer == "adamw" else r.weight_decay for r in recipes]
        )
        self.decay = self._column(
            [r.weight_decay if r.optimizer == "adamw" else 0.0 for r in recipes]
        )
        self.sgd = self._column([r.optimizer == "sgd" for r in recipes])

    def __call__(self, inputs: Inputs) -> Tensor:
        """(heads, batch, classes) logits; a dropout falls on the same places in all heads."""
        parts = torch.split(self.weights, [shape.numel() for shape in self.shapes.values()], 1)
        named = {
            name: part.reshape(-1, *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

        def logits(weights: dict[str, Tensor]) -> Any:
            return functional_call(self.network, weights, (inputs,))

        return vmap(logits, randomness="same")(named)  # type: ignore[no-any-return]

    @torch.no_grad()
    def step(self) -> None:
        """One step of each head's optimiser, as in torch.optim, by the gradient that its weights
        have gathered.
        """
        gradient, self.weights.grad = self.weights.grad, None
        assert gradient is not None
        gradient *= (self.clip / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp_max(1.0)
        gradient += self.penalty * self.weights
        rates = self._column([peak * factor(self.steps) for peak, factor in self.rates])
        self.steps += 1
        self.momentum.mul_(MOMENTUM).add_(gradient * torch.where(self.sgd, 1.0, 1 - MOMENTUM))
        self.squares.mul_(SQUARES).addcmul_(gradient, gradient, value=1 - SQUARES)
        scale = (
            (self.squares / (1 - SQUARES**self.steps))
            .sqrt_()
            .add_(EPSILON)
            .mul_(1 - MOMENTUM**self.steps)
        )
        direction = self.momentum / torch.where(self.sgd, 1.0, scale)
        self.weights -= rates * direction.addcmul_(self.decay, self.weights)

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=self.weights.device)[:, None]


class _Group:
    """Heads that train on the same batches, epoch by epoch; each leaves when it has come to its
    end.
    """

    def __init__(
        self, network: nn.Module, heads: list[_Head], training: _Part, validation: _Part, seed: int
    ) -> None:
        self.heads, self.training, self.validation, self.seed = heads, training, validation, seed
        first = heads[0]
        self.batch_size, self.accumulate = first.state.batch_size, first.state.accumulate
        self.order = LengthBatches(
            training.examples.lengths, self.batch_size, seed, first.recipe.epoch_share
        )
        self.stack = _Stack(network, len(heads))

    def run(self) -> None:
        while rows := [i for i, head in enumerate(self.heads) if head.goes_on()]:
            self._keep(rows)
            self.order.epoch = self.heads[0].state.epoch
            torch.manual_seed(self.seed * 1_000_003 + self.order.epoch + 1)  # as in training
            for head, loss, found in zip(
                self.heads, self._epoch(), self._probabilities(), strict=True
            ):
                head.diverged = not (math.isfinite(loss) and bool(found.isfinite().all()))
                if not head.diverged:
                    predictions = as_predictions(self.validation.examples, found)
                    head.state.add_epoch(predictions, head.recipe, {"train loss": loss})

    def _keep(self, rows: Sequence[int]) -> None:
        self.heads = [self.heads[i] for i in rows]
        recipes = [head.recipe for head in self.heads]
        self.stack.keep(rows, recipes, epoch_steps=math.ceil(len(self.order) / self.accumulate))
        self.losses = _losses(recipes, self.training)

    def _epoch(self) -> list[float]:
        """Each head's mean loss per clip over one pass."""
        self.stack.network.train()
        clips = 0
        sums = torch.zeros(len(self.heads), dtype=torch.float64, device=self.training.device)
        for number, batch in enumerate(self.training.batches(self.order), start=1):
            losses = self.losses(self.stack(batch.inputs).float(), batch.targets)
            (losses.sum() / self.accumulate).backward()  # type: ignore[no-untyped-call]
            if number % self.accumulate == 0 or number == len(self.order):
                self.stack.step()
            sums += losses.detach().double() * len(batch.targets)
            clips += len(batch.targets)
        return (sums / clips).tolist()

    @torch.no_grad()
    def _probabilities(self) -> Tensor:
        """(heads, clips, classes) float64, on the validation part."""
        self.stack.network.eval()
        examples = self.validation.examples
        found = torch.zeros(len(self.heads), *examples.targets.shape, dtype=torch.float64)
        for batch in self.validation.batches(in_order_of_length(examples.lengths, self.batch_size)):
            logits = self.stack(batch.inputs).double()
            found[:, batch.indices] = (
                logits.sigmoid() if examples.multilabel else logits.softmax(-1)
            ).cpu()
        return found


def _losses(recipes: Sequence[Recipe], part: _Part) -> Callable[[Tensor, Tensor], Tensor]:
    """Logits (heads, batch, classes), targets (batch, classes) -> each head's loss by its recipe,
    (heads,).
    """
    chosen = [class_weights(recipe, part.examples) for recipe in recipes]
    ones = torch.ones(len(part.examples.labels))
    weights = torch.stack([ones if w is None else w for w in chosen])[:, None].to(part.device)
    smooth = torch.tensor([recipe.label_smoothing for recipe in recipes], device=part.device)[
        :, None, None
    ]

    def losses(logits: Tensor, targets: Tensor) -> Tensor:
        if part.examples.multilabel:
            every = targets.expand_as(logits)
            return F.binary_cross_entropy_with_logits(
                logits, every, pos_weight=weights, reduction="none"
            ).mean((1, 2))
        wanted = weights * ((1 - smooth) * targets + smooth / targets.shape[1])
        return -(wanted * logits.log_softmax(-1)).sum((1, 2)) / (weights * targets).sum((1, 2))

    return losses


def _cut(padded: Padded, at: Tensor) -> Padded:
    """The clips `at`, padded no further than they need."""
    lengths = padded.lengths[at]
    return Padded(padded.values[at, : int(lengths.max())], lengths)


def _padded_bytes(examples: Examples) -> int:
    """What all clips take side by side, each as long as the longest, in float32."""
    frames = {
        n: max(f.frames(clip.id) for clip in examples.clips) for n, f in examples.features.items()
    }
    return (
        4
        * len(examples)
        * sum(frames[n] * math.prod(a.shape[1:]) for n, a in examples[0].features.items())
    )
