"""Runs and searches from their settings, in this process or on a cluster."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from bench import table_file
from bench.errors import BenchError, UsageError, refused
from bench.options import build
from bench.progress import display
from bench.progress.display import say
from bench.progress.screens import Problem
from bench.settings import Settings, Tuning, data_of

if TYPE_CHECKING:
    import torch

    from bench.cluster.pool import Cluster
    from bench.contracts.task import Task
    from bench.data.cache import Cache
    from bench.data.corpus import Corpus
    from bench.runs.pairing import Pairing
    from bench.runs.selection import Selection
    from bench.runs.system import Precision
    from bench.runs.workplace import Outcome, Place


@dataclass(frozen=True)
class Job:
    """What became of a command: its pairings, where they ran, and how they ended."""

    pairings: "Sequence[Pairing]"
    place: "Place"
    outcome: "Outcome | None" = None  # None: nothing was to be run
    failed_searches: int = 0

    @property
    def tasks(self) -> list[str]:
        """The tasks of the pairings, each once."""
        return list(dict.fromkeys(pairing.task.name for pairing in self.pairings))

    @property
    def corpora(self) -> dict[str, str]:
        """The checksum of each task's corpus, where it could be loaded."""
        records = [pairing.record for pairing in self.pairings]
        return {record.task: record.corpus for record in records if record.corpus}

    @property
    def backbones(self) -> list[str]:
        """The backbones of the pairings with their variants, each once."""
        return list(dict.fromkeys(pairing.record.backbone for pairing in self.pairings))


def run(settings: Settings, own: "Selection | None" = None) -> Job:
    """Plan the pairings, and run them unless `settings.dry_run`. `own`: plugins that are objects.

    Raises:
        BenchError: if a setting is wrong or the cluster does not answer. A corpus or a run that
            fails is part of the result.
    """
    from bench.runs.selection import select

    selection = select(settings, own)
    with _display(settings), _cluster(settings) as cluster:
        pairings, place = _plan(selection, settings, cluster)
        if settings.recipe == "tuned":
            pairings = _tuned(pairings, place)
        if settings.dry_run:
            return Job(pairings, place)
        return Job(pairings, place, _execute(pairings, place, settings, cluster))


def tune(settings: Settings, search_only: bool, own: "Selection | None" = None) -> Job:
    """Search each pairing, then run it with its default recipe and with the one that was chosen.

    Raises:
        BenchError: as `run`. A search that fails is counted, and does not stop the others.
    """
    from bench.runs.selection import select

    tuning = build(Tuning, settings.tune, "[tune] in bench.toml or on the command line")
    selection = select(settings, own)
    with _display(settings), _cluster(settings) as cluster:
        pairings, place = _plan(selection, settings, cluster)
        failed = _search(pairings, place, settings, tuning, cluster)
        if search_only:
            return Job(pairings, place, failed_searches=failed)
        tuned = [pairing for pairing in _tuned(pairings, place) if pairing.ready]
        pairings = [*pairings, *tuned]
        return Job(
            pairings, place, _execute(pairings, place, settings, cluster), failed
        )


def corpora(
    tasks: "Sequence[Task]", settings: Settings, files: Sequence[Path] = ()
) -> "list[Corpus]":
    """The corpora of tasks.

    Args:
        tasks: the tasks.
        settings: where their corpora and the cache are.
        files: to which the division into folds is written.

    Raises:
        UsageError: a path of `--data` belongs to no task, or a file cannot be written.
        CorpusError: if one of them cannot be used.
    """
    from bench.runs.selection import check_names

    task_names = [name for task in tasks for name in task.names]
    check_names("--data", settings.data, task_names, "task")
    for file in files:
        table_file.check(file)
    held = cache(settings)
    loaded = [corpus(task, settings, held) for task in tasks]
    for file in files:
        from bench.data.fold_table import COLUMNS, fold_lines

        lines = chain.from_iterable(map(fold_lines, loaded))
        table_file.write(file, COLUMNS, lines)
    return loaded


def corpus(task: "Task", settings: Settings, cache: "Cache") -> "Corpus":
    """The task's corpus, decoded into the cache. Raises CorpusError if it cannot be used."""
    from bench.data.corpus import load

    with _display(settings):
        return load(task, data_of(task, settings.data), cache, settings.skip_bad_audio)


def cache(settings: Settings) -> "Cache":
    """The cache that the settings name."""
    from bench.data.cache import Cache

    return Cache.at(settings.cache)


def _display(settings: Settings) -> AbstractContextManager[None]:
    return display.shown(settings.quiet, settings.verbose)


@contextmanager
def _cluster(settings: Settings) -> "Iterator[Cluster | None]":
    """What runs are spread over; None: this process does them."""
    if settings.executor == "local":
        yield None
        return
    from bench.cluster.connect import connect

    with connect(settings) as cluster:
        yield cluster


def _plan(
    selection: "Selection", settings: Settings, cluster: "Cluster | None"
) -> "tuple[list[Pairing], Place]":
    """The pairings of a command, and where they run."""
    from bench.runs import namesakes, plan
    from bench.runs.store import Store
    from bench.runs.workplace import Place

    held = cache(settings)
    device, precision = _device(settings, cluster)
    pairings = plan.plan(
        selection, settings, lambda task: corpus(task, settings, held), precision
    )
    store = Store(settings.tracking_uri, settings.results)
    for sentence in namesakes.warnings(pairings, store):
        display.say(Problem(sentence))
    return pairings, Place(store, held, settings.results, device, settings.save_weights)


def _device(
    settings: Settings, cluster: "Cluster | None"
) -> "tuple[torch.device, Precision]":
    """Where networks are trained, and the number format that a recipe gets there."""
    import torch

    from bench.training import devices

    if cluster:
        device, precision = torch.device(cluster.device), cluster.precision
    else:
        device = devices.choose(settings.device)
        precision = partial(devices.precision, device=device)
    if device.type == "cpu":
        devices.keep_memory()
    if settings.precision == "fp16" and device.type != "cuda":
        raise UsageError(
            f"--precision fp16 needs a CUDA GPU, and this run is on {device}: use fp32 or bf16"
        )
    return device, precision


def _tuned(pairings: "Sequence[Pairing]", place: "Place") -> "list[Pairing]":
    from bench.runs.tuned import tuned
    from bench.search.tune import chosen

    return [tuned(pairing, chosen(place.store)) for pairing in pairings]


def _search(
    pairings: "Sequence[Pairing]",
    place: "Place",
    settings: Settings,
    tuning: Tuning,
    cluster: "Cluster | None",
) -> int:
    """Search every pairing that can run; how many searches failed."""
    ready = [pairing for pairing in pairings if pairing.ready]
    if cluster:
        failures = _search_on_cluster(cluster, ready, place, settings, tuning)
    else:
        failures = _search_here(ready, place, settings, tuning)
    failed = 0
    for pairing, reason in failures:
        failed += 1
        label = f"{pairing.record.label} on {pairing.task.name}"
        say(Problem(f"{label}: the search failed: {reason}"))
    return failed


def _search_on_cluster(
    cluster: "Cluster",
    pairings: "Sequence[Pairing]",
    place: "Place",
    settings: Settings,
    tuning: Tuning,
) -> "Iterable[tuple[Pairing, str]]":
    """The searches that failed, with their reasons."""
    from bench.cluster import grid
    from bench.search.tune import tune

    on_one_machine = (tuning.storage or "sqlite").startswith("sqlite")
    if cluster.several and on_one_machine:
        raise UsageError(
            "a search on several machines needs a database that all of them reach: --storage URL"
        )
    portable = replace(settings, task=(), data={})  # without the paths of this machine
    search = partial(tune, settings=portable, tuning=tuning)
    return grid.spread(cluster, pairings, place, search, tuning.trials, say)


def _search_here(
    pairings: "Sequence[Pairing]", place: "Place", settings: Settings, tuning: Tuning
) -> "Iterator[tuple[Pairing, str]]":
    """The searches that fail, with their reasons: the others go on."""
    from bench.search.tune import tune

    for number, pairing in enumerate(pairings, start=1):
        label = f"{pairing.record.label} on {pairing.task.name}"
        display.at(f"search {number} of {len(pairings)}", label)
        try:
            tune(pairing, settings, tuning, place, say)
        except UsageError:
            raise
        except BenchError as error:
            yield pairing, str(error)
        except OSError as error:
            yield pairing, refused(error, private=pairing.task.private)


def _execute(
    pairings: "Sequence[Pairing]",
    place: "Place",
    settings: Settings,
    cluster: "Cluster | None",
) -> "Outcome":
    if cluster:
        from bench.cluster import grid

        return grid.execute(cluster, pairings, place, settings.fresh, say)
    from bench.runs import runner

    return runner.execute(pairings, place, settings.fresh, say)
