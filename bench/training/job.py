"""One training as a value, and the state that it has reached."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.contracts.recipe import Recipe
from bench.scoring import thresholds
from bench.scoring.predictions import Predictions
from bench.scoring.scores import scores
from bench.training.batching import Examples
from bench.training.objective import log_loss

Report = Callable[
    [int, Mapping[str, float]], None
]  # epoch from 1, its loss and validation scores


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """Everything that one training needs: what is trained, on what, how and where.

    `network` is trained in place. Together, `recipe`, the two parts, `seed`, `device` and the
    network's initial weights determine the result.
    """

    network: nn.Module
    recipe: Recipe
    training: Examples
    validation: Examples
    seed: int
    device: torch.device
    report: Report  # called after every epoch, and again for the epochs of a resumed training
    checkpoint: Path  # where an interrupted training is saved and resumed from
    title: str = "training"  # what the progress display calls it

    @property
    def batch_size(self) -> int:
        """Clips per batch before memory has run out for the first time."""
        clips = len(self.training)
        return min(self.recipe.batch_size, clips)


@dataclass
class TrainingState:
    """The state of a training at the end of an epoch; saved and loaded whole."""

    # these two change when memory runs out; their product does not
    batch_size: int
    accumulate: int
    epoch: int = 0  # epochs completed
    best_score: tuple[float, float] = (
        -math.inf,
        -math.inf,
    )  # the monitored score, minus the loss
    best_epoch: int = 0
    best: dict[str, Tensor] = field(
        default_factory=dict
    )  # the network after its best epoch
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    def goes_on(self, recipe: Recipe) -> bool:
        """Whether another epoch follows: one is left, and patience has not run out."""
        epochs_without_gain = self.epoch - self.best_epoch
        out_of_patience = 0 < recipe.patience <= epochs_without_gain
        if out_of_patience:
            return False
        return self.epoch < recipe.epochs

    def add_epoch(
        self, predictions: Predictions, recipe: Recipe, trained: Mapping[str, float]
    ) -> bool:
        """Append an epoch to the history and return whether it is the best so far.

        `predictions` are those of the validation part; `trained` holds what the epoch's training
        reported, such as its loss.
        """
        validated = validation_scores(predictions)
        self.epoch += 1
        self.history.append({**trained, **validated})
        score = self._ranked_by(validated, recipe)
        if score <= self.best_score:
            return False
        self.best_score = score
        self.best_epoch = self.epoch
        return True

    def _ranked_by(
        self, validated: Mapping[str, float], recipe: Recipe
    ) -> tuple[float, float]:
        """The monitored score, then minus the loss: with few speakers many epochs tie, and the
        more certain one is the better.
        """
        certainty = -validated["loss"]
        if recipe.monitor == "loss":
            return certainty, certainty
        if recipe.monitor == "last":
            return float(self.epoch), certainty
        score = validated[recipe.monitor]
        return score, certainty


def validation_scores(predictions: Predictions) -> dict[str, float]:
    """The scores over all classes, and the loss; multi-label classes at their best thresholds."""
    if predictions.multilabel:
        best = thresholds.choose(predictions)
        predictions = thresholds.apply(predictions, best)

    overall: dict[str, float] = {}
    for name, value in scores(predictions).items():
        is_of_one_class = "(" in name
        if not is_of_one_class:
            overall[name] = value
    overall["loss"] = log_loss(predictions)
    return overall
