"""The removal of recorded runs, which MLflow can undo until `mlflow gc`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError, and_more, suggest
from bench.runs.lookup import SHORT, Where, called, described
from bench.runs.mlflow_client import Run
from bench.runs.mlflow_runs import tags_of
from bench.runs.records import PairingRecord
from bench.runs.run_locks import held

if TYPE_CHECKING:
    from bench.runs.store import Store


@dataclass(frozen=True)
class Removal:
    """A pairing, and the runs of it that are removed."""

    pairing: PairingRecord
    parents: tuple[str, ...]  # MLflow's runs that hold the pairing's record
    runs: tuple[Run, ...] = field(repr=False)

    @property
    def text(self) -> str:
        """`byol-s@ravdess, finetune, speaker, full: 6 runs`."""
        number = len(self.runs)
        plural = "" if number == 1 else "s"
        return f"{described(self.pairing)}: {number} run{plural}"

    @property
    def fingerprints(self) -> set[str]:
        """Those of its runs."""
        return {tags_of(run).get("fingerprint", "") for run in self.runs}

    def is_named(self, names: Sequence[str]) -> bool:
        """Whether a name means the pairing as a whole."""
        pairing = self.pairing
        own = {pairing.backbone, called(pairing), *self.parents}
        return not own.isdisjoint(names)

    def restricted(self, names: Sequence[str]) -> "Removal | None":
        """The same with the runs that are named; None if nothing of the pairing is."""
        if self.is_named(names):
            return self
        runs = [run for run in self.runs if any(_is_run(run, name) for name in names)]
        return replace(self, runs=tuple(runs)) if runs else None


def removals(store: "Store", names: Sequence[str], where: Where) -> list[Removal]:
    """What the names mean: a backbone or `backbone@task` all such pairings, the id or the start of
    the fingerprint of a run that run.

    Raises:
        UsageError: a name means nothing, or the start of a fingerprint several runs.
    """
    pairings = list(every(store, where))
    for name in names:
        _check(name, pairings)
    meant = [pairing.restricted(names) for pairing in pairings]
    return [removal for removal in meant if removal]


def every(store: "Store", where: Where) -> Iterator[Removal]:
    """Each pairing that is meant with all its runs."""
    for experiment in store.runs.experiments(where.task_names):
        for same, record in store.reader.grouped(experiment):
            if not where.includes(record):
                continue
            parents = tuple(parent.info.run_id for parent in same)
            runs = []
            for parent in parents:
                for run in store.runs.children(parent):
                    if tags_of(run).get("split") in (None, record.split):
                        runs.append(run)
            yield Removal(record, parents, tuple(runs))


def remove(store: "Store", found: Sequence[Removal], results: Path) -> None:
    """Delete runs, and each pairing once it has none.

    `results`: the folder with the locks of runs under way.

    Raises:
        BenchError: another process is doing one of the runs; nothing is removed then.
    """
    with ExitStack() as locks:
        for removal in found:
            for fingerprint in removal.fingerprints:
                name = f"a run of {described(removal.pairing)}"
                locks.enter_context(held(results, fingerprint, name))
        for removal in found:
            _remove(store, removal)


def _remove(store: "Store", removal: Removal) -> None:
    """The runs go first: what an interrupt leaves is a pairing without them, not lost runs."""
    for run in removal.runs:
        store.client.delete_run(run.info.run_id)
    for parent in removal.parents:
        is_empty = not list(store.runs.children(parent))
        stage = store.client.get_run(parent).info.lifecycle_stage
        if is_empty and stage == "active":
            store.client.delete_run(parent)


def _check(name: str, pairings: Sequence[Removal]) -> None:
    """Raise UsageError if a name means nothing, or is the start of several fingerprints."""
    if any(pairing.is_named([name]) for pairing in pairings):
        return
    runs = [run for pairing in pairings for run in pairing.runs if _is_run(run, name)]
    fingerprints = {tags_of(run).get("fingerprint", "") for run in runs}
    if not runs:
        known = {pairing.pairing.backbone for pairing in pairings}
        known |= {called(each.pairing) for each in pairings}
        recorded = and_more(sorted(known)) or "none"
        raise UsageError(
            f"nothing that is recorded is called {name}{suggest(name, known)}; "
            f"recorded are {recorded}"
        )
    if len(fingerprints) > 1:
        starts = and_more(sorted(each[:SHORT] for each in fingerprints))
        raise UsageError(
            f"{name} means {len(fingerprints)} runs: name each by more of its fingerprint, {starts}"
        )


def _is_run(run: Run, name: str) -> bool:
    fingerprint = tags_of(run).get("fingerprint", "")
    return bool(name) and (run.info.run_id == name or fingerprint.startswith(name))
