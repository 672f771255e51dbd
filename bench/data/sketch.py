"""A sketch of a corpus: few digits that tell whether two corpora have clips in common."""

from collections.abc import Iterable

from bench.data.privacy import pseudonym
from bench.fingerprint import digest

SIZE = 32  # clips that a sketch keeps
DIGITS = 12  # hex digits of each
SEPARATOR = "|"


def sketch(content: Iterable[str], private: bool) -> str:
    """The smallest hashes of the clips' samples (`Corpus.content`), keyed for a private task.

    Two corpora keep the same clips of those that they share, so that sketches of the same clips
    are equal and those of other clips have nothing in common (Broder, Compression and Complexity
    of Sequences, 1997).
    """
    kept = set()
    for samples in content:
        hashed = pseudonym(samples, "audio") if private else digest(samples)
        kept.add(hashed[:DIGITS])
    smallest = sorted(kept)[:SIZE]
    return SEPARATOR.join(smallest)


def overlap(one: str, other: str) -> bool:
    """Whether sketches have a clip in common; True where one of them is not known."""
    if not one or not other:
        return True
    clips = set(one.split(SEPARATOR))
    others = set(other.split(SEPARATOR))
    return not clips.isdisjoint(others)
