"""Labels and speakers as people write them: what means nothing, and what is the same in another
spelling.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from bench.errors import and_more

NAMED_ROWS = 3  # of each spelling

# what programs and people put where they have nothing to say, in lower case
_OF_PROGRAMS = (
    "nan",
    "-nan",
    "<na>",
    "nat",
    "none",
    "null",
    "(null)",
    "nil",
    "\\n",
    "undefined",
)
_OF_SHEETS = ("#n/a", "#na", "1.#nan", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind")
_OF_PEOPLE = ("na", "n/a", "n.a.", "n.a", "unknown", "missing")
_SIGNS = (".", "-", "--", "---", "–", "—", "?", "??")
NOTHING = frozenset(_OF_PROGRAMS + _OF_SHEETS + _OF_PEOPLE + _SIGNS)
_MINUS = str.maketrans({"\u2212": "-"})  # the typographic one
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]\d{1,3})?")

Uses = Mapping[str, Sequence[int]]  # a text -> the rows that have it


def is_nothing(text: str) -> bool:
    """Whether a cell is empty, or holds a word for that: `nan`, `NA`, `none`, `unknown`, `-`."""
    bare = _bare(text)
    return not bare or bare in NOTHING


@lru_cache(maxsize=4096)
def normal_form(text: str) -> str:
    """What is left of a text without case, blanks, Unicode form and number format.

    `Very  sad`, `very sad` and `verysad` have one normal form, and so have `1`, `01` and `1.0`.
    """
    bare = _bare(text)
    if _NUMBER.fullmatch(bare):
        return _number(bare)
    return bare


def alike(texts: Iterable[str]) -> list[list[str]]:
    """The texts that have their normal form in common with another, those of each form together."""
    forms: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        same = forms.setdefault(normal_form(text), [])
        same.append(text)
    return [same for same in forms.values() if len(same) > 1]


def in_several_ways(
    column: str, uses: Uses, private: bool, others: Iterable[str] = ()
) -> Iterator[str]:
    """What the rows, and `others` of the companion, spell in several ways.

    For example `speaker s1 (row 2, 3), S1 (row 4)`; where private, without the texts.
    """
    for same in alike([*uses, *others]):
        places = []
        for text in same:
            place = _place(uses.get(text, ()))
            places.append(place if private else f"{text} ({place})")
        yield f"{column} {', '.join(places)}"


def one_spelling(
    texts: Iterable[str], preferred: Collection[str] = ()
) -> dict[str, str]:
    """What to write for each text: of those with one normal form the preferred one, else the
    commonest.
    """
    uses = Counter(texts)
    chosen = {text: text for text in uses}

    def place(text: str) -> tuple[bool, int, str]:
        return text not in preferred, -uses[text], text

    for same in alike([*uses, *preferred]):
        best = min(same, key=place)
        chosen |= dict.fromkeys(same, best)
    return chosen


def _place(rows: Sequence[int]) -> str:
    return f"row {and_more(rows, NAMED_ROWS)}" if rows else "in the companion"


def _bare(text: str) -> str:
    """A text without case, blanks, invisible characters and the variants of Unicode."""
    compatible = unicodedata.normalize("NFKC", text)
    folded = unicodedata.normalize("NFKC", compatible.casefold())
    seen = [sign for sign in folded if _is_visible(sign)]
    return "".join(seen).translate(_MINUS)


def _is_visible(sign: str) -> bool:
    return not sign.isspace() and unicodedata.category(sign) != "Cf"


def _number(text: str) -> str:
    """A number in one format, exactly; it holds a blank, which no other normal form does."""
    value = Decimal(text.replace(",", "."))
    sign, digits, exponent = value.as_tuple()
    written = "".join(map(str, digits))
    significant = written.rstrip("0")
    shift = len(written) - len(significant)
    if not significant:
        return "number 0"
    minus = "-" if sign else ""
    return f"number {minus}{significant}e{int(exponent) + shift}"
