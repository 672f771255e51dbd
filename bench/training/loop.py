"""The training loop: short, ours, on Accelerate. It knows networks, batches and recipes, and no
plugin.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from bench.contracts.batch import Inputs
from bench.contracts.recipe import Recipe
from bench.scoring import thresholds
from bench.scoring.predictions import Predictions
from bench.scoring.scores import scores
from bench.training.batching import Batch, Examples, LengthBatches, collate, in_order_of_length
from bench.training.objective import _accelerator, _by_part, _log_loss, _loss, _optimizer, rate
from bench.training.prediction import MEND, TrainingError, _halved, _workers, batches, predict

Report = Callable[[int, Mapping[str, float]], None]  # epoch from 1, its loss and validation scores

CHECKPOINT_SECONDS = 10  # what is trained faster is quicker repeated than saved


@dataclass
class Progress:
    """Where a training stands at the end of an epoch; saved and loaded whole."""

    batch_size: int  # these two change when memory runs out; their product does not
    accumulate: int
    epoch: int = 0  # epochs done
    best_score: tuple[float, float] = (
        -math.inf,
        -math.inf,
    )  # the monitored score, then minus the loss
    best_epoch: int = 0
    best: dict[str, Tensor] = field(
        default_factory=dict
    )  # the network's state after its best epoch
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    def goes_on(self, recipe: Recipe) -> bool:
        """Whether an epoch is left, and the validation score has not been without a gain for too
        long.
        """
        stale = 0 < recipe.patience <= self.epoch - self.best_epoch
        return self.epoch < recipe.epochs and not stale


def train(
    network: nn.Module,
    recipe: Recipe,
    training: Examples,
    validation: Examples,
    seed: int,
    device: torch.device,
    report: Report,
    checkpoint: Path,
    title: str = "",
) -> Progress:
    """Train `network` in place and leave it with the weights of its best epoch by `recipe.monitor`.

    Out of memory halves the batch and doubles the accumulation, so that an optimiser step stays
    what it was, and starts again. The file `checkpoint` is kept up to date, and picked up where an
    interrupted training left it; the caller deletes it. A network that defines `fit` is given the
    parts whole instead, and counts as trained for one epoch. Raises TrainingError.
    """
    if hasattr(network, "fit"):
        return _fit(network, recipe, training, validation, seed, device, report)
    saved = (
        torch.load(checkpoint, map_location=device, weights_only=True)
        if checkpoint.is_file()
        else None
    )
    start = {"batch_size": min(recipe.batch_size, len(training)), "accumulate": recipe.accumulate}
    progress = Progress(**(saved["progress"] if saved else start))
    torch.manual_seed(seed)
    calibrate(network.to(device), training, progress.batch_size, device)
    initial = _copy(network)
    while True:
        try:
            loop = _Loop(
                network,
                recipe,
                training,
                validation,
                seed,
                device,
                report,
                checkpoint,
                title,
                progress,
            )
            loop.run(saved)
            break
        except RuntimeError as error:
            progress = Progress(_halved(progress.batch_size, error), progress.accumulate * 2)
            saved = None
            network.load_state_dict(initial)
    network.load_state_dict(progress.best)
    return progress


class _Loop:
    """One training, epoch by epoch, with one batch size."""

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        training: Examples,
        validation: Examples,
        seed: int,
        device: torch.device,
        report: Report,
        checkpoint: Path,
        title: str,
        progress: Progress,
    ) -> None:
        self.recipe, self.training, self.validation, self.seed = recipe, training, validation, seed
        self.device, self.report, self.checkpoint, self.title = device, report, checkpoint, title
        self.progress = p = progress
        optimizer = _optimizer(network, recipe)
        self.order = LengthBatches(training.lengths, p.batch_size, seed, recipe.epoch_share)
        steps = math.ceil(len(self.order) / p.accumulate)  # optimiser steps in an epoch
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, rate(recipe, steps * recipe.epochs)
        )
        loader: Any = DataLoader(
            training, batch_sampler=self.order, collate_fn=collate, **_workers(device)
        )
        self.loss = _loss(recipe, training, device)
        self.accelerator = _accelerator(recipe, device, p.accumulate)
        self.network, self.optimizer, self.loader = self.accelerator.prepare(
            network, optimizer, loader
        )

    def run(self, saved: Mapping[str, Any] | None) -> None:
        """Train from the start, or from where `saved` left it."""
        p, last_saved = self.progress, time.monotonic()
        if saved:
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
        for epoch, values in enumerate(p.history, start=1):
            self.report(epoch, values)
        while p.goes_on(self.recipe):
            started = time.monotonic()
            self.order.epoch = p.epoch
            torch.manual_seed(
                self.seed * 1_000_003 + p.epoch + 1
            )  # an epoch depends on no earlier one's draws
            loss = self._epoch()
            _score(p, self.network, self.recipe, self.validation, self.device, {"train loss": loss})
            p.seconds += time.monotonic() - started
            self.report(p.epoch, p.history[-1])
            if time.monotonic() - last_saved > CHECKPOINT_SECONDS:
                self._save()
                last_saved = time.monotonic()

    def _epoch(self) -> float:
        """Mean loss per clip over one pass."""
        self.network.train()
        total, clips = 0.0, 0
        name, history = self.recipe.monitor, self.progress.history
        scored: dict[str, Any] = (
            {name: f"{history[-1][name]:.3f}"} if history and name in history[-1] else {}
        )
        bar = tqdm(
            self.loader, f"{self.title} epoch {self.progress.epoch + 1}", leave=False, disable=None
        )
        for number, batch in enumerate(bar):
            with self.accelerator.accumulate(self.network):
                loss = self.loss(*_by_part(self.network(batch.inputs), batch.targets))
                if not math.isfinite(value := loss.item()):
                    raise TrainingError(self._not_finite(number, batch))
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients and self.recipe.clip_norm:
                    self.accelerator.clip_grad_norm_(
                        self.network.parameters(), self.recipe.clip_norm
                    )
                self.optimizer.step()
                if self.accelerator.sync_gradients:
                    self.schedule.step()
                self.optimizer.zero_grad()
            total, clips = total + value * len(batch.targets), clips + len(batch.targets)
            bar.set_postfix({"loss": f"{value:.3f}", **scored})
        return total / clips

    def _not_finite(self, number: int, batch: Batch) -> str:
        clips = ", ".join(self.training.clips[i].id for i in batch.indices.tolist())
        return f"the loss is not finite at epoch {self.progress.epoch + 1}, batch {number + 1} (clips {clips}): {MEND}"

    def _save(self) -> None:
        state = {
            "progress": vars(self.progress),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(f".{os.getpid()}.part")
        torch.save(state, partial)
        partial.replace(self.checkpoint)


def _fit(
    network: Any,
    recipe: Recipe,
    training: Examples,
    validation: Examples,
    seed: int,
    device: torch.device,
    report: Report,
) -> Progress:
    """A network that fits itself to the parts."""
    progress, started = (
        Progress(min(recipe.batch_size, len(training)), recipe.accumulate),
        time.monotonic(),
    )
    torch.manual_seed(seed)

    def inputs(part: Examples) -> Iterator[Inputs]:
        size = progress.batch_size
        order = [list(range(i, min(i + size, len(part)))) for i in range(0, len(part), size)]
        return (batch.inputs for batch in batches(part, order, device))

    network.to(device).fit(
        inputs(training), training.targets, inputs(validation), validation.targets
    )
    _score(progress, network, recipe, validation, device, {})
    progress.seconds = time.monotonic() - started
    report(1, progress.history[-1])
    return progress


def note(
    p: Progress, predictions: Predictions, recipe: Recipe, trained: Mapping[str, float]
) -> bool:
    """Add an epoch to the history: what is known of its training, and its validation scores; is it
    the best so far?
    """
    if predictions.multilabel:
        predictions = thresholds.apply(predictions, thresholds.choose(predictions))
    found = {name: value for name, value in scores(predictions).items() if "(" not in name}
    found["loss"] = _log_loss(predictions)
    p.epoch += 1
    p.history.append({**trained, **found})
    monitored = {**found, "loss": -found["loss"], "last": float(p.epoch)}[recipe.monitor]
    score = (
        monitored,
        -found["loss"],
    )  # on a few speakers many epochs score alike: the surer one is the better
    if better := score > p.best_score:
        p.best_score, p.best_epoch = score, p.epoch
    return better


def _score(
    p: Progress,
    network: nn.Module,
    recipe: Recipe,
    validation: Examples,
    device: torch.device,
    trained: Mapping[str, float],
) -> None:
    """Score an epoch on the validation part; keep its weights if they are the best so far."""
    if note(p, predict(network, validation, device, p.batch_size), recipe, trained):
        p.best = _copy(network)


def calibrate(
    network: nn.Module, training: Examples, batch_size: int, device: torch.device
) -> None:
    """Give the network its statistics of the training part, if it wants any."""
    if wants := getattr(network, "calibrate", None):

        def inputs() -> Iterator[Inputs]:
            for batch in batches(
                training, in_order_of_length(training.lengths, batch_size), device
            ):
                yield batch.inputs

        with torch.no_grad():
            wants(inputs())


def _copy(network: nn.Module) -> dict[str, Tensor]:
    """The network's state, on the CPU."""
    return {
        name: value.detach().to("cpu", copy=True) for name, value in network.state_dict().items()
    }
