"""SQLite files that exist whole or not at all, and that can be moved with their folder.

MLflow and Optuna lay out a new database step by step. A command that is killed meanwhile would
leave one that neither can open again, so a new one is laid out under another name and renamed.
"""

import importlib.util
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.errors import BenchError, UsageError

ARTIFACTS = "/artifacts"  # the end of an address that the harness gave
WHOLE = 1  # SQLite's `user_version` of a database that was laid out here, to its end

UNUSABLE = (
    "?%"  # in the path of a database: SQLAlchemy and MLflow read them as parts of a URL
)


class DatabaseError(BenchError):
    """A database that cannot be used as it is."""


@dataclass(frozen=True)
class Layout:
    """What a library's databases look like."""

    create: Callable[[str], object]  # lays out a new one at a URL of SQLAlchemy
    head: Callable[[], str]  # the newest version of the layout
    content: str  # the table whose rows must not be lost


def ensure(path: Path, layout: Layout) -> None:
    """Make sure that a whole database stands at `path`. The caller holds a lock.

    One that was left half made is replaced where it is empty.

    Raises:
        DatabaseError: if it is not empty; it is kept under another name.
    """
    if path.exists():
        if not _is_half_made(path, layout):
            return
        if _rows(path, layout.content):
            aside = _set_aside(path)
            raise DatabaseError(
                f"the database {path} was left half made by a command that was stopped, and it is "
                f"not empty: it is kept as {aside.name}, and the next command begins a new one"
            )
    _create(path, layout)


def url(path: Path) -> str:
    """SQLAlchemy's URL of a database.

    Raises:
        UsageError: the path has a character that such a URL cannot hold, so that the database would
            be made elsewhere.
    """
    for sign in UNUSABLE:
        if sign in str(path):
            raise UsageError(
                f"the folder {path.parent} cannot hold results, since its path has a {sign}: name "
                "another with --results"
            )
    return f"sqlite:///{path}"


def readdress(path: Path, artifacts: str) -> None:
    """Make the addresses of artifacts those of the folder in which the database now stands.

    Args:
        path: a database of MLflow.
        artifacts: the URI of the artifacts' folder beside it.
    """
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        moved = _other_addresses(database, artifacts)
        for old in moved:
            rest = len(old) + 1
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE substr(artifact_uri, 1, ?) = ?",
                (artifacts, rest, rest, f"{old}/"),
            )
            database.execute(
                "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?",
                (artifacts, old),
            )


def _other_addresses(database: sqlite3.Connection, artifacts: str) -> Sequence[str]:
    """The addresses that experiments had where their store stood before."""
    query = "SELECT DISTINCT artifact_location FROM experiments"
    addresses = [str(address) for (address,) in database.execute(query)]
    return [
        address
        for address in addresses
        if address.startswith("file:")
        and address.endswith(ARTIFACTS)
        and address != artifacts
    ]


def _is_half_made(path: Path, layout: Layout) -> bool:
    """Whether its layout was not finished. Other faults are left to those who open it."""
    try:
        if _query(path, "PRAGMA user_version") == [(WHOLE,)]:
            return False
        version = _version(path)
        if version is None:
            return True
        is_empty = not _rows(path, layout.content)
        return is_empty and version != layout.head()
    except sqlite3.DatabaseError:
        return False


def _version(path: Path) -> str | None:
    """The version of the layout, which alembic writes last."""
    rows = _query(path, "SELECT version_num FROM alembic_version")
    return str(rows[0][0]) if rows else None


def _rows(path: Path, table: str) -> int:
    rows = _query(path, f"SELECT count(*) FROM {table}")  # noqa: S608 - a name of our own
    return int(rows[0][0]) if rows else 0


def _query(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query; none if there is no such table."""
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    ) as database:
        try:
            return database.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []


def _create(path: Path, layout: Layout) -> None:
    beginning = f".{path.name}.new-"
    for leftover in path.parent.glob(f"{beginning}*"):  # of commands that were killed
        leftover.unlink()
    # a name of its own each time, since MLflow remembers in a process what it has laid out
    unfinished = path.with_name(f"{beginning}{uuid4().hex}")
    layout.create(url(unfinished.resolve()))
    with closing(sqlite3.connect(unfinished)) as database, database:
        database.execute(f"PRAGMA user_version = {WHOLE}")
    unfinished.replace(path)


def _set_aside(path: Path) -> Path:
    """Rename a database so that it is out of the way."""
    number = 1
    while True:
        aside = path.with_name(f"{path.stem}.half-made-{number}{path.suffix}")
        if not aside.exists():
            return path.rename(aside)
        number += 1


def alembic_head(library: str, scripts: str) -> str:
    """The newest version of a library's layout, from the folder of its migration scripts."""
    from alembic.script import ScriptDirectory

    spec = importlib.util.find_spec(library)
    assert spec, f"{library} is a dependency"
    assert spec.origin, f"{library} is a package"
    folder = Path(spec.origin).parent / scripts
    return str(ScriptDirectory(str(folder)).get_current_head())
