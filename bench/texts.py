"""Texts and paths as users type them: what each must be, and how errors quote it."""

import os
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LONGEST = 4096  # characters of a text or a path
PATH_BEGINS = ("/", "./", "../", "~")
PORTS = 65535
COMMAS = 20  # at most, in a path of a comma-separated list
LONGEST_NAME = 255  # bytes of a file's name, as file systems have it

_quote = reprlib.Repr()
_quote.maxstring = _quote.maxother = _quote.maxlong = 60


def quoted(value: object) -> str:
    """A value as an error quotes it: one line, and not a long one."""
    try:
        return _quote.repr(value)
    except ValueError:
        return "a number of thousands of digits"


def text_of(raw: object) -> str:
    """A text that can be recorded, and be handed to the system.

    Raises:
        ValueError: for anything else, saying what it must be.
    """
    given = str(raw) if isinstance(raw, Path) else raw
    text: str = expect(given, str, "a text")
    length = len(text)
    if length > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters, not {length}")
    shown = quoted(text)
    if "\0" in text:
        raise ValueError(f"must not contain NUL, not {shown}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"must be UTF-8, not {shown}") from None
    return text


def path_of(raw: object) -> Path:
    """A path, `~` replaced by the home folder. Raises ValueError as `text_of`."""
    given = expect(raw, (str, Path), "a path")
    text = text_of(str(given))
    shown = quoted(text)
    if not text:
        raise ValueError("must not be empty")
    if "://" in text:
        raise ValueError(f"must be a path, not the URL {shown}")
    path = Path(text)
    longest = max(len(name.encode()) for name in (*path.parts, ""))
    if longest > LONGEST_NAME:
        raise ValueError(f"has a name of more than {LONGEST_NAME} bytes: {shown}")
    try:
        return path.expanduser()
    except RuntimeError:  # `~NAME`
        raise ValueError(f"begins with an unknown user: {shown}") from None


def separate(text: str) -> list[str]:
    """The parts of a comma-separated text; the path of a file that exists is one part, whatever
    commas it has.
    """
    pieces = text.split(",")
    parts = []
    while pieces:
        length = _length_of_path(pieces)
        parts.append(",".join(pieces[:length]))
        pieces = pieces[length:]
    return parts


def url_form(text: str) -> None:
    """Raise ValueError for a text that is no URL."""
    scheme, separator, rest = text.partition("://")
    is_whole = scheme and separator and rest
    if not is_whole:
        shown = quoted(text)
        raise ValueError(f"must be a URL, SCHEME://..., not {shown}")


def place_form(text: str) -> None:
    """Raise ValueError for a text that is neither a URL nor a path."""
    if "://" in text:
        url_form(text)
    else:
        path_of(text)


def weights_form(text: str) -> None:
    """Raise ValueError for what begins as a path and cannot be one."""
    if text.startswith(PATH_BEGINS):
        path_of(text)


def address_form(text: str) -> None:
    """Raise ValueError for a text that is neither HOST:PORT nor `auto` or `local`."""
    if text in ("auto", "local"):
        return
    host, _, port = text.rpartition(":")
    is_host = host and "/" not in host
    if not is_host or not _is_port(port):
        shown = quoted(text)
        raise ValueError(f"must be HOST:PORT or auto, not {shown}")


def expect(raw: Any, kinds: Any, what: str) -> Any:
    """A value of one of these types. Raises ValueError saying what it must be."""
    if not isinstance(raw, kinds):
        raise ValueError(f"must be {what}, not {quoted(raw)}")
    return raw


def _length_of_path(pieces: Sequence[str]) -> int:
    """How many pieces, joined by commas, name a file; 1 if none do."""
    longest = min(len(pieces), COMMAS + 1)
    for length in range(longest, 1, -1):
        path = ",".join(pieces[:length])
        if os.path.isfile(path.strip()):  # noqa: PTH113 - raises nothing, whatever the text
            return length
    return 1


def _is_port(text: str) -> bool:
    """Whether a text is the number of a port."""
    if len(text) > len(str(PORTS)):
        return False
    is_number = text.isascii() and text.isdigit()
    return is_number and 0 < int(text) <= PORTS
