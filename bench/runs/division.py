"""A task's corpus under one protocol: its folds, checked for leakage and hashed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.contracts.task import Fold, Task
from bench.errors import suggest

if TYPE_CHECKING:
    from bench.data.corpus import Corpus


@dataclass(frozen=True)
class Division:
    """A task's corpus under one protocol, checked."""

    corpus: "Corpus"
    protocol: str
    folds: tuple[Fold, ...]  # of the whole protocol
    split: str  # their hash
    # of each fold alone, by name: to hash thousands of clips for each run would cost more than all
    # else of planning
    hashes: Mapping[str, str]
    notes: tuple[str, ...]  # caveats of corpus and protocol


def divide(task: Task, corpus: "Corpus", protocol: str | None) -> Division:
    """The folds of a protocol, checked; None stands for the task's default. Raises CorpusError."""
    from bench.splits.leakage import check
    from bench.splits.protocols import split_hash

    name = protocol or task.default_protocol
    chosen = task.protocols()[name]
    folds = tuple(chosen.split(corpus.clips, corpus.content))
    leaks = check(folds, corpus.clips, chosen, corpus.content)
    return Division(
        corpus=corpus,
        protocol=name,
        folds=folds,
        split=split_hash(folds),
        hashes={fold.name: split_hash([fold]) for fold in folds},
        notes=(*corpus.caveats, *chosen.notes, *leaks),
    )


def lacks_protocol(task: Task, protocol: str | None) -> str:
    """A sentence if the task does not offer the protocol; empty if it does."""
    offered = task.protocols()
    name = protocol or task.default_protocol
    if name in offered:
        return ""
    hint = suggest(name, offered)
    return f"the task {task.name} has no protocol {name}{hint}; it has {', '.join(offered)}"
