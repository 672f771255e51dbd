"""Errors that a user can act on, each one clear sentence: what is wrong, where, what to do."""

import difflib
import re
from collections.abc import Iterable

LISTED = 10  # names that an error lists before it counts the rest


# a parameter of a URL whose name says that its value is secret
SECRET = re.compile(
    r"([?&;][\w.%-]*(?:pass|pwd|token|secret|sig|credential|key|auth)[\w.%-]*=)[^&;\s'\"<>)]+",
    re.IGNORECASE,
)


class BenchError(Exception):
    """Stops a command or a run for a reason its user can act on; shown without a traceback."""

    exit_code = 1

    def __init__(self, *parts: object) -> None:
        cleaned = [without_password(x) if isinstance(x, str) else x for x in parts]
        super().__init__(*cleaned)


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


def and_more(
    names: Iterable[object], shown: int = LISTED, separator: str = ", "
) -> str:
    """The first `shown` names, and how many more there are: `a, b and 3 more`."""
    texts = [str(name) for name in names]
    listed = separator.join(texts[:shown])
    hidden = len(texts) - shown
    return f"{listed} and {hidden} more" if hidden > 0 else listed


def one_line(error: object, limit: int | None = None) -> str:
    """An exception's message as one line of at most `limit` characters; without one, its class."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:limit]


def first_sentence(error: object, limit: int = 200) -> str:
    """The first sentence of an exception's message, without its full stop, to be quoted."""
    return one_line(error).split(". ")[0][:limit].rstrip(" .:")


def printable(text: str) -> str:
    """A text for any terminal: one line, in which what is longer than any name that people give is
    cut.
    """
    encoded = text.encode("utf-8", "backslashreplace")
    line = one_line(encoded.decode("utf-8"))
    return re.sub(r"(\S{60})\S{400,}", r"\1...", line)


def without_password(text: str) -> str:
    """A text whose URLs name neither a user, nor a password, a token or a signature.

    Every error and every recorded reason passes through here.
    """
    without_user = re.sub(r"://[^/\s]*@", "://", text)
    return SECRET.sub(r"\1***", without_user)
