"""What a training step minimises, and what does the minimising."""

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


def _accelerator(recipe: Recipe, device: torch.device, accumulate: int) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(
        reset_partial_state=True
    )  # a process trains many runs, each with its own precision
    GradientState._reset_state()
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    precision = {"fp32": "no"}.get(recipe.precision, recipe.precision)
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        step_scheduler_with_optimizer=False,
    )


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    settings: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, **settings)
    return (torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam)(
        parameters, **settings
    )


def rate(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The factor of the peak learning rate at each optimiser step."""
    warm = round(recipe.warmup * steps)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if recipe.schedule == "exponential":
            return float(
                recipe.decay ** (step * recipe.epochs // steps)
            )  # epochs begun before this one
        done = min(1.0, (step - warm) / max(1, steps - warm))
        return {
            "constant": 1.0,
            "linear": 1.0 - done,
            "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        }[recipe.schedule]

    return factor


def class_weights(recipe: Recipe, training: Examples) -> Tensor | None:
    """(classes,): what each class counts in the loss; in a multi-label task, what its positive
    clips do. None: 1.
    """
    if recipe.class_weights == "none":
        return None
    counts = training.targets.sum(0).clamp_min(1)
    if training.multilabel:
        return (len(training) - counts) / counts
    return len(training) / (len(training.labels) * counts)


def _loss(
    recipe: Recipe, training: Examples, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits, targets), both (batch, classes) -> scalar: cross-entropy, or per class in a
    multi-label task.
    """
    weight = class_weights(recipe, training)
    weight = None if weight is None else weight.to(device)
    if training.multilabel:
        return lambda logits, targets: F.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weight
        )
    smooth = recipe.label_smoothing
    return lambda logits, targets: F.cross_entropy(
        logits, targets.argmax(1), weight, label_smoothing=smooth
    )


def _by_part(logits: Tensor | Padded, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets, (items, classes): of clips, or of all their parts, which inherit their
    clip's targets.
    """
    if isinstance(logits, Padded):
        return logits.values[logits.mask].float(), targets.repeat_interleave(logits.lengths, 0)
    return logits.float(), targets


def _log_loss(predictions: Predictions) -> float:
    truth, p = (
        torch.from_numpy(predictions.truth),
        torch.from_numpy(predictions.probabilities).clamp(1e-12, 1.0),
    )
    if predictions.multilabel:
        return F.binary_cross_entropy(p, truth.double()).item()
    return -p[truth].log().mean().item()
