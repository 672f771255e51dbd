"""Runs of an archive, into a store that has them, some of them or none."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.runs.archive import Archive, ArchivedRun, Group
from bench.runs.mlflow_client import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
    StoreError,
    impatient,
)
from bench.runs.mlflow_runs import (
    DONE,
    PAGE,
    PARENT,
    PREFIX,
    own_tags,
    tagged,
    tags_of,
)
from bench.runs.pages import CONTEXT
from bench.runs.run_locks import held

if TYPE_CHECKING:
    from bench.runs.store import Store

AGAIN = "end that, or wait for it, and import again"
TAGS = 100  # tags, or parameters, of one request


@dataclass
class Imported:
    """How many runs and trials were added, and how many had been there."""

    added: int = 0
    before: int = 0

    @property
    def text(self) -> str:
        """In a sentence."""
        return f"{self.added} runs added, {self.before} there before"


def load(archive: Archive, store: "Store", results: Path) -> Imported:
    """Add what the store lacks. A run is recorded as a whole or not at all.

    `results`: the folder with the locks of runs under way.

    Raises:
        BenchError: another process is doing one of the runs.
    """
    counts = Imported()
    target = _Target(archive, store, results)
    for group in archive.groups:
        for added in target.add(group):
            if added:
                counts.added += 1
            else:
                counts.before += 1
    return counts


class _Target:
    def __init__(self, archive: Archive, store: "Store", results: Path) -> None:
        self.archive = archive
        self.store = store
        self.client = store.client
        self.results = results

    def add(self, group: Group) -> Iterator[bool]:
        """Add a group's runs, and say of each whether it was added.

        A search counts once it is complete, so that its trials come first.
        """
        experiment = self.store.runs.experiment(group.task)
        parent = self._open(group)
        was_there = _moment(tags_of(self.client.get_run(parent))) > 0
        if group.kind == "pairing":
            self._renew(parent, group.parent)

        has_more = False
        for run in group.runs:
            fingerprint = own_tags(run.tags)["fingerprint"]
            with held(self.results, fingerprint, run.name, AGAIN):
                is_new = self._add(run, experiment, parent, group.task)
            has_more = has_more or is_new
            yield is_new

        if group.kind == "search":
            self._renew(parent, group.parent)
        elif was_there and has_more:
            # the next `bench run` adds up anew
            self.store.runs.tag(parent, {"totals": ""})

    def _open(self, group: Group) -> str:
        """The id of the group's parent, which is created if there is none."""
        run = group.parent
        return self.store.runs.parent(
            group.task,
            group.kind,
            group.key,
            run.name,
            "bench import",
            run.started,
        )

    def _renew(self, parent: str, run: ArchivedRun) -> None:
        """Give a pairing or a search the record of the archive, unless its own is as new.

        Why a pairing failed is told of a new one alone: it might have succeeded here.
        """
        own = tags_of(self.client.get_run(parent))
        tags = dict(run.tags)
        was_opened = _moment(own)
        opened = _moment(own_tags(tags))
        if was_opened >= opened:
            return
        if was_opened:
            tags.pop(f"{PREFIX}failed", None)
        self._write(parent, run, tags)
        if run.status != "RUNNING":
            self.client.set_terminated(parent, run.status, run.ended)

    def _add(self, run: ArchivedRun, experiment: str, parent: str, task: str) -> bool:
        fingerprint = own_tags(run.tags)["fingerprint"]
        query = tagged(fingerprint=fingerprint)
        earlier = list(self.store.runs.search(experiment, query))
        if self._is_there(run, earlier, task):
            return False
        tags = {**run.tags, PARENT: parent}
        created = self.client.create_run(experiment, run.started, tags, run.name)
        name = created.info.run_id
        try:
            self._write(name, run, {})
            self.client.set_terminated(name, run.status, run.ended)
        except BaseException:
            with suppress(StoreError), impatient():
                self.client.delete_run(name)
            raise
        for each in earlier:
            self.client.delete_run(each.info.run_id)
        return True

    def _is_there(self, run: ArchivedRun, earlier: list[Run], task: str) -> bool:
        """Whether the store has a run that says as much; one that never ended says nothing."""
        tags = own_tags(run.tags)
        kind = tags.get("kind")
        statuses = {each.info.status for each in earlier}
        ended = statuses - {"RUNNING"}
        if run.status != DONE:
            return bool(ended)
        if kind != "run":
            return DONE in ended
        fingerprint = tags["fingerprint"]
        network = "network" in tags
        return self.store.has(task, fingerprint, network)

    def _write(self, name: str, run: ArchivedRun, tags: Mapping[str, str]) -> None:
        """Artifacts first, tags last: they make a pairing, and a search, count."""
        self._write_files(name, run)
        params = list(starmap(Param, run.params.items()))
        metrics = list(starmap(Metric, run.metrics))
        in_order = sorted(tags.items(), key=_last)
        named = list(starmap(RunTag, in_order))
        for part in _parts(params, TAGS):
            self.client.log_batch(name, params=part)
        for part in _parts(metrics, PAGE):
            self.client.log_batch(name, metrics=part)
        corpora = list(map(_corpus, run.inputs))
        if corpora:
            self.client.log_inputs(name, corpora)
        for part in _parts(named, TAGS):
            self.client.log_batch(name, tags=part)

    def _write_files(self, name: str, run: ArchivedRun) -> None:
        if not run.files:
            return
        with TemporaryDirectory() as folder:
            self.archive.unpack(run, Path(folder))
            self.client.log_artifacts(name, folder)


def _corpus(known: Mapping[str, str]) -> DatasetInput:
    fields = dict(known)
    context = fields.pop("context")
    tags = [InputTag(CONTEXT, context)] if context else []
    return DatasetInput(Dataset(**fields), tags)


def _moment(tags: Mapping[str, str]) -> float:
    """When a pairing was opened, or a search completed, in s since the epoch; 0: not yet."""
    try:
        return float(tags.get("updated") or tags.get("complete") or 0)
    except ValueError:
        return 0.0


def _last(tag: tuple[str, str]) -> tuple[bool, str]:
    """A key by which the tags that make a parent count come last."""
    name, _ = tag
    counts = name.endswith((".updated", ".complete"))
    return counts, name


def _parts(items: list[Any], length: int) -> Iterator[list[Any]]:
    starts = range(0, len(items), length)
    for start in starts:
        end = start + length
        yield items[start:end]
