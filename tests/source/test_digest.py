"""An edit anywhere in a user's own code changes its digest, and nothing else does."""

import subprocess
import sys
from collections.abc import Callable
from copy import copy
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.source.digest import source_digest

CODE = """
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache, partial, wraps
from typing import NamedTuple

import torch

import beside

SIZE = 4
TABLE = {"a", "b", "c"}


class Kind(Enum):
    PLAIN = "plain"


class Pair(NamedTuple):
    first: int = 1


@dataclass(frozen=True)
class Options:
    hidden: int = field(default=8, metadata={"low": 1})


def helper(x):
    return x + SIZE


def twice(function):
    @wraps(function)
    def wrapped(*arguments):
        return 2 * function(*arguments)

    return wrapped


@lru_cache
def cached():
    return len(TABLE)


def made(scale):
    class Inner:
        def run(self, x):
            return scale * x

    return Inner


class Base:
    def shared(self):
        return "base"


class Mine(Base):
    options = Options
    kind = Kind.PLAIN
    pair = Pair(3)
    bound = partial(helper, 5)
    inner = made(3)

    def method(self):
        return [helper(cell) for cell in beside.cells()]

    def late(self):
        from lazily import late

        return late() + super().shared()

    @property
    def first(self):
        return cached()

    @cached_property
    def second(self):
        return (lambda: "second")()

    @staticmethod
    @twice
    def third(x):
        return x

    @torch.no_grad()
    def fourth(self):
        return "fourth"


def unrelated():
    return "unrelated"
"""
BESIDE = """
WIDTH = 7


def cells():
    return range(WIDTH)
"""
LAZILY = """
def late():
    return "late"
"""

Write = Callable[..., type]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """`Mine` of a module with some text replaced, imported afresh."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(old: str = "", new: str = "") -> type:
        texts = {"mine": CODE, "beside": BESIDE, "lazily": LAZILY}
        assert any(old in text for text in texts.values())
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(
                text.replace(old, new) if old else text
            )
            sys.modules.pop(name, None)
        invalidate_caches()
        module = import_module("mine")
        kind: type = module.Mine
        return kind

    yield write
    for name in ("mine", "beside", "lazily"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SIZE = 4", "SIZE = 5"),
        ('"c"}', '"d"}'),
        ('PLAIN = "plain"', 'PLAIN = "other"'),
        ("first: int = 1", "first: int = 2"),
        ("default=8", "default=9"),
        ('"low": 1', '"low": 2'),
        ("x + SIZE", "x - SIZE"),
        ("2 * function", "3 * function"),
        ("len(TABLE)", "min(TABLE)"),
        ("scale * x", "scale + x"),
        ("made(3)", "made(4)"),
        ('"base"', '"other"'),
        ("partial(helper, 5)", "partial(helper, 6)"),
        ('"second"', '"other"'),
        ("return x\n\n    @torch", "return -x\n\n    @torch"),
        ('"fourth"', '"other"'),
        ("WIDTH = 7", "WIDTH = 8"),
        ('"late"', '"later"'),
    ],
)
def test_an_edit_of_what_a_class_depends_on_counts(
    mine: Write, old: str, new: str
) -> None:
    before = source_digest(mine())
    assert source_digest(mine(old, new)) != before


def test_nothing_else_counts(mine: Write) -> None:
    before = source_digest(mine())
    assert source_digest(mine()) == before
    assert source_digest(mine('return "unrelated"', 'return "changed"')) == before
    assert (
        source_digest(mine("\n\nSIZE = 4", "\n\n# moved down\n\n\nSIZE = 4")) == before
    )


def test_it_is_the_same_in_another_process(mine: Write, tmp_path: Path) -> None:
    code = "from mine import Mine; from bench.source.digest import source_digest as s; print(s(Mine))"  # noqa: E501 - a table, or code, of one line each
    here = source_digest(mine())
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == here


def test_a_file_that_was_edited_after_its_import_counts_as_another(
    mine: Write, tmp_path: Path
) -> None:
    """What runs is the code that was loaded, and it must not pass for the edited one."""
    loaded = mine()
    file = tmp_path / "beside.py"
    file.write_text(BESIDE.replace("range(WIDTH)", "range(WIDTH + 1)"))
    stale = source_digest(loaded)
    assert stale != source_digest(mine("range(WIDTH)", "range(WIDTH + 1)"))


def test_use_changes_nothing(mine: Write) -> None:
    kind = mine()
    before = source_digest(kind)
    for _ in range(100):  # Python rewrites instructions that are run often
        kind().method()
    copy(kind())  # adds an attribute to the class
    assert source_digest(kind) == before


def test_the_state_of_an_object_counts(mine: Write) -> None:
    kind = mine()
    one, other = kind(), kind()
    assert source_digest(one) == source_digest(other)
    other.hidden = 3
    assert source_digest(one) != source_digest(other)


def test_code_without_source_is_refused() -> None:
    scope: dict[str, type] = {}
    exec("class Typed:\n    def method(self):\n        return 1\n", scope)
    with pytest.raises(UsageError, match=r"the source of Typed\.method cannot be read"):
        source_digest(scope["Typed"])


def test_a_value_that_cannot_be_pickled_is_refused(mine: Write) -> None:
    kind = mine("SIZE = 4", "import threading\nSIZE = threading.Lock()")
    with pytest.raises(UsageError, match=r"SIZE, which mine\.helper reads, is a lock"):
        source_digest(kind)
