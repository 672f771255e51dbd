"""The systems that a comparison is about, and whether they can be compared at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.runs.lookup import Where, find
from bench.runs.records import PairingRecord
from bench.scoring.sample import Sample, same_clips
from bench.tables.collect import measured
from bench.tables.identity import shortened
from bench.tables.row import Row

if TYPE_CHECKING:
    from bench.runs.store import Store


SAME = ("protocol", "mode", "scale")  # what systems must have in common


@dataclass(frozen=True)
class System:
    """A row of a table with the predictions behind it."""

    row: Row
    sample: Sample

    @property
    def name(self) -> str:
        return self.row.label


def named(store: "Store", names: Sequence[str], where: Where) -> list[System]:
    """The systems that the names mean: backbones, ids of runs or starts of fingerprints.

    Raises:
        UsageError: a name means none or several, or the systems cannot be compared.
    """
    records = []
    for name in names:
        found = find(store, name, where)
        records.append(replace(found.pairing, runs=found.runs))
    return _comparable(records)


def every(store: "Store", where: Where) -> list[System]:
    """All systems of a task that have covered its protocol.

    Raises:
        UsageError: there are fewer than two, or they cannot be compared.
    """
    records = where.records(store)
    systems = _systems(records)
    whole = [system for system in systems if system.row.status == "ok"]
    if len(whole) < 2:
        tasks = ", ".join(where.tasks)
        raise UsageError(
            f"{len(whole)} systems are recorded whole on {tasks}: a comparison needs two"
        )
    _check(whole)
    return whole


def _comparable(records: Sequence[PairingRecord]) -> list[System]:
    systems = _systems(records)
    if len(systems) < len(records):
        listed = ", ".join(record.label for record in records)
        raise UsageError(
            f"of {listed} not every one has predictions of all its folds and seeds, or two "
            "names mean the same: `bench table` shows what is missing"
        )
    _check(systems)
    return systems


def _systems(records: Iterable[PairingRecord]) -> list[System]:
    """The systems that have predictions, best first."""
    systems = []
    for found in measured(list(records)):
        if found.sample:
            systems.append(System(found.row, found.sample))
    systems.sort(key=lambda system: system.row.rank, reverse=True)
    return systems


def _check(systems: Sequence[System]) -> None:
    """Raise UsageError if the systems differ in what they were tested on, or how."""
    first = systems[0]
    for other in systems[1:]:
        difference = _difference(first, other)
        if difference:
            raise UsageError(
                f"{first.name} and {other.name} cannot be compared: {difference}"
            )


def _difference(one: System, other: System) -> str:
    for name in SAME:
        values = [getattr(system.row, name) for system in (one, other)]
        if values[0] != values[1]:
            first, second = values
            return f"{name} {first} and {name} {second} (choose one with --{name})"
    corpora = _identities(one.row, other.row)
    if corpora:
        return corpora
    if one.sample.labels != other.sample.labels:
        return "their classes differ"
    if same_clips(one.sample, other.sample):
        return _other_truth(one.sample, other.sample)
    clips = set(one.sample.clips)
    shared = clips & set(other.sample.clips)
    return (
        f"they were tested on other clips ({len(shared)} of {len(clips)} are the same): "
        "run both on the same corpus, with the same folds"
    )


def _identities(one: Row, other: Row) -> str:
    """How corpus or division differ, where both are known."""
    pairs = {
        "corpus": (one.corpus, other.corpus),
        "division": (one.split, other.split),
    }
    for name, (there, rival) in pairs.items():
        if there and rival and there != rival:
            first, second = shortened(there), shortened(rival)
            return (
                f"they are of {name} {first} and of {second} (`bench table` tells them apart): "
                "name a manifest by its path, or run both on the same one"
            )
    return ""


def _other_truth(one: Sample, other: Sample) -> str:
    differing = 0
    theirs = other.truth_of
    for clip, labels in one.truth_of.items():
        differing += labels != theirs[clip]
    if not differing:
        return ""
    return f"{differing} clips have other labels: run both on the corpus as it is now"
