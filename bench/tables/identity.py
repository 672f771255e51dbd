"""Which records are of the same corpus, division and code, so that they may stand in one table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.options import stem
from bench.runs.records import PairingRecord
from bench.tables.row import Row

if TYPE_CHECKING:
    from bench.tables.uncertainty import Measured

DIGITS = 8  # of a checksum that people are shown


def located(records: Sequence[PairingRecord]) -> list[PairingRecord]:
    """The records, those that were skipped, or failed before a corpus was loaded, with the newest
    one of their task and protocol.
    """
    newest: dict[tuple[str, str], PairingRecord] = {}
    for record in records:
        if record.corpus:
            newest[record.task, record.protocol] = record
    found = []
    for record in records:
        known = newest.get((record.task, record.protocol))
        is_done = any(run.status == "ok" for run in record.runs)
        if known and not record.corpus and not is_done:
            there = replace(record, corpus=known.corpus, split=known.split)
            found.append(there)
        else:
            found.append(record)
    return found


def pairing(record: PairingRecord) -> tuple[object, ...]:
    """What two records of one pairing share; the default and the tuned recipe are two pairings."""
    settings = sorted(record.settings.items())
    return (
        record.task,
        record.protocol,
        record.corpus,
        record.split,
        record.mode,
        record.scale,
        record.backbone,
        record.weights,
        tuple(settings),
        bool(record.recipe),
    )


def with_versions(
    found: "Iterable[Measured]", versions: Mapping[str, int]
) -> "list[Measured]":
    """The rows, those of another version of their backbone than the present one with a footnote.

    `versions`: backbone -> its version now.
    """
    noted = []
    for measured in found:
        row = measured.row
        now = versions.get(stem(row.backbone), row.version)
        if row.version and now != row.version:
            row = _outdated(row, now)
        noted.append(replace(measured, row=row))
    return noted


def names(rows: Sequence[Row]) -> dict[object, str]:
    """Table -> what its title must say of corpus and division, where a task and a protocol have
    several.
    """
    tables = {row.table for row in rows if row.measured}
    corpora: dict[tuple[str, str], set[str]] = {}
    divisions: dict[tuple[str, str, str], set[str]] = {}
    for task, protocol, corpus, split in tables:
        corpora.setdefault((task, protocol), set()).add(corpus)
        divisions.setdefault((task, protocol, corpus), set()).add(split)

    found: dict[object, str] = {}
    for table in tables:
        corpus, split = table[2:]
        said = []
        if len(corpora[table[:2]]) > 1:
            said.append(f"corpus {shortened(corpus)}")
        if len(divisions[table[:3]]) > 1:
            said.append(f"division {shortened(split)}")
        found[table] = " · ".join(said)
    return found


def shortened(checksum: str) -> str:
    """The first digits of a checksum, for people."""
    if not checksum:
        return "unknown"
    return checksum[:DIGITS]


def _outdated(row: Row, now: int) -> Row:
    note = (
        f"of version {row.version} of {stem(row.backbone)}, which is version {now} now: it "
        "takes no part in the comparison; `bench run` measures it again"
    )
    return replace(row, outdated=True, notes=(*row.notes, note))
