"""Pseudonyms: keyed hashes in place of the paths, file names and speakers of a private task."""

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from bench.errors import CorpusError
from bench.paths import home

KEY_BYTES = 32
DIGITS = 16  # hexadecimal: 64 bits


def pseudonym(text: str, kind: str) -> str:
    """16 hex digits that stand for `text`, the same in every run on this machine and on no other.

    HMAC-SHA256 with a random key, which is made on first use and kept at `privacy.key` in
    `bench.paths.home()`, readable by its owner alone. The same text has unrelated pseudonyms
    under two kinds. Raises CorpusError for a damaged key.
    """
    key = _key(home() / "privacy.key")
    message = f"{kind}\0{text}".encode()
    code = hmac.new(key, message, hashlib.sha256)
    return code.hexdigest()[:DIGITS]


def pseudonymous(names: Iterable[str]) -> bool:
    """Whether every name looks like a pseudonym, as all clips and speakers of a private manifest
    do.
    """
    pattern = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
    return all(map(pattern.fullmatch, names))


@lru_cache(maxsize=8)
def _key(path: Path) -> bytes:
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise CorpusError(
            f"{path} is damaged: restore it, or delete it; the clips of private tasks then get new "
            "names"
        )
    return key


def _make(path: Path) -> None:
    """A new key, unless another process has just made one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with FileLock(lock):
        if not path.exists():
            _write(path, secrets.token_bytes(KEY_BYTES))


def _write(path: Path, key: bytes) -> None:
    """Write the whole file or none. `mkstemp` makes it readable by its owner alone."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)
