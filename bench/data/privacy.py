"""Names that say nothing: keyed hashes in place of the paths, file names and speakers of a private
task.
"""

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
    """16 hex digits that stand for `text`, the same in every run on this machine and for nobody
    else.

    HMAC-SHA256 under a random key, made on first use and kept at `privacy.key` in
    `bench.paths.home()`, readable by its owner alone. The same text gives unrelated pseudonyms
    under two kinds. Raises CorpusError for a damaged key.
    """
    key = _key(home() / "privacy.key")
    return hmac.new(key, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()[:DIGITS]


def pseudonymous(names: Iterable[str]) -> bool:
    """Whether every name looks like a pseudonym, as all clips and speakers of a private manifest
    do.
    """
    return all(re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", name) for name in names)


@lru_cache(maxsize=8)
def _key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if not path.exists():
                _write(path, secrets.token_bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise CorpusError(
            f"{path} is damaged: restore it, or delete it, after which the clips of private tasks have new names"
        )
    return key


def _write(path: Path, key: bytes) -> None:
    """The whole file or none: `mkstemp` makes it readable by its owner alone, a rename puts it in
    place.
    """
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)
