"""What a node of a cluster does: one run of a pairing, some clips of a feature, a share of a
search.

What it is sent holds no recording, and of a private task no path: of a corpus there are what is
said of its clips, and the hashes under which the cache has their samples.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from bench.contracts.clip import Clip, Recording
from bench.contracts.feature import Feature
from bench.contracts.task import Protocol, Task
from bench.data.cache import Cache
from bench.data.corpus import Corpus
from bench.features.extraction import extract
from bench.paths import home
from bench.runs.pairing import Pairing, Run
from bench.runs.runner import Worker
from bench.runs.store import Store
from bench.runs.workplace import Outcome, Place, explain
from bench.training import devices


@dataclass(frozen=True)
class Site:
    """What a node must know to be a `Place`."""

    uri: str
    results: Path
    cache: Cache
    device: str
    threads: int  # of torch
    # threads of NumPy's linear algebra: like torch's, their number decides about the last bits of a
    # result
    blas: int
    save_weights: bool

    def place(self) -> Place:
        """This node as one: with the results folder where it is seen, and with its own copy of a
        cache behind a URL.
        """
        torch.set_num_threads(self.threads)
        os.environ["OMP_NUM_THREADS"] = str(self.blas)  # for what is not loaded yet
        threadpool_limits(self.blas, "blas")
        if self.device == "cpu":
            devices.keep_memory()
        folder = self.results if self.results.is_dir() else home() / "work"
        cache = Cache(home() / "cache", self.cache.remote) if self.cache.remote else self.cache
        return Place(
            _store(self.uri, folder), cache, folder, torch.device(self.device), self.save_weights
        )


@dataclass(frozen=True)
class Report:
    """What a node says of its work."""

    said: Sequence[str] = ()
    outcome: Outcome = field(default_factory=Outcome)
    busy: bool = False  # another process has it in hand
    error: str = ""  # why it could not even be recorded


def portable(pairing: Pairing, runs: Sequence[Run] | None = None) -> Pairing:
    """The pairing without its corpus, which is sent apart, and with these runs (None: its own)."""
    task, ready = _Named(pairing.task), pairing.ready
    assert ready
    ready = dataclasses.replace(
        ready, corpus=Corpus(task, (), {}, {}), runs=ready.runs if runs is None else tuple(runs)
    )
    return dataclasses.replace(pairing, task=task, ready=ready)


def part(corpus: Corpus, ids: Sequence[str]) -> Corpus:
    """Some clips of a corpus, without their recordings."""
    clips = tuple(dataclasses.replace(corpus.by_id[id], audio=Recording()) for id in ids)
    return Corpus(
        _Named(corpus.task),
        clips,
        {id: corpus.content[id] for id in ids},
        {id: corpus.seconds[id] for id in ids},
    )


def attempt(
    site: Site, pairing: Pairing, corpus: Corpus, parent: str, fresh: bool, timeout: float
) -> Report:
    """Do and record the one run of the pairing."""
    said, outcome = list[str](), Outcome()
    try:
        pairing, place = _whole(pairing, corpus), site.place()
        assert pairing.ready
        worker = Worker(pairing, pairing.ready, parent, place, said.append, outcome)
        (run,) = pairing.ready.runs
        done = worker.attempt(run, fresh, timeout)
    except Exception as error:
        return Report(said, outcome, error=explain(error, pairing.task.private)[0])
    return Report(said, outcome, busy=not done)


def make(site: Site, feature: Feature, corpus: Corpus) -> Report:
    """Put the feature of all clips of a part into the cache."""
    try:
        place = site.place()
        extract(feature, corpus, place.cache, place.device, progress=False)
    except Exception as error:
        return Report(error=explain(error, corpus.task.private)[0])
    return Report()


def work(site: Site, pairing: Pairing, corpus: Corpus, do: Callable[..., None]) -> Report:
    """Any work on a pairing."""
    said = list[str]()
    try:
        do(_whole(pairing, corpus), place=site.place(), say=said.append)
    except Exception as error:
        return Report(said, error=explain(error, pairing.task.private)[0])
    return Report(said)


class _Named(Task):
    """All that a run must know of its task."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.name)
        for name in ("labels", "languages", "positive", "multilabel", "private"):
            setattr(self, name, getattr(task, name))

    def clips(self, root: Path | None) -> list[Clip]:
        raise NotImplementedError

    def protocols(self) -> dict[str, Protocol]:
        raise NotImplementedError


def _whole(pairing: Pairing, corpus: Corpus) -> Pairing:
    """What `portable` took apart."""
    assert pairing.ready
    return dataclasses.replace(pairing, ready=dataclasses.replace(pairing.ready, corpus=corpus))


@lru_cache(maxsize=4)
def _store(uri: str, folder: Path) -> Store:
    """Opened once by a process for all its runs."""
    return Store(uri, folder)
