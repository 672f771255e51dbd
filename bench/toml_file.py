"""TOML files that users write."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.errors import one_line

DEPTH = 16  # tables and lists in one another; what is deeper is a mistake, or an attack


class TomlError(Exception):
    """What is wrong with a file, to follow its name: `is not valid TOML: ...`."""


def read(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        TomlError: it cannot be read; its text may quote the file.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TomlError(f"cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise TomlError(_too_deep()) from error
    except ValueError as error:  # bad TOML, bad UTF-8, a number of thousands of digits
        reason = one_line(error, 200)
        raise TomlError(f"is not valid TOML: {reason}") from error
    _check_depth(tables)
    return tables


def _check_depth(tables: object) -> None:
    level: list[object] = [tables]
    for _ in range(DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
    if level:
        raise TomlError(_too_deep())


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep() -> str:
    return f"has more than {DEPTH} tables or lists in one another"
