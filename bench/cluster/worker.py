"""What a node of a cluster does: one run of a pairing, a shard of a feature, a share of a search.

Its arguments hold no recording, and no path of a private task: of a corpus they hold the metadata
of its clips and the hashes under which the cache has their samples.
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
    """What a node must know to work like the process that sent it."""

    uri: str
    results: Path
    cache: Cache
    device: str
    threads: int  # of torch
    blas: int  # threads of NumPy's linear algebra; their number changes the last bits of a result
    save_weights: bool

    def place(self) -> Place:
        """The same place on this node, with its process set up for runs.

        The results folder is the sender's if this node sees it; a cache behind a URL has a copy on
        each node.
        """
        torch.set_num_threads(self.threads)
        os.environ["OMP_NUM_THREADS"] = str(
            self.blas
        )  # for libraries that are loaded later
        threadpool_limits(self.blas, "blas")
        if self.device == "cpu":
            devices.keep_memory()
        folder = self.results if self.results.is_dir() else home() / "work"
        cache = self.cache
        if cache.remote:
            cache = Cache(home() / "cache", cache.remote)
        device = torch.device(self.device)
        return Place(_store(self.uri, folder), cache, folder, device, self.save_weights)


@dataclass(frozen=True)
class Report:
    """What a node returns of its work."""

    said: Sequence[str] = ()
    outcome: Outcome = field(default_factory=Outcome)
    busy: bool = False  # another process has the run in hand
    error: str = ""  # why nothing could be recorded


def portable(pairing: Pairing, runs: Sequence[Run] | None = None) -> Pairing:
    """The pairing with these runs (None: its own) and without its corpus, which is sent apart."""
    ready = pairing.ready
    assert ready
    task = _Named(pairing.task)
    empty = Corpus(task, (), {}, {})
    kept = ready.runs if runs is None else tuple(runs)
    ready = dataclasses.replace(ready, runs=kept).with_corpus(empty)
    return dataclasses.replace(pairing, task=task, ready=ready)


def without_audio(corpus: Corpus, ids: Sequence[str]) -> Corpus:
    """Some clips of a corpus, without their recordings."""
    task = _Named(corpus.task)
    clips: list[Clip] = []
    content: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for id in ids:
        clip = corpus.by_id[id]
        silent = dataclasses.replace(clip, audio=Recording())
        clips.append(silent)
        content[id] = corpus.content[id]
        seconds[id] = corpus.seconds[id]
    return Corpus(task, tuple(clips), content, seconds)


def attempt_run(
    site: Site,
    pairing: Pairing,
    corpus: Corpus,
    parent: str,
    fresh: bool,
    timeout: float,
) -> Report:
    """Do and record the pairing's only run; `timeout`: s to wait for a process that has it."""
    said: list[str] = []
    outcome = Outcome()
    try:
        pairing = _whole(pairing, corpus)
        assert pairing.ready
        worker = Worker(
            pairing, pairing.ready, parent, site.place(), said.append, outcome
        )
        (run,) = pairing.ready.runs
        done = worker.attempt(run, fresh, timeout)
    except Exception as error:
        return Report(said, outcome, error=_reason(error, pairing))
    return Report(said, outcome, busy=not done)


def extract_feature(site: Site, feature: Feature, corpus: Corpus) -> Report:
    """Put the feature of all clips of the corpus into the cache."""
    try:
        place = site.place()
        extract(feature, corpus, place.cache, place.device)
    except Exception as error:
        reason, _ = explain(error, corpus.task.private)
        return Report(error=reason)
    return Report()


def do_work(
    site: Site, pairing: Pairing, corpus: Corpus, work: Callable[..., None]
) -> Report:
    """Call `work(pairing, place=..., say=...)`."""
    said: list[str] = []
    try:
        work(_whole(pairing, corpus), place=site.place(), say=said.append)
    except Exception as error:
        return Report(said, error=_reason(error, pairing))
    return Report(said)


class _Named(Task):
    """A task without its clips and protocols: all that a run needs of it."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.name)
        for name in ("labels", "languages", "positive", "multilabel", "private"):
            setattr(self, name, getattr(task, name))

    def clips(self, root: Path | None) -> list[Clip]:
        raise NotImplementedError

    def protocols(self) -> dict[str, Protocol]:
        raise NotImplementedError


def _reason(error: Exception, pairing: Pairing) -> str:
    reason, _ = explain(error, pairing.task.private)
    return reason


def _whole(pairing: Pairing, corpus: Corpus) -> Pairing:
    """A pairing that `portable` sent, with its corpus."""
    assert pairing.ready
    ready = pairing.ready.with_corpus(corpus)
    return dataclasses.replace(pairing, ready=ready)


@lru_cache(maxsize=4)
def _store(uri: str, folder: Path) -> Store:
    """A store that a process opens once for all its runs."""
    return Store(uri, folder)
