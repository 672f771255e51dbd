"""Many copies of a small network trained at once, each by its own recipe.

This makes the trials of a probe nearly free. Up to rounding, each copy ends where
`bench.training.loop.train` takes it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.contracts.batch import Padded
from bench.contracts.recipe import Recipe
from bench.search.stacked_heads import StackedHeads, stacked_losses
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
from bench.training.prediction import as_predictions

Make = Callable[[], nn.Module]

HELD = (
    2**30
)  # bytes of a part that the device holds at once; a larger one is read by batches


@dataclass(frozen=True)
class HeadScore:
    """The result of one head.

    `history`: the train loss and the validation scores of each epoch; `best_epoch`: by the recipe's
    monitor, from 1, or 0 if there is none; `scores`: the validation scores of that epoch;
    `diverged`: in the epoch after the last of `history`, the loss or the output was not finite.
    """

    scores: dict[str, float]
    best_epoch: int
    history: list[dict[str, float]]
    diverged: bool


def supports(make: Make, examples: Examples, device: torch.device) -> bool:
    """Whether `train_heads` can train this network: tried on two copies and two clips.

    It cannot if the network fits itself, gives logits per part of a clip, or does what torch.func
    cannot do for many weights at once, such as batch normalisation after a trained layer.
    """
    network = make().to(device)
    if hasattr(network, "fit"):
        return False
    few = [examples[i] for i in range(min(2, len(examples)))]
    batch = collate(few).to(device)
    try:
        logits = StackedHeads(network.train(), 2)(batch.inputs)
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
    """Train one copy of the network per recipe; all copies start with the same weights.

    Heads of the same batch size, accumulation and share of an epoch train at once, in float32
    whatever the recipe's precision. A head that diverges does not affect the others. `supports`
    must hold for the network. The results are in the order of the recipes.
    """
    training_part = _Part(training, device)
    validation_part = _Part(validation, device)
    scores: dict[int, HeadScore] = {}
    for (batch_size, accumulate, _), members in _groups(recipes, len(training)).items():
        torch.manual_seed(seed)
        network = make().to(device)
        torch.manual_seed(seed)
        calibrate(network, training, batch_size, device)
        heads = [
            _Head(recipes[i], TrainingState(batch_size, accumulate)) for i in members
        ]
        _Group(network, heads, training_part, validation_part, seed).run()
        for i, head in zip(members, heads, strict=True):
            scores[i] = head.score()
    return [scores[i] for i in range(len(recipes))]


def _groups(
    recipes: Sequence[Recipe], clips: int
) -> dict[tuple[int, int, float], list[int]]:
    """Batch size, accumulation and share of an epoch -> the recipes that have them."""
    groups: dict[tuple[int, int, float], list[int]] = {}
    for position, recipe in enumerate(recipes):
        batch_size = min(recipe.batch_size, clips)
        key = (batch_size, recipe.accumulate, recipe.epoch_share)
        members = groups.setdefault(key, [])
        members.append(position)
    return groups


@dataclass
class _Head:
    recipe: Recipe
    state: TrainingState
    diverged: bool = False

    def goes_on(self) -> bool:
        if self.diverged:
            return False
        return self.state.goes_on(self.recipe)

    def score(self) -> HeadScore:
        history = self.state.history
        best_epoch = self.state.best_epoch
        scores = dict(history[best_epoch - 1]) if best_epoch else {}
        scores.pop("train loss", None)
        return HeadScore(scores, best_epoch, history, self.diverged)


class _Part(Dataset[Batch]):
    """A part of a fold, held on the device as a whole if it is small."""

    def __init__(self, examples: Examples, device: torch.device) -> None:
        self.examples = examples
        self.device = device
        self.whole: Batch | None = None
        if _padded_bytes(examples) <= HELD:
            every = [examples[i] for i in range(len(examples))]
            self.whole = collate(every).to(device)

    def batches(self, order: Iterable[list[int]]) -> Iterable[Batch]:
        if self.whole is None:
            return load_batches(self.examples, order, self.device)
        # a loader, because it draws from the random generator as it does in training
        loader: Any = DataLoader(self, batch_size=None, sampler=order)
        return loader  # type: ignore[no-any-return]

    def __getitem__(self, indices: list[int]) -> Batch:
        assert self.whole
        rows = torch.tensor(indices, device=self.device)
        inputs = {}
        for name, padded in self.whole.inputs.items():
            inputs[name] = _rows(padded, rows)
        targets = self.whole.targets[rows]
        return Batch(inputs, targets, torch.tensor(indices))


class _Group:
    """Heads that train on the same batches, epoch by epoch; each leaves once it has finished."""

    def __init__(
        self,
        network: nn.Module,
        heads: list[_Head],
        training: _Part,
        validation: _Part,
        seed: int,
    ) -> None:
        self.heads = heads
        self.training = training
        self.validation = validation
        self.seed = seed
        first = heads[0]
        self.batch_size = first.state.batch_size
        self.accumulate = first.state.accumulate
        lengths = training.examples.lengths
        self.order = LengthBatches(
            lengths, self.batch_size, seed, first.recipe.epoch_share
        )
        self.stack = StackedHeads(network, len(heads))

    def run(self) -> None:
        while True:
            rows = [i for i, head in enumerate(self.heads) if head.goes_on()]
            if not rows:
                return
            self._keep(rows)
            self.order.epoch = self.heads[0].state.epoch
            torch.manual_seed(
                self.seed * 1_000_003 + self.order.epoch + 1
            )  # as in training
            losses = self._epoch()
            probabilities = self._probabilities()
            for head, loss, own in zip(self.heads, losses, probabilities, strict=True):
                self._note(head, loss, own)

    def _keep(self, rows: Sequence[int]) -> None:
        self.heads = [self.heads[i] for i in rows]
        recipes = [head.recipe for head in self.heads]
        epoch_steps = math.ceil(len(self.order) / self.accumulate)
        self.stack.keep(rows, recipes, epoch_steps)
        self.losses = stacked_losses(
            recipes, self.training.examples, self.training.device
        )

    def _note(self, head: _Head, loss: float, probabilities: Tensor) -> None:
        """Score a head's epoch on the validation part."""
        finite = probabilities.isfinite().all().item()
        head.diverged = not (finite and math.isfinite(loss))
        if not head.diverged:
            predictions = as_predictions(self.validation.examples, probabilities)
            head.state.add_epoch(predictions, head.recipe, {"train loss": loss})

    def _epoch(self) -> list[float]:
        """Each head's mean loss per clip over one pass."""
        self.stack.network.train()
        clips = 0
        sums = torch.zeros(
            len(self.heads), dtype=torch.float64, device=self.training.device
        )
        for number, batch in enumerate(self.training.batches(self.order), start=1):
            logits = self.stack(batch.inputs).float()
            losses = self.losses(logits, batch.targets)
            (losses.sum() / self.accumulate).backward()  # type: ignore[no-untyped-call]
            last = number == len(self.order)
            if last or number % self.accumulate == 0:
                self.stack.step()
            size = len(batch.targets)
            sums += losses.detach().double() * size
            clips += size
        return (sums / clips).tolist()

    @torch.no_grad()
    def _probabilities(self) -> Tensor:
        """(heads, clips, classes) float64, on the validation part."""
        self.stack.network.eval()
        examples = self.validation.examples
        order = in_order_of_length(examples.lengths, self.batch_size)
        shape = (len(self.heads), *examples.targets.shape)
        probabilities = torch.zeros(shape, dtype=torch.float64)
        for batch in self.validation.batches(order):
            logits = self.stack(batch.inputs).double()
            normalised = logits.sigmoid() if examples.multilabel else logits.softmax(-1)
            probabilities[:, batch.indices] = normalised.cpu()
        return probabilities


def _rows(padded: Padded, rows: Tensor) -> Padded:
    """Some clips of a batch, padded to the longest of them."""
    lengths = padded.lengths[rows]
    longest = int(lengths.max())
    return Padded(padded.values[rows, :longest], lengths)


def _padded_bytes(examples: Examples) -> int:
    """The size of all clips side by side, each padded to the longest, in float32."""
    values_per_clip = 0
    for name, array in examples[0].features.items():
        feature = examples.features[name]
        frames = max(feature.frames(clip.id) for clip in examples.clips)
        per_frame = math.prod(array.shape[1:])
        values_per_clip += frames * per_frame
    return 4 * len(examples) * values_per_clip
