"""A grid on a cluster: each feature of a clip computed once for all runs, each run done where there
is room for it.

Runs are recorded by those who do them. Of a corpus its decoded samples travel, through the cache,
and what is said of its clips; no path and no recording does.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_info

from bench.cluster import worker as node
from bench.cluster.feature_jobs import Features
from bench.cluster.pool import Call, Cluster, Ended, Need
from bench.runs.pairing import Pairing, Run
from bench.runs.runner import Worker, workers
from bench.runs.workplace import Outcome, Place, Say

MARGIN = 1.2  # memory that is set aside for a run, in what a run like it has taken at most
CONTEXT = 600  # MiB of a GPU that a process takes beside its arrays
READERS = 4  # processes that read batches for a whole GPU


@dataclass
class Group:
    """The runs of one pairing that are still to be done."""

    worker: Worker
    left: int
    measured: float | None  # MiB, the most that one of them has taken


@dataclass
class Job:
    """A run to be done. `alone`: it was begun before anybody knew what it takes."""

    run: Run
    group: Group
    patient: bool = False  # it waits for another process that has the run in hand
    alone: bool = False


def execute(
    cluster: Cluster, pairings: Sequence[Pairing], place: Place, fresh: bool, say: Say
) -> Outcome:
    """Run what is not recorded, as `bench.runs.runner.execute` does. A run whose workers die is
    recorded as failed.
    """
    outcome = Outcome()
    grid = _Grid(cluster, place, fresh, say, outcome)
    for worker in workers(pairings, place, say, outcome):
        grid.add(worker)
    grid.run()
    return outcome


def spread(
    cluster: Cluster,
    pairings: Sequence[Pairing],
    place: Place,
    work: Callable[..., None],
    count: int,
    say: Say,
) -> list[tuple[Pairing, str]]:
    """Do `work(pairing, place=..., say=...)` for each pairing on `count` workers at once, or as
    many as have room.

    `work` is a function of a module, or a `partial` of one. The pairings' features are made first.
    Gives what failed, and why; a worker that dies is replaced, at most twice.
    """
    sizes, told, failed = _Sizes(cluster), set[str](), dict[str, tuple[Pairing, str]]()
    site, need = _site(cluster, place, sizes), sizes.need(None)
    features = Features(cluster, site)
    ready = [(pairing, pairing.ready) for pairing in pairings if pairing.ready]
    for _, found in ready:
        features.want(found.system.features.values(), found.corpus, _clips(found.runs))
    features.start(need, sizes.slots(need))
    while cluster.under_way:
        cluster.ended(say)  # what could not be made fails where it is used
    for pairing, found in ready:
        for _ in range(min(count, sizes.slots(need))):
            arguments = (site, node.portable(pairing), features.sent(found.corpus), work)
            cluster.start(Call(node.work, arguments, need, pairing))
    while cluster.under_way:
        ended = cluster.ended(say)
        report = ended.value or node.Report(error=ended.lost)
        for text in report.said:
            if text not in told:  # all workers of a pairing come to the same end
                say(text)
        told.update(report.said)
        if report.error:
            failed[ended.call.key.key] = (ended.call.key, report.error)
    return list(failed.values())


class _Grid:
    """All runs that are to be done, in the order in which they are begun."""

    def __init__(
        self, cluster: Cluster, place: Place, fresh: bool, say: Say, outcome: Outcome
    ) -> None:
        self.cluster, self.place, self.fresh, self.say, self.outcome = (
            cluster,
            place,
            fresh,
            say,
            outcome,
        )
        self.sizes = _Sizes(cluster)
        self.site = _site(cluster, place, self.sizes)
        self.features = Features(cluster, self.site)
        self.jobs: list[Job] = []

    def add(self, worker: Worker) -> None:
        """Take in what a pairing has not recorded."""
        store, ready, keep = self.place.store, worker.ready, self.place.save_weights
        recorded = set() if self.fresh else store.recorded(worker.pairing.task.name, network=keep)
        waiting = [run for run in ready.runs if run.fingerprint not in recorded]
        self.outcome.already += len(ready.runs) - len(waiting)
        group = Group(worker, len(waiting), _most(worker) if waiting else None)
        for run in waiting:
            self.features.want(run.system.features.values(), ready.corpus, _clips([run]))
            self.jobs.append(Job(run, group))

    def run(self) -> None:
        """Bring every run to its end."""
        self.features.start(self.sizes.need(None), self.sizes.slots(self.sizes.need(None)))
        while self.jobs or self.cluster.under_way:
            self._begin()
            if self.cluster.under_way:
                ended = self.cluster.ended(self.say)
                if isinstance(ended.call.key, Job):
                    self._end(ended.call.key, ended)
                else:
                    self.features.end(ended)

    def _begin(self) -> None:
        """Start what can be started: of pairings that nobody has measured as many runs as there are
        whole GPUs.

        No more is started than keeps every node busy, so that an interrupt has little to call back.
        """
        under_way, waiting = self.cluster.under_way, list[Job]()
        alone = sum(call.key.alone for call in under_way.values() if isinstance(call.key, Job))
        for job in self.jobs:
            need = self.sizes.need(job.group.measured)
            job.alone = job.group.measured is None and not self.sizes.given
            corpus = job.group.worker.ready.corpus
            awaits = self.features.awaited(job.run.system.features.values(), corpus)
            if lost := next(filter(None, map(self.features.lost.get, awaits)), ""):
                self._give_up(job, lost)
            elif (
                len(under_way) >= 2 * self.sizes.slots(Need())
                or not self.features.pending.isdisjoint(awaits)
                or (job.alone and alone >= self.sizes.slots(need))
            ):
                waiting.append(job)
            else:
                alone += job.alone
                pairing, timeout = (
                    node.portable(job.group.worker.pairing, [job.run]),
                    -1.0 if job.patient else 0.0,
                )
                arguments = (
                    self.site,
                    pairing,
                    self.features.sent(corpus),
                    job.group.worker.parent,
                )
                self.cluster.start(Call(node.attempt, (*arguments, self.fresh, timeout), need, job))
        self.jobs = waiting

    def _end(self, job: Job, ended: Ended) -> None:
        report: node.Report = ended.value or node.Report(error=ended.lost)
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
            job.group.measured = _most(job.group.worker)
        self._settle(job.group)

    def _give_up(self, job: Job, reason: str) -> None:
        """Record a run as failed whose workers could not."""
        worker, run, store = job.group.worker, job.run, self.place.store
        pairing = worker.pairing
        log = store.start(
            pairing.task.name, worker.parent, run.fingerprint, run.fold.name, run.seed, {}, {}
        )
        log.fail(reason)
        self.outcome.failed += 1
        self.say(
            f"{pairing.record.label} on {pairing.task.name}, {run.fold.name}, seed {run.seed}: failed: {reason}"
        )
        self._settle(job.group)

    def _settle(self, group: Group) -> None:
        group.left -= 1
        if not group.left:
            group.worker.close()


class _Sizes:
    """What a run takes of a node: as the user says, or as was measured, or (a first run) a whole
    GPU.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.settings = cluster, cluster.settings
        self.threads = self.settings.cpus_per_run or torch.get_num_threads()
        self.given = bool(
            self.settings.gpus_per_run if cluster.gpu else self.settings.memory_per_run
        )

    def need(self, measured: float | None) -> Need:
        """For a run that takes so many MiB: of its GPU, or else of its node."""
        settings, gpu, memory = self.settings, self.cluster.gpu, self.settings.memory_per_run or 0
        if gpu is None:
            if measured and not memory:
                memory = min(math.ceil(measured * MARGIN), int(self.cluster.most("memory")))
            return Need(
                settings.cpus_per_run or min(self.threads, int(self.cluster.most("CPU"))),
                0.0,
                memory,
            )
        share = (measured * MARGIN + CONTEXT) / gpu.memory if measured else 1.0
        gpus = settings.gpus_per_run or _whole_share(share)
        return Need(
            settings.cpus_per_run or max(1, int(gpus * min(READERS, self._cpus_by_gpu()))),
            gpus,
            memory,
        )

    def slots(self, need: Need) -> int:
        """How many such runs the cluster has room for."""
        if need.gpus:
            return max(1, int(self.cluster.total("GPU") / need.gpus))
        return max(1, int(self.cluster.total("CPU") / need.cpus))

    def _cpus_by_gpu(self) -> float:
        return self.cluster.total("CPU") / max(1.0, self.cluster.total("GPU"))


def _site(cluster: Cluster, place: Place, sizes: _Sizes) -> node.Site:
    folder, cpus = place.folder.resolve(), cluster.settings.cpus_per_run
    blas = cpus or max(
        (pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1
    )
    return node.Site(
        place.store.uri,
        folder,
        place.cache,
        cluster.device,
        sizes.threads,
        blas,
        place.save_weights,
    )


def _clips(runs: Iterable[Run]) -> set[str]:
    return {
        clip
        for run in runs
        for part in (run.fold.train, run.fold.valid, run.fold.test)
        for clip in part
    }


def _most(worker: Worker) -> float | None:
    """MiB that a recorded run of the pairing has taken at most; None where there is none."""
    runs = worker.place.store.runs_of(worker.parent)
    return max(
        (run.peak_memory_mb for run in runs if run.status == "ok" and run.peak_memory_mb),
        default=None,
    )


def _whole_share(share: float) -> float:
    """The least 1/n of a GPU that holds the share, in the 4 digits that Ray counts."""
    return math.floor(10_000 / max(1, math.floor(1 / share))) / 10_000
