"""Doing what is planned: features once per clip, then one training per fold and seed, each recorded
whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import Timeout

from bench import memory
from bench.errors import one_line, refused
from bench.options import flat
from bench.progress import display
from bench.progress.screens import Problem
from bench.runs import pages
from bench.runs.machine import code_version, hardware
from bench.runs.mlflow_client import MlflowException, StoreError
from bench.runs.pairing import Pairing, Ready, Run
from bench.runs.reasons import shared
from bench.runs.run_locks import run_lock
from bench.runs.workplace import Material, Outcome, Place, Say, explain

if TYPE_CHECKING:
    from bench.runs.run_log import RunLog


def execute(
    pairings: Sequence[Pairing], place: Place, fresh: bool, say: Say
) -> Outcome:
    """Run what is not recorded. A run that fails is recorded with its reason and never stops the
    others.
    """
    outcome = Outcome()
    # by task, as the command found it: asking again for each pairing would be slow
    known: dict[str, set[str]] = {}
    numbers = {pairing.key: number for number, pairing in enumerate(pairings, start=1)}
    display.expect(
        sum(len(pairing.ready.runs) for pairing in pairings if pairing.ready)
    )
    for worker in workers(pairings, place, say, outcome):
        task = worker.pairing.task.name
        if task not in known:
            known[task] = set() if fresh else _recorded(task, pairings, place)
        where = f"pairing {numbers[worker.pairing.key]} of {len(pairings)}"
        worker.run_all(known[task], fresh, where)
        del worker  # and what it has read
        memory.release()
    return outcome


def _recorded(task: str, pairings: Iterable[Pairing], place: Place) -> set[str]:
    """The runs of a task's pairings that need not be done."""
    asked: set[str] = set()
    for pairing in pairings:
        if pairing.ready and pairing.task.name == task:
            asked.update(run.fingerprint for run in pairing.ready.runs)
    return place.store.recorded(task, place.save_weights, among=asked)


def workers(
    pairings: Sequence[Pairing], place: Place, say: Say, outcome: Outcome
) -> Iterator["Worker"]:
    """One worker for each pairing that can run; the others are recorded with their reasons."""
    skipped = [pairing for pairing in pairings if pairing.record.skipped]
    failed = [pairing for pairing in pairings if pairing.failed]
    for line in shared((_title(p), f"skipped: {p.record.skipped}") for p in skipped):
        say(line)
    for line in shared((_title(p), f"failed: {p.failed}") for p in failed):
        say(Problem(line))
    for pairing in pairings:
        corpus = None
        if pairing.ready:
            corpus = pages.dataset(pairing.ready.division.corpus)
        parent = place.store.open_pairing(
            pairing.record, pairing.key, pairing.failed, corpus
        )
        if pairing.ready:
            yield Worker(pairing, pairing.ready, parent, place, say, outcome)
        elif pairing.record.skipped:
            outcome.skipped += 1
        else:
            outcome.failed += 1


def record_failure(log: "RunLog", reason: str, trace: str, say: Say) -> None:
    """Record a failure where that is possible: it must not stop other runs."""
    try:
        log.fail(reason, trace)
    except (StoreError, MlflowException, OSError) as error:  # or it was deleted
        say(Problem(f"this failure cannot be recorded: {one_line(error)}"))


class Worker:
    """Does and records the runs of one pairing on this machine."""

    def __init__(
        self,
        pairing: Pairing,
        ready: Ready,
        parent: str,
        place: Place,
        say: Say,
        outcome: Outcome,
    ) -> None:
        self.pairing = pairing
        self.ready = ready
        self.parent = parent
        self.place = place
        self.say = say
        self.outcome = outcome
        self.corpus = pages.dataset(ready.division.corpus)
        clips = {clip for run in ready.runs for part in run.parts for clip in part}
        self.material = Material(
            ready.division.corpus, place.cache, place.device, clips
        )

    def run_all(self, recorded: set[str], fresh: bool, where: str) -> None:
        """Do the runs that are not recorded yet. `where`: which pairing it is, for the display."""
        waiting = [run for run in self.ready.runs if run.fingerprint not in recorded]
        already = len(self.ready.runs) - len(waiting)
        self.outcome.already += already
        display.expect(-already)
        display.at(where)
        try:
            self._attempt_all(waiting, fresh)
            if waiting or not self.place.store.is_closed(self.parent):
                self.close()
        except BaseException as error:
            self.place.store.cut_short(self.parent, error)
            raise

    def _attempt_all(self, runs: Sequence[Run], fresh: bool) -> None:
        # what another process is doing comes last: it is waited for, and done if it was left undone
        elsewhere = [run for run in runs if not self.attempt(run, fresh, timeout=0)]
        for run in elsewhere:
            self.attempt(run, fresh, timeout=-1)

    def attempt(self, run: Run, fresh: bool, timeout: float) -> bool:
        """Do the run, unless it is recorded by now.

        Returns False if another process is still doing it after `timeout` s (-1: wait for its end).
        """
        try:
            with run_lock(self.place.folder, run.fingerprint, timeout):
                if not fresh and self._is_recorded(run):
                    self.outcome.already += 1
                    display.expect(-1)
                else:
                    self.record(run)
        except Timeout:
            return False
        return True

    def record(self, run: Run) -> None:
        """Train, predict and record; if that fails, record why."""
        where = f"{_title(self.pairing)}, {run.fold.name}, seed {run.seed}"
        with self._unrecorded(where):
            log = self._start(run)
            self._record(run, log, where)

    def _record(self, run: Run, log: "RunLog", where: str) -> None:
        from bench.runs.training_run import train_and_record

        try:
            with display.run(where):
                summary = train_and_record(
                    run, self.pairing, self.material, self.place, log
                )
        except KeyboardInterrupt:
            log.abandon()
            raise
        except StoreError:  # no failure of the run, which the next command starts again
            raise
        except (
            Exception
        ) as error:  # whatever a plugin's code raises must not stop the grid
            reason, trace = explain(error, self.pairing.task.private)
            self.outcome.failed += 1
            self.say(Problem(f"{where}: failed: {reason}"))
            record_failure(log, reason, trace, self.say)
        else:
            self.outcome.done += 1
            self.say(f"{where}: {summary}")
        memory.trim()

    @contextmanager
    def _unrecorded(self, where: str) -> Iterator[None]:
        """Let what the system refuses while a run is begun fail this run alone."""
        try:
            yield
        except OSError as error:
            self.outcome.failed += 1
            reason = refused(error, private=self.pairing.task.private)
            self.say(Problem(f"{where}: failed, and cannot be recorded: {reason}"))

    def close(self) -> None:
        """Scores over all folds, on the parent run.

        They are for MLflow's pages alone: a disk that refuses them fails no run, and the next
        command tries again.
        """
        try:
            self._close()
        except OSError as error:
            reason = refused(error, private=self.pairing.task.private)
            self.say(Problem(f"{_title(self.pairing)}: MLflow's pages: {reason}"))

    def _close(self) -> None:
        from bench.runs.totals import totals

        store = self.place.store
        split = self.ready.division.split
        found = totals(store.runs_of(self.parent, split))
        asked = {run.fingerprint for run in self.ready.runs}
        complete = found is not None and asked <= found.fingerprints
        store.close_pairing(self.parent, found, failed=not complete)
        self.outcome.closed[self.parent] = self.pairing.task.name

    def _is_recorded(self, run: Run) -> bool:
        task = self.pairing.task.name
        return self.place.store.has(task, run.fingerprint, self.place.save_weights)

    def _start(self, run: Run) -> "RunLog":
        system = run.system
        parameters = {**flat(system.recipe), **flat(system.setup.options)}
        parameters |= {"seed": run.seed, "fold": run.fold.name}
        parameters |= pages.asked(self.pairing.record)
        return self.place.store.start(
            self.pairing.task.name,
            self.parent,
            run.fingerprint,
            run.fold.name,
            run.seed,
            parameters,
            self._tags(),
            system=self.pairing.record.label,
            corpus=self.corpus,
        )

    def _tags(self) -> dict[str, str]:
        record, ready = self.pairing.record, self.ready
        return {
            "backbone": record.backbone,
            "task": record.task,
            "mode": record.mode,
            "protocol": record.protocol,
            "scale": record.scale,
            "corpus": ready.division.corpus.checksum,
            "split": ready.division.split,
            "weights": record.weights or ready.weights.source,
            "weights_revision": ready.weights.digest,
            "code": code_version(),
            "hardware": hardware(self.place.device),
        }


def _title(pairing: Pairing) -> str:
    return f"{pairing.record.label} on {pairing.task.name}"
