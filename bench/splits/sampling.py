"""Even shares of a set of clips: of its classes, or of its speakers. The clips and their order
decide, no seed does.
"""

import random
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from bench.contracts.clip import Clip
from bench.errors import CorpusError

PARTS = ("train", "valid", "test")
SEED = 0  # of every draw here, whatever the training seed
DRAWS = 200  # sets of speakers that are tried before the most even one is taken

_NAMED = 5  # clips that an error names before it counts the rest


def share_of_classes(clips: Sequence[Clip], share: float) -> set[str]:
    """Ids of about `share` of the clips of each class, at least one of a class that has two."""
    members: dict[str, list[str]] = {}
    for clip, stratum in zip(clips, strata(clips), strict=True):
        members.setdefault(stratum, []).append(clip.id)
    draw = random.Random(SEED)  # noqa: S311 - to be repeated, not to be secret
    sizes = {
        stratum: max(1, round(share * len(ids))) if len(ids) > 1 else 0
        for stratum, ids in members.items()
    }
    return {
        clip_id for stratum, ids in members.items() for clip_id in draw.sample(ids, sizes[stratum])
    }


def share_of_speakers(clips: Sequence[Clip], share: float) -> frozenset[str]:
    """About `share` of the speakers: of many draws, the one whose classes come nearest to that
    share of each.

    A draw that lacks a class, or takes all of it, comes last. Raises CorpusError for fewer than two
    speakers.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in speakers_of(clips)}
    for clip, stratum in zip(clips, strata(clips), strict=True):
        counts[str(clip.speaker)][stratum] += 1
    if len(counts) < 2:
        raise CorpusError(
            "the corpus has too few speakers to divide by speaker: use another protocol"
        )
    totals = sum(counts.values(), Counter[str]())
    size = max(1, round(share * len(counts)))
    draw = random.Random(SEED)  # noqa: S311

    def uneven(speakers: Iterable[str]) -> tuple[int, float]:
        taken = sum((counts[name] for name in speakers), Counter[str]())
        shares = [taken[stratum] / total for stratum, total in totals.items()]
        return sum(s in (0, 1) for s in shares), sum(abs(s - share) for s in shares)

    return frozenset(min((draw.sample(list(counts), size) for _ in range(DRAWS)), key=uneven))


def groups_of_speakers(clips: Sequence[Clip], k: int) -> list[set[str]]:
    """All speakers in `k` groups with about as many clips of each class. Raises CorpusError for
    fewer than `k`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    place = {
        name: number for number, name in enumerate(speakers_of(clips))
    }  # pseudonyms differ between machines
    if len(place) < k:
        raise CorpusError(
            f"{len(place)} speakers cannot make {k} speaker-disjoint folds: use another protocol"
        )
    groups = [place[str(clip.speaker)] for clip in clips]
    with _sklearn(f"{k} speaker-disjoint folds"):
        parts = list(StratifiedGroupKFold(k).split(clips, strata(clips), groups))
    return [{str(clips[i].speaker) for i in tested} for _, tested in parts]


def random_groups(clips: Sequence[Clip], k: int) -> list[set[str]]:
    """All clip ids in `k` random groups with as many clips of each class."""
    from sklearn.model_selection import StratifiedKFold

    with _sklearn(f"{k} folds"):
        parts = list(
            StratifiedKFold(k, shuffle=True, random_state=SEED).split(clips, strata(clips))
        )
    return [{clips[i].id for i in tested} for _, tested in parts]


def random_share(clips: Sequence[Clip], share: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """The rest, and a stratified random share, as scikit-learn's `train_test_split` draws it."""
    from sklearn.model_selection import train_test_split

    with _sklearn(f"a random division of {len(clips)} clips"):
        rest, drawn = train_test_split(
            list(clips), test_size=share, stratify=strata(clips), random_state=seed
        )
    return rest, drawn


def strata(clips: Iterable[Clip]) -> list[str]:
    """Each clip's label; of several, the one that is rarest in the corpus."""
    clips = list(clips)
    uses = Counter(label for clip in clips for label in clip.labels)
    return [min(clip.labels, key=lambda label: (uses[label], label), default="") for clip in clips]


def speakers_of(clips: Iterable[Clip]) -> list[str]:
    """Each speaker once, in the order of the clips. Raises CorpusError if a clip has none."""
    clips = list(clips)
    if nameless := [clip for clip in clips if clip.speaker is None]:
        raise CorpusError(
            f"the protocol divides by speaker, and {len(nameless)} clips have none: {named(nameless)}; "
            "say who speaks, or use another protocol"
        )
    return list(dict.fromkeys(str(clip.speaker) for clip in clips))


def named(clips: Sequence[Clip]) -> str:
    """The first few clips as their user knows them, and how many more there are."""
    more = f" and {len(clips) - _NAMED} more" if len(clips) > _NAMED else ""
    return ", ".join(clip.where or clip.id for clip in clips[:_NAMED]) + more


@contextmanager
def _sklearn(what: str) -> Iterator[None]:
    """Too few clips of a class as one sentence; what is a mere warning is left to the check of the
    folds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ValueError as error:
            raise CorpusError(
                f"too few clips of a class for {what}: add clips, or use another protocol"
            ) from error
