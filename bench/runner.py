"""Doing what is planned: features once per clip, then one training per fold and seed, each recorded whole."""

import os
import platform
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from bench import __version__
from bench.errors import BenchError
from bench.plan import Pairing, Ready, Run, full_name
from bench.store import Store, flat

if TYPE_CHECKING:
    import torch

    from bench.cache import Cache
    from bench.examples import Examples
    from bench.extraction import Extracted
    from bench.store import RunLog

Say = Callable[[str], None]


@dataclass
class Outcome:
    """How a command ended, over all its pairings."""

    done: int = 0
    already: int = 0
    failed: int = 0
    skipped: int = 0


def execute(
    pairings: Sequence[Pairing],
    store: Store,
    cache: "Cache",
    results: Path,
    device: "torch.device",
    fresh: bool,
    say: Say,
    save_weights: bool = False,
) -> Outcome:
    """Run what is not recorded. A run that fails is recorded with its reason and never stops the others.

    `save_weights` keeps each run's network, and runs again what was recorded without it.
    """
    outcome = Outcome()
    for pairing in pairings:
        title = f"{full_name(pairing.backbone)} on {pairing.task.name}"
        parent = store.open_pairing(pairing.record, pairing.key, pairing.failed)
        if pairing.record.skipped:
            outcome.skipped += 1
            say(f"{title}: skipped: {pairing.record.skipped}")
        elif pairing.ready is None:
            outcome.failed += 1
            say(f"{title}: failed: {pairing.failed}")
        else:
            worker = _Worker(pairing, pairing.ready, parent, store, cache, results, device, title, say, outcome)
            worker.save_weights = save_weights
            worker.run(fresh)
    return outcome


class _Worker:
    """All runs of one pairing, on this machine."""

    def __init__(
        self,
        pairing: Pairing,
        ready: Ready,
        parent: str,
        store: Store,
        cache: "Cache",
        results: Path,
        device: "torch.device",
        title: str,
        say: Say,
        outcome: Outcome,
    ) -> None:
        self.pairing, self.ready, self.parent, self.store, self.cache = pairing, ready, parent, store, cache
        self.results, self.device, self.title, self.say, self.outcome = results, device, title, say, outcome
        self.save_weights = False
        self.features: Mapping[str, Extracted] | None = None

    def run(self, fresh: bool) -> None:
        recorded = set() if fresh else self._recorded()
        waiting = [run for run in self.ready.runs if run.fingerprint not in recorded]
        self.outcome.already += len(self.ready.runs) - len(waiting)
        later = [run for run in waiting if not self._try(run, fresh, timeout=0)]
        for run in later:  # another process is at them: wait for it, then do what it left
            self._try(run, fresh, timeout=-1)
        if waiting:
            self._close()

    def _try(self, run: Run, fresh: bool, timeout: float) -> bool:
        """False if another process has the run in hand."""
        folder = self.results / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder / f"{run.fingerprint}.lock", timeout=timeout):
                if not fresh and run.fingerprint in self._recorded():
                    self.outcome.already += 1
                else:
                    self._record(run)
        except Timeout:
            return False
        return True

    def _recorded(self) -> set[str]:
        return self.store.recorded(self.pairing.task.name, network=self.save_weights)

    def _record(self, run: Run) -> None:
        """Train, predict, record; or record why not."""
        ready, task, fold = self.ready, self.pairing.task, run.fold.name
        parameters = {**flat(ready.recipe), **flat(ready.setup.options), "seed": run.seed, "fold": fold}
        log = self.store.start(task.name, self.parent, run.fingerprint, fold, run.seed, parameters, self._tags())
        where = f"{self.title}, {run.fold.name}, seed {run.seed}"
        try:
            summary = self._train(run, log)
            self.outcome.done += 1
            self.say(f"{where}: {summary}")
        except KeyboardInterrupt:
            log.abandon()
            raise
        except Exception as error:  # whatever a plugin's code raises must not stop the grid
            reason, trace = _explain(error, task.private)
            log.fail(reason, trace)
            self.outcome.failed += 1
            self.say(f"{where}: failed: {reason}")

    def _train(self, run: Run, log: "RunLog") -> str:
        import torch

        from bench import networks, thresholds
        from bench.scores import scores
        from bench.training import predict, train

        ready, backbone, started = self.ready, self.pairing.backbone, time.monotonic()
        training, validation, test = (self._examples(ids) for ids in (run.fold.train, run.fold.valid, run.fold.test))
        checkpoint = self.results / "checkpoints" / f"{run.fingerprint}.pt"
        torch.manual_seed(run.seed)
        with _peak_memory(self.device) as peak:
            network = backbone.network(ready.setup)
            title = f"{full_name(backbone)} {run.fold.name}"
            trained = train(
                network, ready.recipe, training, validation, run.seed, self.device, log.epoch, checkpoint, title
            )
            predictions = predict(network, test, self.device, trained.batch_size)
            notes = []
            if predictions.multilabel:
                validated = predict(network, validation, self.device, trained.batch_size)
                predictions = thresholds.apply(predictions, thresholds.choose(validated))
                notes = thresholds.notes(validated)
        frozen = sum(feature.parameters for feature in ready.features.values())
        numbers = {
            "parameters": frozen + sum(w.numel() for w in network.parameters()),
            "trainable_parameters": sum(w.numel() for w in network.parameters() if w.requires_grad),
            "train_seconds": trained.seconds,
            "peak_memory_mb": peak[0],
            "best_epoch": trained.best_epoch,
        }
        if trained.accumulate > ready.recipe.accumulate:
            lowered = f"from {ready.recipe.batch_size} to {trained.batch_size}"
            notes.append(f"batch lowered {lowered} after running out of memory")
        found = scores(predictions)
        keep = partial(networks.save, network, self.pairing, trained.batch_size) if self.save_weights else None
        log.finish(predictions, found, numbers, notes, keep)
        checkpoint.unlink(missing_ok=True)
        return f"UA {found['UA']:.3f}, WA {found['WA']:.3f} in {time.monotonic() - started:.0f} s"

    def _examples(self, ids: Sequence[str]) -> "Examples":
        from bench.examples import Examples

        corpus, setup = self.ready.corpus, self.ready.setup
        if self.features is None:
            self.features = self._extract()
        return Examples([corpus.by_id[i] for i in ids], setup.labels, setup.multilabel, self.features)

    def _extract(self) -> "Mapping[str, Extracted]":
        from bench.extraction import extract

        corpus = self.ready.corpus
        clips = {i for run in self.ready.runs for part in (run.fold.train, run.fold.valid, run.fold.test) for i in part}
        return {n: extract(f, corpus, self.cache, self.device, clips) for n, f in self.ready.features.items()}

    def _close(self) -> None:
        """Scores over all folds, on the parent run."""
        from bench.scores import concatenate, scores

        fingerprints = {run.fingerprint for run in self.ready.runs}
        mine = [r for r in self.store.runs_of(self.parent) if r.fingerprint in fingerprints]
        whole = [r.predictions() for r in mine if r.predictions]
        complete = len(whole) == len(self.ready.runs)
        self.store.close_pairing(self.parent, scores(concatenate(whole)) if whole else {}, failed=not complete)

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
            "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {_device_name(self.device)}",
        }


@lru_cache(maxsize=1)
def _code() -> str:
    """The version, with the commit where the harness runs from a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return __version__
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return __version__
    return f"{__version__}+{done.stdout.strip()}" if done.returncode == 0 else __version__


def _explain(error: Exception, private: bool) -> tuple[str, str]:
    """Why a run failed: a sentence, and for a defect its traceback; of a private task only what cannot name a file."""
    if isinstance(error, BenchError):
        return str(error), ""
    if private:
        return f"{type(error).__name__} (no details are kept, since the task is private)", ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500], traceback.format_exc()


def _device_name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def _peak_memory(device: "torch.device") -> Iterator[list[float]]:
    """Peak memory in MiB: of the GPU, else of this process since the block began where Linux tells, else overall."""
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
        high = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        peak[0] = float(high.split()[1]) / 1024
