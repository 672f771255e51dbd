"""Corpora of other clips that are recorded under the name of a task."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.data.sketch import overlap
from bench.runs.pairing import Pairing
from bench.runs.records import PairingRecord

if TYPE_CHECKING:
    from bench.runs.store import Store


def warnings(pairings: Sequence[Pairing], store: "Store") -> list[str]:
    """A sentence for each manifest whose name is taken by a corpus without a clip of it."""
    found = {}
    for pairing in pairings:
        record = pairing.record
        if pairing.task.table_digest and record.sketch and record.task not in found:
            found[record.task] = _warning(record, store.records([record.task]))
    return [sentence for sentence in found.values() if sentence]


def _warning(record: PairingRecord, recorded: Sequence[PairingRecord]) -> str:
    others = [other for other in recorded if other.corpus != record.corpus]
    strangers = [other for other in others if not overlap(record.sketch, other.sketch)]
    if not strangers:
        return ""
    return (
        f"{record.task} is also the name of another corpus in these results, which has no clip in "
        "common with this one: they get tables of their own; to tell them apart by name, put "
        f'`name = "{record.task}-2"` into the companion .toml of this manifest'
    )
