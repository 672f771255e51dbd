"""Errors that a user can act on, each one clear sentence: what is wrong, where, what to do."""

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# what to do about what the system refuses
ADVICE: Mapping[int | None, str] = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room, your share of that disk is used up",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENOMEM: "free some memory, or raise its limit (ulimit -v)",
    errno.EROFS: "name a place that can be written to",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
}
REASON_LENGTH = 200  # characters of a message of the system, or of another library
LISTED = 10  # names that an error lists before it counts the rest


# A user and a password in a URL; the password may hold a slash, which no port does.
USER = re.compile(r"://(?:[^/\s@:]+:(?!\d+/)[^\s@]*|[^/\s]*)@")
# A parameter of a URL, or of a database's connection, whose name says that its value is secret.
SECRET = re.compile(
    r"((?:[?&;#][\w.%-]*(?:pass|pwd|token|secret|sig|credential|key|auth)[\w.%-]*"
    r"|\b(?:password|passwd|pwd))=)[^&;\s'\"<>)]+",
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


def refused(error: OSError, where: Path | str = "", private: bool = False) -> str:
    """What the system refused, as one sentence: the path, the reason, what to do.

    where: the path that the error is about, if it does not know. private: without any path.
    """
    reason = error.strerror or one_line(error, REASON_LENGTH)
    advice = ADVICE.get(error.errno)
    path = error.filename2 or error.filename or where
    if not path and reason == os.strerror(errno.ENOENT):
        # the only thing that is asked for without its name
        reason = f"{reason}, perhaps the folder in which the command was started"
    sentence = f"the system refuses {path}: {reason}" if path else reason
    if private:
        sentence = (
            f"the system refuses a file: {error.strerror or type(error).__name__}"
        )
    return f"{sentence}; {advice}" if advice else sentence


@contextmanager
def writing(where: Path | str) -> Iterator[None]:
    """Make what the system refuses a BenchError that names a path, which a full disk does not."""
    try:
        yield
    except OSError as error:
        raise BenchError(refused(error, where)) from error


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
    without_user = USER.sub("://", text)
    return SECRET.sub(r"\1***", without_user)
