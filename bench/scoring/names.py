"""Labels as parts of other names: of MLflow's metrics, and of the columns of a prediction table."""

import re

LABEL_LENGTH = (
    200  # characters of an escaped label; MLflow's names of metrics may have 250
)
ALLOWED = "_-. "  # besides letters and digits of any script
ESCAPE = re.compile(r"_x([0-9A-F]+)_")


def escape(label: str) -> str:
    """A label in the characters that MLflow allows in a part of a metric's name.

    Any other character is written as its code point, as is an underscore before an x and a dot of a
    label of dots: `happy/` is `happy_x2F_`. Different labels stay different.
    """
    if not label.strip("."):
        return "".join(map(_code, label))
    text = re.sub("_(?=x)", _code("_"), label)
    return "".join(c if c.isalnum() or c in ALLOWED else _code(c) for c in text)


def unescape(text: str) -> str:
    """The label that `escape` has made this of."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def metric_name(score: str) -> str:
    """A score's name as that of a metric: `F1 (sad)` as `F1/sad`."""
    average, bracket, label = score.partition(" (")
    if not bracket or not label.endswith(")"):
        return escape(score)
    return f"{escape(average)}/{escape(label.removesuffix(')'))}"


def is_too_long(label: str) -> bool:
    """Whether the names of its scores would be longer than MLflow allows."""
    return len(escape(label)) > LABEL_LENGTH


def _code(character: str) -> str:
    return f"_x{ord(character):X}_"
