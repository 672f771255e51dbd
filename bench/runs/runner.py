"""Doing what is planned: features once per clip, then one training per fold and seed, each recorded
whole.
"""

import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from bench.options import flat
from bench.progress import display
from bench.progress.screens import Problem
from bench.runs.mlflow_client import StoreError
from bench.runs.pairing import Pairing, Ready, Run
from bench.runs.workplace import Material, Outcome, Place, Say, explain
from bench.version import __version__

if TYPE_CHECKING:
    import torch

    from bench.runs.run_log import RunLog


def execute(pairings: Sequence[Pairing], place: Place, fresh: bool, say: Say) -> Outcome:
    """Run what is not recorded. A run that fails is recorded with its reason and never stops the
    others.
    """
    outcome = Outcome()
    # by task, as the command found it: asking again for each pairing would be slow
    known: dict[str, set[str]] = {}
    numbers = {pairing.key: number for number, pairing in enumerate(pairings, start=1)}
    display.expect(sum(len(pairing.ready.runs) for pairing in pairings if pairing.ready))
    for worker in workers(pairings, place, say, outcome):
        task = worker.pairing.task.name
        if task not in known:
            known[task] = set() if fresh else place.store.recorded(task, network=place.save_weights)
        recorded = known[task]
        waiting = [run for run in worker.ready.runs if run.fingerprint not in recorded]
        already = len(worker.ready.runs) - len(waiting)
        outcome.already += already
        display.expect(-already)
        display.at(f"pairing {numbers[worker.pairing.key]} of {len(pairings)}")
        later = [run for run in waiting if not worker.attempt(run, fresh, timeout=0)]
        for run in later:  # another process is at them: wait for it, then do what it left
            worker.attempt(run, fresh, timeout=-1)
        if waiting:
            worker.close()
    return outcome


def workers(
    pairings: Sequence[Pairing], place: Place, say: Say, outcome: Outcome
) -> Iterator["Worker"]:
    """One worker for each pairing that can run; the others are recorded with their reasons."""
    for pairing in pairings:
        parent = place.store.open_pairing(pairing.record, pairing.key, pairing.failed)
        if pairing.ready:
            yield Worker(pairing, pairing.ready, parent, place, say, outcome)
            continue
        reason = (
            f"skipped: {pairing.record.skipped}"
            if pairing.record.skipped
            else f"failed: {pairing.failed}"
        )
        message = f"{_title(pairing)}: {reason}"
        outcome.skipped += bool(pairing.record.skipped)
        outcome.failed += not pairing.record.skipped
        say(message if pairing.record.skipped else Problem(message))


class Worker:
    """Does and records the runs of one pairing on this machine."""

    def __init__(
        self, pairing: Pairing, ready: Ready, parent: str, place: Place, say: Say, outcome: Outcome
    ) -> None:
        self.pairing, self.ready, self.parent, self.place = pairing, ready, parent, place
        self.say, self.outcome = say, outcome
        parts = [
            part for run in ready.runs for part in (run.fold.train, run.fold.valid, run.fold.test)
        ]
        self.material = Material(
            ready.corpus, place.cache, place.device, {clip for part in parts for clip in part}
        )

    def attempt(self, run: Run, fresh: bool, timeout: float) -> bool:
        """Do the run, unless it is recorded by now. False if another process still has it in hand
        after `timeout` s.
        """
        folder = self.place.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / f"{run.fingerprint}.lock", timeout=timeout):
                if not fresh and self.place.store.has(
                    self.pairing.task.name, run.fingerprint, self.place.save_weights
                ):
                    self.outcome.already += 1
                    display.expect(-1)
                else:
                    self.record(run)
        except Timeout:
            return False
        return True

    def record(self, run: Run) -> None:
        """Train, predict, record; or record why not."""
        task, fold, system = self.pairing.task, run.fold.name, run.system
        parameters = {
            **flat(system.recipe),
            **flat(system.setup.options),
            "seed": run.seed,
            "fold": fold,
        }
        start = self.place.store.start
        log = start(
            task.name, self.parent, run.fingerprint, fold, run.seed, parameters, self._tags()
        )
        where = f"{_title(self.pairing)}, {run.fold.name}, seed {run.seed}"
        try:
            with display.run(where):
                summary = self._train(run, log)
            self.outcome.done += 1
            self.say(f"{where}: {summary}")
        except KeyboardInterrupt:
            log.abandon()
            raise
        except StoreError:  # no failure of the run, which is begun again by the next command
            raise
        except Exception as error:  # whatever a plugin's code raises must not stop the grid
            reason, trace = explain(error, task.private)
            log.fail(reason, trace)
            self.outcome.failed += 1
            self.say(Problem(f"{where}: failed: {reason}"))

    def close(self) -> None:
        """Scores over all folds, on the parent run."""
        from bench.scoring.scores import concatenate, scores

        store = self.place.store
        found = {r.fingerprint: r.predictions for r in store.runs_of(self.parent) if r.predictions}
        whole = [found[run.fingerprint]() for run in self.ready.runs if run.fingerprint in found]
        complete = len(whole) == len(self.ready.runs)
        store.close_pairing(
            self.parent, scores(concatenate(whole)) if whole else {}, failed=not complete
        )

    def _train(self, run: Run, log: "RunLog") -> str:
        import torch

        from bench.runs import saved_network
        from bench.scoring import thresholds
        from bench.scoring.scores import scores
        from bench.training.job import TrainingJob
        from bench.training.loop import train
        from bench.training.prediction import predict

        backbone, system, device, started = (
            self.pairing.backbone,
            run.system,
            self.place.device,
            time.monotonic(),
        )
        parts = (run.fold.train, run.fold.valid, run.fold.test)
        training, validation, test = (self.material.examples(system, ids) for ids in parts)
        checkpoint = self.place.folder / "checkpoints" / f"{run.fingerprint}.pt"
        torch.manual_seed(run.seed)
        with _peak_memory(device) as peak:
            network = backbone.network(system.setup)
            job = TrainingJob(
                network=network,
                recipe=system.recipe,
                training=training,
                validation=validation,
                seed=run.seed,
                device=device,
                report=log.epoch,
                checkpoint=checkpoint,
            )
            trained = train(job)
            predictions = predict(network, test, device, trained.batch_size)
            notes = []
            if predictions.multilabel:
                validated = predict(network, validation, device, trained.batch_size)
                predictions = thresholds.apply(predictions, thresholds.choose(validated))
                notes = thresholds.notes(validated)
        frozen = sum(feature.parameters for feature in system.features.values())
        numbers = {
            "parameters": frozen + sum(w.numel() for w in network.parameters()),
            "trainable_parameters": sum(w.numel() for w in network.parameters() if w.requires_grad),
            "train_seconds": trained.seconds,
            "peak_memory_mb": peak[0],
            "best_epoch": trained.best_epoch,
        }
        if trained.accumulate > system.recipe.accumulate:
            lowered = f"from {system.recipe.batch_size} to {trained.batch_size}"
            notes.append(f"batch lowered {lowered} after running out of memory")
        found = scores(predictions)
        save = partial(saved_network.save, network, self.pairing, run, trained.batch_size)
        log.finish(predictions, found, numbers, notes, save if self.place.save_weights else None)
        checkpoint.unlink(missing_ok=True)
        return f"UA {found['UA']:.3f}, WA {found['WA']:.3f} in {time.monotonic() - started:.0f} s"

    def _tags(self) -> dict[str, str]:
        record, ready = self.pairing.record, self.ready
        return {
            "backbone": record.backbone,
            "task": record.task,
            "mode": record.mode,
            "protocol": record.protocol,
            "scale": record.scale,
            "corpus": ready.corpus.checksum,
            "split": ready.split,
            "weights": record.weights or ready.weights.source,
            "weights_revision": ready.weights.digest,
            "code": _code(),
            "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {_device_name(self.place.device)}",
        }


def _title(pairing: Pairing) -> str:
    return f"{pairing.record.label} on {pairing.task.name}"


@lru_cache(maxsize=1)
def _code() -> str:
    """The version, with the commit where the harness runs from a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return __version__
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return __version__
    return f"{__version__}+{done.stdout.strip()}" if done.returncode == 0 else __version__


def _device_name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def _peak_memory(device: "torch.device") -> Iterator[list[float]]:
    """Peak memory in MiB: of the GPU, else of this process since the block began where Linux tells,
    else overall.
    """
    import torch

    peak = [0.0]
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif reset.exists():
        reset.write_text("5", encoding="ascii")
    yield peak
    if device.type == "cuda":
        peak[0] = torch.cuda.max_memory_allocated(device) / 2**20
    elif status.exists():
        high = next(
            line
            for line in status.read_text(encoding="ascii").splitlines()
            if line.startswith("VmHWM")
        )
        peak[0] = float(high.split()[1]) / 1024
