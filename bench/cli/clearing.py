"""Clearing what the harness keeps: the cache, and the checkpoints of interrupted trainings."""

from pathlib import Path
from typing import TYPE_CHECKING

from bench.runs import disk
from bench.tables.numbers import many

if TYPE_CHECKING:
    from bench.data.cache import Cache


def clear(cache: "Cache", kind: str) -> str:
    """Delete one kind of the cache, or `all`, and say what that freed. Raises UsageError for an
    unknown kind.
    """
    before = total(cache)
    only = None if kind == "all" else kind
    cache.clear(only)
    freed = size(before - total(cache))
    return f"cleared {kind} of the cache at {cache.root}: {freed} freed"


def clear_checkpoints(results: Path) -> str:
    """Delete the checkpoints of interrupted trainings, and say what that freed."""
    found = disk.clear_checkpoints(results)
    deleted = many(found.files, "checkpoint")
    return f"deleted {deleted} in {results}: {size(found.bytes)} freed"


def total(cache: "Cache") -> int:
    """Bytes that the cache holds."""
    usages = cache.size()
    return sum(usage.bytes for usage in usages)


def size(number: float) -> str:
    """`1.4 GB` for 1,400,000,000 bytes."""
    if number < 1000:
        return f"{number:.0f} bytes"
    units = ["TB", "GB", "MB", "kB"]
    unit = ""
    while number >= 999.5 and units:
        number /= 1000
        unit = units.pop()
    digits = 0 if number >= 99.5 else 1
    return f"{number:.{digits}f} {unit}"
