"""The loss that a training step minimises; its optimiser, schedule and accelerator."""

import math
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.contracts.batch import Padded
from bench.contracts.recipe import Recipe
from bench.scoring.predictions import Predictions
from bench.training.batching import Examples

SGD_MOMENTUM = 0.9
SMALLEST_PROBABILITY = 1e-12  # keeps the logarithm finite

Loss = Callable[
    [Tensor, Tensor], Tensor
]  # (logits, targets), both (batch, classes) -> scalar


def make_accelerator(recipe: Recipe, device: torch.device, accumulate: int) -> Any:
    """Accelerate's Accelerator for one run, with the recipe's precision."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    # a process trains many runs, each with its own precision
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    precision = "no" if recipe.precision == "fp32" else recipe.precision
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        step_scheduler_with_optimizer=False,
    )


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the network's trainable parameters."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    settings: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
    }
    if recipe.optimizer == "sgd":
        settings["momentum"] = SGD_MOMENTUM
        return torch.optim.SGD(parameters, **settings)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **settings)
    return torch.optim.Adam(parameters, **settings)


def learning_rate_factor(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The schedule: optimiser step -> factor of the peak learning rate, over `steps` in all."""
    warmup_steps = round(recipe.warmup * steps)
    steps_after_warmup = max(1, steps - warmup_steps)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if recipe.schedule == "exponential":
            epochs_before = step * recipe.epochs // steps
            return float(recipe.decay**epochs_before)

        done = (step - warmup_steps) / steps_after_warmup
        done = min(1.0, done)
        if recipe.schedule == "linear":
            return 1.0 - done
        if recipe.schedule == "cosine":
            phase = math.pi * done
            return 0.5 * (1 + math.cos(phase))
        return 1.0

    return factor


def class_weights(recipe: Recipe, training: Examples) -> Tensor | None:
    """(classes,): the weight of each class in the loss; None: all weigh 1.

    In a multi-label task, the weight of the class's positive clips.
    """
    if recipe.class_weights == "none":
        return None
    clips = len(training)
    counts = training.targets.sum(0).clamp_min(1)
    if training.multilabel:
        negatives = clips - counts
        return negatives / counts
    classes = len(training.labels)
    return clips / (classes * counts)


def loss_function(recipe: Recipe, training: Examples, device: torch.device) -> Loss:
    """Cross-entropy over the classes; in a multi-label task binary cross-entropy of each class."""
    weight = class_weights(recipe, training)
    if weight is not None:
        weight = weight.to(device)

    def binary(logits: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            logits,
            targets,
            pos_weight=weight,
        )

    def categorical(logits: Tensor, targets: Tensor) -> Tensor:
        classes = targets.argmax(1)
        return F.cross_entropy(
            logits,
            classes,
            weight,
            label_smoothing=recipe.label_smoothing,
        )

    return binary if training.multilabel else categorical


def batch_weight(
    recipe: Recipe, training: Examples, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """What the loss of some clips, by their targets, weighs in the mean over a batch."""
    weight = class_weights(recipe, training)
    if weight is None or training.multilabel:
        weight = torch.ones(len(training.labels))
    weight = weight.to(device)

    def of(targets: Tensor) -> Tensor:
        classes = targets.argmax(1)
        return weight[classes].sum()

    return of


def per_part(logits: Tensor | Padded, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets, (items, classes), of clips, or of all parts of clips.

    Where a network returns padded parts, each part inherits its clip's targets.
    """
    if not isinstance(logits, Padded):
        return logits.float(), targets
    parts = logits.values[logits.mask]
    repeated = targets.repeat_interleave(logits.lengths, 0)
    return parts.float(), repeated


def log_loss(predictions: Predictions) -> float:
    """Mean cross-entropy of the predictions, in nats."""
    truth = torch.from_numpy(predictions.truth)
    probabilities = torch.from_numpy(predictions.probabilities)
    probabilities = probabilities.clamp(SMALLEST_PROBABILITY, 1.0)
    if predictions.multilabel:
        loss = F.binary_cross_entropy(probabilities, truth.double())
        return loss.item()

    of_true_class = probabilities[truth]
    mean = of_true_class.log().mean()
    return -mean.item()
