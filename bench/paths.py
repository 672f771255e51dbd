"""Where the harness keeps what can be made again: decoded audio, features, made corpora (and the
privacy key).
"""

import os
from pathlib import Path


def home() -> Path:
    """`$SER_BENCH_HOME`, else `$XDG_CACHE_HOME/ser-bench`, else `~/.cache/ser-bench`. Not created
    here.
    """
    if named := os.environ.get("SER_BENCH_HOME"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ser-bench"
