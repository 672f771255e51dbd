"""Recorded runs, out of a store and into one file, without audio."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.runs.archive import CORPUS, ArchivedRun, Group, Writer, written
from bench.runs.forgetting import Removal, every, removals
from bench.runs.lookup import Where
from bench.runs.mlflow_client import Run
from bench.runs.mlflow_runs import (
    DONE,
    NETWORK,
    PARENT,
    PREFIX,
    age,
    tagged,
    tags_of,
)
from bench.runs.pages import CONTEXT

if TYPE_CHECKING:
    from bench.runs.store import Store

# tags that name a person, or addresses of one store
LEFT_OUT = (
    PARENT,
    "mlflow.user",
    "mlflow.log-model",
    "mlflow.artifact",
)
KINDS = ("run", "trial")  # of children
SYSTEM = ("task", "backbone", "mode", "protocol", "scale")


@dataclass(frozen=True)
class Exported:
    """What has been written: `lost` runs could not be, because their artifacts are gone."""

    path: Path
    pairings: int
    runs: int
    searches: int
    lost: int

    @property
    def text(self) -> str:
        """In a sentence."""
        said = f"{self.path}: {self.runs} runs of {self.pairings} pairings"
        if self.searches:
            said += f", {self.searches} searches"
        if self.lost:
            said += f"; {self.lost} runs that have lost their artifacts are left out"
        return said


def export(
    store: "Store", path: Path, names: Sequence[str], where: Where, networks: bool
) -> Exported:
    """Write the runs that are meant, and the searches of their pairings.

    Args:
        store: where they are recorded.
        path: the file, which is replaced if it is there.
        names: as `bench forget` takes them; none: every pairing that `where` includes.
        where: restricts the pairings.
        networks: with the saved networks.

    Raises:
        UsageError: nothing is meant.
        ArchiveError: the file cannot be written.
    """
    found = removals(store, names, where) if names else list(every(store, where))
    with written(path) as writer:
        reader = _Reader(store, writer, networks)
        pairings = list(reader.pairings(found))
        searches = list(reader.searches(found, where, bool(names)))
        if not pairings and not searches:
            raise UsageError(
                f"nothing is recorded in {store.name} for what is asked: start with `bench run`"
            )
        writer.close([*pairings, *searches])
    runs = sum(len(group.runs) for group in pairings)
    return Exported(path, len(pairings), runs, len(searches), reader.lost)


class _Reader:
    def __init__(self, store: "Store", writer: Writer, networks: bool) -> None:
        self.store = store
        self.writer = writer
        self.networks = networks
        self.lost = 0

    def pairings(self, found: Iterable[Removal]) -> Iterator[Group]:
        """One group per pairing, whose parents may be several and whose folds of several kinds."""
        runs: dict[str, dict[str, Run]] = {}
        for removal in found:
            parent = removal.parents[-1]
            named = {run.info.run_id: run for run in removal.runs}
            runs.setdefault(parent, {}).update(named)
        for parent, children in runs.items():
            group = self._group(self.store.client.get_run(parent), children.values())
            if group:
                yield group

    def searches(
        self, found: Sequence[Removal], where: Where, named: bool
    ) -> Iterator[Group]:
        """Those of the pairings; where no pairing is named, all of what is asked."""
        meant = {_system(removal.pairing) for removal in found}
        for experiment in self.store.runs.experiments(where.task_names):
            query = tagged(kind="search")
            for search in sorted(self.store.runs.search(experiment, query), key=age):
                record: Any = self.store.reader.search(search)
                if record is None or (named and _system(record) not in meant):
                    continue
                if named or where.includes(record, of_corpus=False):
                    trials = self.store.runs.children(search.info.run_id)
                    group = self._group(search, trials)
                    if group:
                        yield group

    def _group(self, parent: Run, children: Iterable[Run]) -> Group | None:
        tags = tags_of(parent)
        experiment = self.store.client.get_experiment(parent.info.experiment_id)
        if "key" not in tags or "kind" not in tags:
            return None
        return Group(
            task=str(experiment.tags.get(f"{PREFIX}task", experiment.name)),
            kind=tags["kind"],
            key=tags["key"],
            parent=self._run(parent),
            runs=[self._run(run) for run in self._whole(children)],
        )

    def _whole(self, runs: Iterable[Run]) -> list[Run]:
        """The ended runs, oldest first: of one fingerprint one that succeeded, and the newest."""
        best: dict[str, Run] = {}
        for run in sorted(runs, key=_precedence):
            tags = tags_of(run)
            ended = run.info.status != "RUNNING"
            if not ended or tags.get("kind") not in KINDS or "fingerprint" not in tags:
                continue
            is_lost = run.info.status == DONE and tags["kind"] == "run"
            if is_lost and not self.store.reader.is_whole(run):
                self.lost += 1
                continue
            best[tags["fingerprint"]] = run
        return sorted(best.values(), key=age)

    def _run(self, run: Run) -> ArchivedRun:
        info, data = run.info, run.data
        tags = {name: text for name, text in data.tags.items() if _travels(name)}
        if not self.networks:
            tags.pop(f"{PREFIX}network", None)
        return ArchivedRun(
            name=str(info.run_name or ""),
            status=str(info.status),
            started=int(info.start_time or 0),
            ended=info.end_time,
            params=dict(data.params),
            tags=tags,
            metrics=self._metrics(run),
            files=self._files(run),
            inputs=list(_inputs(run)),
        )

    def _metrics(self, run: Run) -> list[tuple[str, float, int, int]]:
        found = []
        for name in sorted(run.data.metrics):
            for each in self.store.client.get_metric_history(run.info.run_id, name):
                found.append((name, each.value, each.timestamp, each.step))
        return found

    def _files(self, run: Run) -> dict[str, str]:
        """The artifacts of a run, all of them in the archive, by name."""
        found = {}
        for name in self._artifacts(run.info.run_id, ""):
            with TemporaryDirectory() as folder:
                client = self.store.client
                copy = client.download_artifacts(run.info.run_id, name, folder)
                found[name] = self.writer.add(Path(copy))
        return found

    def _artifacts(self, run: str, folder: str) -> Iterator[str]:
        for each in self.store.client.list_artifacts(run, folder or None):
            if each.path == NETWORK and not self.networks:
                continue
            if each.is_dir:
                yield from self._artifacts(run, each.path)
            else:
                yield each.path


def _inputs(run: Run) -> Iterator[dict[str, str]]:
    """The corpora of a run, as MLflow knows them."""
    known = run.inputs.dataset_inputs if run.inputs else ()
    for each in known:
        contexts = [tag.value for tag in each.tags if tag.key == CONTEXT]
        found = {"context": "".join(contexts)}
        for name in CORPUS:
            if name not in found:
                value = getattr(each.dataset, name)
                found[name] = value or ""
        yield found


def _travels(tag: str) -> bool:
    return not tag.startswith(LEFT_OUT)


def _precedence(run: Run) -> tuple[bool, Any]:
    succeeded = run.info.status == DONE
    own_age = age(run)
    return succeeded, own_age


def _system(record: Any) -> tuple[str, ...]:
    """What a pairing and its search have in common."""
    facts = [getattr(record, name) for name in SYSTEM]
    return tuple(facts)
