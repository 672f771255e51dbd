"""Mistakes a user can mend. The text of each is one clear sentence: what is wrong, where, what to
do.
"""

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Anything that stops a command or a run for a reason its user can act on; shown without a
    traceback.
    """

    exit_code = 1


class UsageError(BenchError):
    """A command line or a setting that is wrong."""

    exit_code = 2


class CorpusError(BenchError):
    """A corpus that is missing, incomplete or unlike what its task describes."""


class WeightsError(BenchError):
    """Pre-trained weights that are not on this machine, or do not fit the network."""


def suggest(wrong: str, valid: Iterable[str]) -> str:
    """` (did you mean X?)` for the valid name nearest to `wrong`, or an empty string."""
    near = difflib.get_close_matches(wrong, list(valid), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""
