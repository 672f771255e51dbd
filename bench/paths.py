"""The harness's own folder: decoded audio, features and generated corpora, all of which can be
made again, and the key of private ids.
"""

import os
from pathlib import Path


def home() -> Path:
    """`$SER_BENCH_HOME`, or else `ser-bench` in the user's cache folder. Not created here.

    The cache folder is `$XDG_CACHE_HOME`, or else `~/.cache`.
    """
    named = os.environ.get("SER_BENCH_HOME")
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 - fails for nobody
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "ser-bench"
