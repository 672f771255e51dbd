"""The training loop, built on Accelerate. It knows networks, batches and recipes, but no plugin."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench import memory
from bench.contracts.batch import Inputs
from bench.progress import display
from bench.progress.status import Step
from bench.training import checkpoint
from bench.training.batching import (
    Batch,
    Examples,
    LengthBatches,
    data_loader,
    in_groups,
    in_order_of_length,
    load_batches,
)
from bench.training.checkpoint import Content
from bench.training.job import TrainingJob, TrainingState
from bench.training.objective import (
    batch_weight,
    learning_rate_factor,
    loss_function,
    make_accelerator,
    make_optimizer,
    per_part,
)
from bench.training.pieces import bounded, pieces
from bench.training.prediction import (
    DIVERGED_ADVICE,
    TrainingError,
    halve_batch,
    predict,
)

CHECKPOINT_SECONDS = 10  # a training that takes less is faster to repeat than to save


def train(job: TrainingJob) -> TrainingState:
    """Train `job.network` in place and leave it with the weights of its best epoch.

    `recipe.monitor` decides which epoch is the best. When memory runs out, the training starts
    again with half the batch and twice the accumulation, so that an optimiser step stays the same.
    The file `job.checkpoint` is kept up to date, and an interrupted training resumes from it, or
    starts over where it is damaged; the caller deletes it. A network that defines `fit` receives
    the parts as a whole instead, and counts as trained for one epoch.

    Raises:
        TrainingError: The loss is not finite, or a single clip does not fit into memory.
    """
    if hasattr(job.network, "fit"):
        return _fit_itself(job)
    saved = checkpoint.read(job.checkpoint, job.device)
    state = checkpoint.progress(saved) if saved else _first_state(job)
    torch.manual_seed(job.seed)
    initial = _state_on_cpu(job.network.to(job.device))
    while True:
        try:
            calibrate(job.network, job.training, state.batch_size, job.device)
            _Loop(job, state).run(saved)
            break
        except checkpoint.DamagedError:
            checkpoint.say_damaged()
            state = _first_state(job)
        except Exception as error:
            smaller = halve_batch(state.batch_size, error)
            state = TrainingState(smaller, state.accumulate * 2)
        saved = None
        job.network.load_state_dict(initial)
    job.network.load_state_dict(state.best)
    return state


def calibrate(
    network: nn.Module, training: Examples, batch_size: int, device: torch.device
) -> None:
    """Pass the training part's inputs to the network's `calibrate` method, if it has one."""
    method: Callable[[Iterator[Inputs]], None] | None = getattr(
        network, "calibrate", None
    )
    if method is None:
        return

    def inputs() -> Iterator[Inputs]:
        by_length = in_order_of_length(training.lengths, batch_size)
        order = list(bounded(by_length, training.extents))
        for batch in load_batches(training, order, device):
            yield batch.inputs

    with torch.no_grad():
        method(inputs())


class _Loop:
    """One training, epoch by epoch, with one batch size."""

    def __init__(self, job: TrainingJob, state: TrainingState) -> None:
        self.job = job
        self.state = state
        recipe = job.recipe
        self.order = LengthBatches(
            job.training.lengths,
            state.batch_size,
            job.seed,
            recipe.epoch_share,
        )
        optimizer = make_optimizer(job.network, recipe)

        steps_per_epoch = math.ceil(len(self.order) / state.accumulate)
        steps = steps_per_epoch * recipe.epochs
        factor = learning_rate_factor(recipe, steps)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

        self.loss = loss_function(recipe, job.training, job.device)
        self.weight = batch_weight(recipe, job.training, job.device)
        self.accelerator = make_accelerator(recipe, job.device, state.accumulate)
        loader = data_loader(job.training, self.order, job.device)
        prepared = self.accelerator.prepare(job.network, optimizer, loader)
        self.network, self.optimizer, self.loader = prepared

    def run(self, saved: Content | None) -> None:
        """Train from the start, or from the checkpoint `saved`."""
        if saved:
            self._restore(saved)
        for epoch, values in enumerate(self.state.history, start=1):
            self.job.report(epoch, values)

        progress = display.step(
            self.job.title,
            total=self.job.recipe.epochs,
            unit="epochs",
            done=self.state.epoch,
        )
        with progress as step:
            self._train(step)

    def _train(self, step: Step) -> None:
        """Train until no epoch follows, saving a checkpoint now and then."""
        job = self.job
        state = self.state
        last_saved = time.monotonic()
        while state.goes_on(job.recipe):
            self._timed_epoch(step)
            job.report(state.epoch, state.history[-1])
            since_saved = time.monotonic() - last_saved
            if since_saved > CHECKPOINT_SECONDS:
                self._save()
                last_saved = time.monotonic()

    def _timed_epoch(self, step: Step) -> None:
        """Train and validate for one epoch."""
        state = self.state
        started = time.monotonic()
        self.order.epoch = state.epoch

        # an epoch depends on no random number drawn in an earlier one
        seed = self.job.seed * 1_000_003 + state.epoch + 1
        torch.manual_seed(seed)

        loss = self._train_epoch(step)
        trained = {"train loss": loss}
        _validate(self.job, self.network, state, trained)
        state.seconds += time.monotonic() - started

    def _train_epoch(self, step: Step) -> float:
        """Train on every batch once. Returns the mean loss per clip."""
        self.network.train()
        total = 0.0
        clips = 0
        share = 1 / len(self.order)
        last_score = self._last_score()

        for number, batch in enumerate(self.loader, start=1):
            loss = self._step(batch, number)
            size = len(batch.targets)
            total += loss * size
            clips += size
            note = f"loss {loss:.3f}{last_score}"
            step.advance(share, note)
        return total / clips

    def _step(self, batch: Batch, number: int) -> float:
        """Accumulate the gradients of one batch, and step when enough are summed. Returns its
        mean loss.
        """
        with self.accelerator.accumulate(self.network):
            value = self._gradients(batch)
            if not math.isfinite(value):
                fault = self._not_finite(number, batch)
                raise TrainingError(fault)
            self._update()
        return value

    def _gradients(self, batch: Batch) -> float:
        """Add up the gradients of a batch, piece by piece. Returns its mean loss."""
        whole = self.weight(batch.targets)
        total = torch.zeros((), device=self.job.device)
        divided = pieces(self.network, batch, self.job.training.extents)
        for number, piece in enumerate(divided):
            if number:
                memory.trim()
            outputs = self.network(piece.inputs)
            logits, targets = per_part(outputs, piece.targets)
            share = self.weight(piece.targets) / whole
            loss = share * self.loss(logits, targets)
            self.accelerator.backward(loss)
            total += loss.detach()
        return float(total.item())

    def _update(self) -> None:
        """Let the optimiser and the schedule step; Accelerate skips it between accumulated
        batches.
        """
        complete = self.accelerator.sync_gradients
        clip_norm = self.job.recipe.clip_norm
        if complete and clip_norm:
            self.accelerator.clip_grad_norm_(self.network.parameters(), clip_norm)
        self.optimizer.step()
        if complete:
            self.schedule.step()
        self.optimizer.zero_grad()

    def _last_score(self) -> str:
        """The monitored validation score after the last epoch, such as `, UA 0.512`; it may be
        empty.
        """
        name = self.job.recipe.monitor
        history = self.state.history
        if not history or name == "last":
            return ""
        label = "validation loss" if name == "loss" else name
        last_epoch = history[-1]
        score = last_epoch[name]
        return f", {label} {score:.3f}"

    def _not_finite(self, number: int, batch: Batch) -> str:
        clips = self.job.training.clips
        ids: list[str] = []
        for index in batch.indices.tolist():
            clip = clips[index]
            ids.append(clip.id)
        names = ", ".join(ids)

        epoch = self.state.epoch + 1
        where = f"epoch {epoch}, batch {number} (clips {names})"
        return f"the loss is not finite at {where}: {DIVERGED_ADVICE}"

    def _restore(self, saved: Content) -> None:
        """Go on from a checkpoint.

        Raises:
            DamagedError: It is not one of this network, this optimiser and this schedule.
        """
        try:
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
        except Exception as error:  # each has its own for what does not fit
            raise checkpoint.DamagedError from error

    def _save(self) -> None:
        content = {
            "progress": vars(self.state),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        checkpoint.write(content, self.job.checkpoint)


def _fit_itself(job: TrainingJob) -> TrainingState:
    """Have a network fit itself to the parts."""
    started = time.monotonic()
    state = _first_state(job)
    torch.manual_seed(job.seed)
    network: Any = job.network.to(job.device)
    training = _inputs_in_order(job, job.training)
    validation = _inputs_in_order(job, job.validation)
    network.fit(
        training,
        job.training.targets,
        validation,
        job.validation.targets,
    )

    _validate(job, network, state, {})
    state.seconds = time.monotonic() - started
    job.report(1, state.history[-1])
    return state


def _inputs_in_order(job: TrainingJob, part: Examples) -> Iterator[Inputs]:
    """The inputs of a part in batches, in the order of its clips."""
    clips = len(part)
    indices = list(range(clips))
    order = in_groups(indices, job.batch_size)
    batches = load_batches(part, order, job.device)
    return (batch.inputs for batch in batches)


def _validate(
    job: TrainingJob,
    network: nn.Module,
    state: TrainingState,
    trained: Mapping[str, float],
) -> None:
    """Score an epoch on the validation part; keep its weights if they are the best so far."""
    predictions = predict(
        network,
        job.validation,
        job.device,
        state.batch_size,
    )
    is_best = state.add_epoch(predictions, job.recipe, trained)
    if is_best:
        state.best = _state_on_cpu(network)


def _first_state(job: TrainingJob) -> TrainingState:
    return TrainingState(job.batch_size, job.recipe.accumulate)


def _state_on_cpu(network: nn.Module) -> dict[str, Tensor]:
    copies: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        detached = value.detach()
        copies[name] = detached.to("cpu", copy=True)
    return copies
