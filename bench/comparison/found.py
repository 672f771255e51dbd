"""What `bench compare` finds: on each task its systems and their pairs, over tasks their ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.comparison.pairs import Pair, pairs
from bench.comparison.ranks import Ranks, ranks
from bench.comparison.systems import System, every, named
from bench.errors import UsageError
from bench.runs.lookup import Where

if TYPE_CHECKING:
    from bench.runs.store import Store


@dataclass(frozen=True)
class Comparison:
    """Task -> its systems, and their pairs; ranks: where there are several tasks."""

    systems: Mapping[str, Sequence[System]]
    pairs: Mapping[str, Sequence[Pair]]
    ranks: Ranks | None


def compare(
    store: "Store", tasks: Sequence[str], names: Sequence[str], where: Where
) -> Comparison:
    """Compare the named systems on each task; without names, all that are recorded whole.

    Raises:
        UsageError: the systems cannot be compared, or a name does not mean one of them.
    """
    if len(names) == 1:
        raise UsageError(
            f"{names[0]} is to be compared with what? Name two systems, or all"
        )
    systems: dict[str, list[System]] = {}
    for task in tasks:
        there = replace(where, tasks=(task,))
        systems[task] = named(store, names, there) if names else every(store, there)
    found = {task: pairs(each) for task, each in systems.items()}
    over = ranks(systems) if len(tasks) > 1 else None
    return Comparison(systems, found, over)
