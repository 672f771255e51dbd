"""One run from its features to its record: train, predict, measure, record."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.runs import saved_network
from bench.runs.machine import peak_memory
from bench.runs.pairing import Pairing, Run
from bench.runs.system import System
from bench.runs.workplace import Material, Place
from bench.scoring import thresholds
from bench.scoring.predictions import Predictions
from bench.scoring.scores import scores
from bench.training.batching import Examples
from bench.training.job import TrainingJob, TrainingState
from bench.training.loop import train
from bench.training.prediction import predict

if TYPE_CHECKING:
    from torch import nn

    from bench.runs.run_log import RunLog


@dataclass(frozen=True)
class Parts:
    """What a run reads, part by part."""

    training: Examples
    validation: Examples
    test: Examples


@dataclass(frozen=True)
class Result:
    """What a run has given, before it is recorded."""

    network: "nn.Module"
    state: TrainingState
    predictions: Predictions
    notes: list[str]
    peak_mib: float


def train_and_record(
    run: Run, pairing: Pairing, material: Material, place: Place, log: "RunLog"
) -> str:
    """Do a run and record it. Returns a summary of its result."""
    started = time.monotonic()
    parts = Parts(*(material.examples(run.system, part) for part in run.parts))
    checkpoint = place.folder / "checkpoints" / f"{run.fingerprint}.pt"
    torch.manual_seed(run.seed)
    with peak_memory(place.device) as peak:
        network = pairing.backbone.network(run.system.setup)
        job = _training_job(run, network, parts, place.device, log, checkpoint)
        state = train(job)
        predictions, notes = _predict(network, parts, state, place.device)
    result = Result(network, state, predictions, notes, peak.mib)
    found = _record(result, run, pairing, log, place.save_weights)
    checkpoint.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    return f"UA {found['UA']:.3f}, WA {found['WA']:.3f} in {seconds:.0f} s"


def _training_job(
    run: Run,
    network: "nn.Module",
    parts: Parts,
    device: torch.device,
    log: "RunLog",
    checkpoint: Path,
) -> TrainingJob:
    return TrainingJob(
        network=network,
        recipe=run.system.recipe,
        training=parts.training,
        validation=parts.validation,
        seed=run.seed,
        device=device,
        report=log.epoch,
        checkpoint=checkpoint,
    )


def _predict(
    network: "nn.Module", parts: Parts, state: TrainingState, device: torch.device
) -> tuple[Predictions, list[str]]:
    """Predictions of the test part, and what a table must say of them.

    The thresholds of a multi-label task are chosen on the validation part.
    """
    predictions = predict(network, parts.test, device, state.batch_size)
    if not predictions.multilabel:
        return predictions, []
    validated = predict(network, parts.validation, device, state.batch_size)
    chosen = thresholds.choose(validated)
    return thresholds.apply(predictions, chosen), thresholds.notes(validated)


def _measure(result: Result, system: System) -> dict[str, float]:
    """The numbers of a run's record: sizes, time and memory."""
    frozen = sum(feature.parameters for feature in system.features.values())
    parameters = list(result.network.parameters())
    trainable = [weights for weights in parameters if weights.requires_grad]
    return {
        "parameters": frozen + sum(weights.numel() for weights in parameters),
        "trainable_parameters": sum(weights.numel() for weights in trainable),
        "train_seconds": result.state.seconds,
        "peak_memory_mb": result.peak_mib,
        "best_epoch": result.state.best_epoch,
    }


def _record(
    result: Result, run: Run, pairing: Pairing, log: "RunLog", save_weights: bool
) -> dict[str, float]:
    """Record the run whole. Returns its scores."""
    recipe, state, notes = run.system.recipe, result.state, list(result.notes)
    if state.accumulate > recipe.accumulate:
        lowered = f"from {recipe.batch_size} to {state.batch_size}"
        notes.append(f"batch lowered {lowered} after running out of memory")
    save: Callable[[Path], None] | None = None
    if save_weights:
        save = partial(
            saved_network.save, result.network, pairing, run, state.batch_size
        )
    found = scores(result.predictions)
    log.finish(result.predictions, found, _measure(result, run.system), notes, save)
    return found
