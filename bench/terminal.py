"""The width of the terminal, and plain text that fits it."""

import re
import shutil
import sys
import unicodedata

LEAST, MOST = 80, 200  # columns of a terminal that output is fitted to
PIPED = 120  # columns where the output goes to a file or another program
_PIECE = re.compile(
    r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+| "
)  # a wide character, a word, a space


def width() -> int:
    """Columns of the terminal that standard output is, at least 80 and at most 200; 120 if it is
    none.
    """
    if not sys.stdout.isatty():
        return PIPED
    fallback = (PIPED, 24)
    size = shutil.get_terminal_size(fallback)
    columns = max(size.columns, LEAST)
    return min(columns, MOST)


def display_width(text: str) -> int:
    """Columns that the text takes: two for a Chinese character, none for a combining mark."""
    return sum(map(_columns, text))


def shortened(text: str, columns: int) -> str:
    """The text, cut to at most `columns` with an ellipsis at its end where it is longer."""
    if display_width(text) <= columns:
        return text
    kept = ""
    for character in text:
        if display_width(kept + character) >= columns:
            break
        kept += character
    return f"{kept.rstrip(' [(')}…"


def printable(text: str) -> str:
    """The text as one line without control characters, which error messages may hold."""
    line = " ".join(text.split())
    characters = filter(str.isprintable, line)
    return "".join(characters)


def wrapped(text: str, columns: int, indent: str = "    ") -> list[str]:
    """The text over as many lines as it needs, all but the first indented.

    Breaks between words and between Chinese characters. A word that is wider than a line, such as
    a path, stays whole so that it can be copied.
    """
    lines = [""]
    for piece in _PIECE.findall(printable(text)):
        longer = lines[-1] + piece
        begun = bool(lines[-1].strip())
        if begun and display_width(longer) > columns:
            lines.append(indent)
            begun = False
        if begun or piece != " ":
            lines[-1] += piece
    return [line.rstrip() for line in lines]


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
