"""What is read out of recorded runs: the rows of tables, and searches."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from bench import registry
from bench.contracts.task import Task
from bench.errors import UsageError, refused, suggest
from bench.options import stem
from bench.progress.display import say
from bench.progress.screens import Problem
from bench.runs.lookup import Where
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.contracts.task import Published
    from bench.runs.records import PairingRecord
    from bench.runs.search_record import SearchRecord
    from bench.runs.store import Store
    from bench.runs.workplace import Outcome
    from bench.tables.row import Row


def open_store(settings: Settings) -> "Store":
    """The store that the settings name."""
    from bench.runs.store import Store

    return Store(settings.tracking_uri, settings.results)


def rows(store: "Store", where: Where, known: Sequence[Task] = ()) -> "tuple[Row, ...]":
    """The table of what is recorded; `known`: tasks that need not be looked up by name.

    Of published figures, a protocol that is named keeps its own alone.

    Raises:
        UsageError: if nothing is recorded.
    """
    from bench.tables.collect import rows as collected

    records = where.records(store)
    if not records:
        raise UsageError(
            f"nothing is recorded in {store.name} for what is asked{_hint(store, where)}: "
            "start with `bench run`"
        )
    published = {record.task: _published(record.task) for record in records}
    published |= {task.name: task.published for task in known}
    if where.protocol:
        for task, figures in published.items():
            published[task] = [
                each for each in figures if each.protocol == where.protocol
            ]
    return tuple(collected(records, published, _versions(records)))


def kept_rows(
    store: "Store", where: Where, known: Sequence[Task], outcome: "Outcome"
) -> "tuple[Row, ...]":
    """`rows`, whose table each pairing that a command has ended keeps as an artifact."""
    from bench.tables.formats import as_page

    found = rows(store, where, known)
    drawn: dict[str, str] = {}
    for parent, task in outcome.closed.items():
        if task not in drawn:
            own = [row for row in found if row.task == task]
            drawn[task] = as_page(own)
        try:
            store.keep_table(parent, drawn[task])
        except OSError as error:  # the table itself is printed all the same
            say(Problem(f"the table is not kept in MLflow's pages: {refused(error)}"))
            break
    return found


def searches(store: "Store", where: Where) -> "tuple[SearchRecord, ...]":
    """What recorded searches chose.

    Raises:
        UsageError: if there are none.
    """
    found = store.searches(where.task_names)
    if where.backbones:
        found = [search for search in found if search.backbone in where.backbones]
    if not found:
        raise UsageError(
            f"no search is recorded in {store.name} for what is asked: start with `bench tune`"
        )
    return tuple(found)


def _versions(records: "Sequence[PairingRecord]") -> dict[str, int]:
    """The versions that the recorded backbones have now; of those that can be loaded."""
    versions = {}
    for name in {stem(record.backbone) for record in records}:
        if name in registry.entries("backbone"):
            with suppress(UsageError):
                (backbone,) = registry.backbones([name])
                versions[name] = backbone.version
    return versions


def _hint(store: "Store", where: Where) -> str:
    """The recorded protocol that is meant, if one is misspelt."""
    if where.protocol is None:
        return ""
    recorded = {record.protocol for record in store.records(where.task_names)}
    return suggest(where.protocol, recorded - {where.protocol})


def _published(task: str) -> "Sequence[Published]":
    """Figures that others have published for a task; a manifest's task has none."""
    if stem(task) not in registry.entries("task"):
        return ()
    return registry.tasks([task])[0].published
