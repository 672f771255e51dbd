"""A grid on a cluster: each feature of a clip computed once for all runs, each run where it fits.

Runs are recorded by the nodes that run them. What travels of a corpus are its decoded samples,
through the cache, and the metadata of its clips; no path and no recording does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_info

from bench.cluster.feature_jobs import Features
from bench.cluster.pool import Call, Cluster, Ended, Need
from bench.cluster.sizes import Sizes
from bench.cluster.worker import Report, Site, attempt_run, do_work, portable
from bench.progress import display
from bench.progress.screens import Problem
from bench.runs import pages
from bench.runs.pairing import Pairing, Run
from bench.runs.runner import Worker, record_failure, workers
from bench.runs.workplace import Outcome, Place, Say

AHEAD = 2  # calls under way per slot: nodes stay busy, and an interrupt has little to cancel


@dataclass
class Group:
    """The runs of one pairing that are not recorded yet."""

    worker: Worker
    left: int
    measured: float | None  # MiB, the most that one of its runs has used


@dataclass
class Job:
    """A run to be done."""

    run: Run
    group: Group
    patient: bool = False  # another process has the run in hand: wait for it
    alone: bool = False  # started before it was known what such a run uses


def execute(
    cluster: Cluster, pairings: Sequence[Pairing], place: Place, fresh: bool, say: Say
) -> Outcome:
    """Run what is not recorded, as `bench.runs.runner.execute` does.

    A run whose workers die is recorded as failed.
    """
    outcome = Outcome()
    grid = _Grid(cluster, place, fresh, say, outcome)
    for worker in workers(pairings, place, say, outcome):
        grid.add(worker)
    try:
        grid.run()
    except BaseException as error:
        grid.cut_short(error)
        raise
    return outcome


def spread(
    cluster: Cluster,
    pairings: Sequence[Pairing],
    place: Place,
    work: Callable[..., None],
    count: int,
    say: Say,
) -> list[tuple[Pairing, str]]:
    """Call `work(pairing, place=..., say=...)` for each pairing on `count` workers at once.

    Fewer workers are used where the cluster has no room for all. `work` is a function of a module,
    or a `partial` of one. The pairings' features are extracted first. Returns the pairings that
    failed, each with its reason; a worker that dies is replaced at most twice.
    """
    sizes = Sizes(cluster)
    need = sizes.need(None)
    features = Features(cluster, _site(cluster, place, sizes))
    able = [pairing for pairing in pairings if pairing.ready]
    for pairing in able:
        _want(features, pairing)
    features.start(need, sizes.slots(need))
    while cluster.under_way:
        cluster.ended(say)  # what could not be extracted fails where it is used
    workers_each = min(count, sizes.slots(need))
    for pairing in able:
        call = _work_call(features, pairing, work, need)
        for _ in range(workers_each):
            cluster.start(Call(call.function, call.arguments, need, pairing))
    return _failures(cluster, say)


def _want(features: Features, pairing: Pairing) -> None:
    ready = pairing.ready
    assert ready
    read = ready.system.features.values()
    clips = _clips(ready.runs)
    features.want(read, ready.division.corpus, clips)


def _work_call(
    features: Features, pairing: Pairing, work: Callable[..., None], need: Need
) -> Call:
    assert pairing.ready
    arguments = (
        features.site,
        portable(pairing),
        features.sent(pairing.ready.division.corpus),
        work,
    )
    return Call(do_work, arguments, need, pairing)


def _failures(cluster: Cluster, say: Say) -> list[tuple[Pairing, str]]:
    """Wait for all work; the pairings that failed, each with its reason."""
    failed: dict[str, tuple[Pairing, str]] = {}
    told: set[str] = set()
    while cluster.under_way:
        ended = cluster.ended(say)
        report = ended.value or Report(error=ended.lost)
        for text in report.said:
            if text not in told:  # all workers of a pairing report the same results
                say(text)
        told.update(report.said)
        pairing = ended.call.key
        if report.error:
            failed[pairing.key] = (pairing, report.error)
    return list(failed.values())


class _Grid:
    """All runs to be done, in the order in which they are started."""

    def __init__(
        self, cluster: Cluster, place: Place, fresh: bool, say: Say, outcome: Outcome
    ) -> None:
        self.cluster = cluster
        self.place = place
        self.fresh = fresh
        self.say = say
        self.outcome = outcome
        self.sizes = Sizes(cluster)
        self.site = _site(cluster, place, self.sizes)
        self.features = Features(cluster, self.site)
        self.jobs: list[Job] = []
        self.groups: list[Group] = []

    def add(self, worker: Worker) -> None:
        """Add the runs of a pairing that are not recorded."""
        ready = worker.ready
        recorded: set[str] = set()
        if not self.fresh:
            task = worker.pairing.task.name
            asked = {run.fingerprint for run in ready.runs}
            recorded = self.place.store.recorded(
                task, self.place.save_weights, among=asked
            )
        waiting = [run for run in ready.runs if run.fingerprint not in recorded]
        self.outcome.already += len(ready.runs) - len(waiting)
        if not waiting:
            if not self.place.store.is_closed(worker.parent):
                worker.close()
            return
        group = Group(worker, len(waiting), _most_memory(worker))
        self.groups.append(group)
        for run in waiting:
            features = run.system.features.values()
            self.features.want(features, ready.division.corpus, _clips([run]))
            self.jobs.append(Job(run, group))

    def run(self) -> None:
        """Run every job to its end."""
        need = self.sizes.need(None)
        self.features.start(need, self.sizes.slots(need))
        with display.step("cluster", len(self.jobs), "runs") as self.step:
            while self.jobs or self.cluster.under_way:
                self._start_jobs()
                if self.cluster.under_way:
                    self._await_one()

    def cut_short(self, why: BaseException) -> None:
        """End the pairings that have not ended."""
        for group in self.groups:
            parent = group.worker.parent
            if parent not in self.outcome.closed:
                self.place.store.cut_short(parent, why)

    def _await_one(self) -> None:
        """Wait until a run or a shard of features has ended."""
        ended = self.cluster.ended(self.say)
        if isinstance(ended.call.key, Job):
            self._end(ended.call.key, ended)
        else:
            self.features.end(ended)

    def _start_jobs(self) -> None:
        """Start the jobs that can start; give up those whose features cannot be extracted."""
        most = AHEAD * self.sizes.slots(Need())
        waiting: list[Job] = []
        for job in self.jobs:
            awaited = self._awaited(job)
            lost = self.features.lost_reason(awaited)
            if lost:
                self._give_up(job, lost)
            elif len(self.cluster.under_way) >= most or self._must_wait(job, awaited):
                waiting.append(job)
            else:
                self._start(job)
        self.jobs = waiting

    def _awaited(self, job: Job) -> set[int]:
        """The shards of features that a job depends on."""
        features = job.run.system.features.values()
        corpus = job.group.worker.ready.division.corpus
        return self.features.awaited(features, corpus)

    def _must_wait(self, job: Job, awaited: set[int]) -> bool:
        """Whether features are missing, or as many unmeasured runs as fit are under way."""
        if not self.features.pending.isdisjoint(awaited):
            return True
        job.alone = job.group.measured is None and not self.sizes.given
        if not job.alone:
            return False
        alone = 0
        for call in self.cluster.under_way.values():
            if isinstance(call.key, Job) and call.key.alone:
                alone += 1
        need = self._need(job)
        return alone >= self.sizes.slots(need)

    def _need(self, job: Job) -> Need:
        return self.sizes.need(job.group.measured)

    def _start(self, job: Job) -> None:
        worker = job.group.worker
        arguments = (
            self.site,
            portable(worker.pairing, [job.run]),
            self.features.sent(worker.ready.division.corpus),
            worker.parent,
            self.fresh,
            -1.0
            if job.patient
            else 0.0,  # s to wait for another process; -1: without end
        )
        self.cluster.start(Call(attempt_run, arguments, self._need(job), job))

    def _end(self, job: Job, ended: Ended) -> None:
        report: Report = ended.value or Report(error=ended.lost)
        for text in report.said:
            self.say(text)
        if report.busy:
            job.patient = True
            self.jobs.append(job)
            return
        if report.error:
            self._give_up(job, report.error)
            return

        self.outcome.done += report.outcome.done
        self.outcome.already += report.outcome.already
        self.outcome.failed += report.outcome.failed
        if job.group.measured is None and report.outcome.done:
            job.group.measured = _most_memory(job.group.worker)
        self._settle(job.group)

    def _give_up(self, job: Job, reason: str) -> None:
        """Record a run as failed that no worker could record."""
        run = job.run
        worker = job.group.worker
        task = worker.pairing.task.name
        fold = run.fold.name
        log = self.place.store.start(
            task,
            worker.parent,
            run.fingerprint,
            fold,
            run.seed,
            parameters=pages.asked(worker.pairing.record),
            tags={},
            system=worker.pairing.record.label,
            corpus=worker.corpus,
        )
        record_failure(log, reason, "", self.say)
        self.outcome.failed += 1
        system = worker.pairing.record.label
        label = f"{system} on {task}, {fold}, seed {run.seed}"
        self.say(Problem(f"{label}: failed: {reason}"))
        self._settle(job.group)

    def _settle(self, group: Group) -> None:
        self.step.advance()
        group.left -= 1
        if not group.left:
            group.worker.close()


def _site(cluster: Cluster, place: Place, sizes: Sizes) -> Site:
    return Site(
        uri=place.store.uri,
        results=place.folder.resolve(),
        cache=place.cache,
        device=cluster.device,
        threads=sizes.threads,
        blas=cluster.settings.cpus_per_run or _blas_threads(),
        save_weights=place.save_weights,
    )


def _blas_threads() -> int:
    """The number of threads of NumPy's linear algebra in this process."""
    pools: list[dict[str, Any]] = threadpool_info()
    threads = [1]
    for pool in pools:
        if pool["user_api"] == "blas":
            threads.append(pool["num_threads"])
    return max(threads)


def _clips(runs: Iterable[Run]) -> set[str]:
    clips: set[str] = set()
    for run in runs:
        clips.update(run.fold.train, run.fold.valid, run.fold.test)
    return clips


def _most_memory(worker: Worker) -> float | None:
    """MiB that a recorded run of the pairing has used at most; None if there is none."""
    peaks = []
    for run in worker.place.store.runs_of(worker.parent):
        if run.status == "ok" and run.peak_memory_mb:
            peaks.append(run.peak_memory_mb)
    return max(peaks, default=None)
