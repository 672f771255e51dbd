"""Why pairings do not run, each reason once."""

from collections.abc import Iterable

from bench.errors import and_more


def shared(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """One line per reason, of pairs of a pairing's title and its reason, in their order.

    A reason that several pairings share is given once, with their number and their titles.
    """
    titles: dict[str, list[str]] = {}
    for title, reason in reasons:
        titles.setdefault(reason, []).append(title)
    return [f"{_subject(named)}: {reason}" for reason, named in titles.items()]


def _subject(titles: list[str]) -> str:
    if len(titles) == 1:
        return titles[0]
    return f"{len(titles)} pairings ({and_more(titles)})"
