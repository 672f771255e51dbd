"""Even shares of a set of clips: of its classes, or of its speakers. They depend on the clips and
their order alone, not on a training seed.
"""

import random
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from bench.contracts.clip import Clip
from bench.errors import CorpusError, and_more

PARTS = ("train", "valid", "test")
SEED = 0  # of every draw here, whatever the training seed
DRAWS = 200  # sets of speakers that are drawn, of which the most even one is taken
NAMED = 5  # clips that an error names before it counts the rest


def share_of_classes(clips: Sequence[Clip], share: float) -> set[str]:
    """Ids of about `share` of the clips of each class, at least one of a class that has two."""
    members: dict[str, list[str]] = {}
    for clip, stratum in zip(clips, strata(clips), strict=True):
        ids = members.setdefault(stratum, [])
        ids.append(clip.id)
    draw = random.Random(SEED)  # noqa: S311 - must be repeatable, not secret
    chosen: set[str] = set()
    for ids in members.values():
        if len(ids) == 1:
            continue
        size = max(1, round(share * len(ids)))
        chosen.update(draw.sample(ids, size))
    return chosen


def share_of_speakers(clips: Sequence[Clip], share: float) -> frozenset[str]:
    """About `share` of the speakers: of many draws, the one whose classes come nearest to that
    share of each.

    A draw that lacks a class, or takes all of it, comes last. Raises CorpusError for fewer than two
    speakers.
    """
    counts = _counts_by_speaker(clips)
    if len(counts) < 2:
        raise CorpusError(
            "the corpus has too few speakers to divide by speaker: use another protocol"
        )
    speakers = list(counts)
    size = max(1, round(share * len(speakers)))
    draw = random.Random(SEED)  # noqa: S311 - must be repeatable, not secret
    candidates = (draw.sample(speakers, size) for _ in range(DRAWS))
    totals = _total(counts.values())

    def unevenness(candidate: Iterable[str]) -> tuple[int, float]:
        taken = _total(counts[name] for name in candidate)
        return _unevenness(taken, totals, share)

    return frozenset(min(candidates, key=unevenness))


def groups_of_speakers(clips: Sequence[Clip], k: int) -> list[set[str]]:
    """All speakers in `k` groups with about as many clips of each class. Raises CorpusError for
    fewer than `k`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    # by number: pseudonyms differ between machines
    numbers = {name: number for number, name in enumerate(speakers_of(clips))}
    if len(numbers) < k:
        raise CorpusError(
            f"{len(numbers)} speakers cannot make {k} speaker-disjoint folds: use another protocol"
        )
    groups = [numbers[str(clip.speaker)] for clip in clips]
    with _sklearn(f"{k} speaker-disjoint folds"):
        parts = list(StratifiedGroupKFold(k).split(clips, strata(clips), groups))
    return [{str(clips[i].speaker) for i in tested} for _, tested in parts]


def random_groups(clips: Sequence[Clip], k: int) -> list[set[str]]:
    """All clip ids in `k` random groups with as many clips of each class."""
    from sklearn.model_selection import StratifiedKFold

    with _sklearn(f"{k} folds"):
        folds = StratifiedKFold(k, shuffle=True, random_state=SEED)
        parts = list(folds.split(clips, strata(clips)))
    return [{clips[i].id for i in tested} for _, tested in parts]


def random_share(
    clips: Sequence[Clip], share: float, seed: int
) -> tuple[list[Clip], list[Clip]]:
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

    def rarity(label: str) -> tuple[int, str]:
        return uses[label], label

    return [min(clip.labels, key=rarity, default="") for clip in clips]


def speakers_of(clips: Iterable[Clip]) -> list[str]:
    """Each speaker once, in the order of the clips. Raises CorpusError if a clip has none."""
    clips = list(clips)
    nameless = [clip for clip in clips if clip.speaker is None]
    if nameless:
        raise CorpusError(
            f"the protocol divides by speaker, and {len(nameless)} clips have none: "
            f"{named(nameless)}; add their speakers, or use another protocol"
        )
    return list(dict.fromkeys(str(clip.speaker) for clip in clips))


def named(clips: Sequence[Clip]) -> str:
    """The first few clips as their user knows them, and how many more there are."""
    names = [clip.where or clip.id for clip in clips]
    return and_more(names, NAMED)


def _counts_by_speaker(clips: Sequence[Clip]) -> dict[str, Counter[str]]:
    """The clips of each speaker by class."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in speakers_of(clips)}
    for clip, stratum in zip(clips, strata(clips), strict=True):
        by_class = counts[str(clip.speaker)]
        by_class[stratum] += 1
    return counts


def _total(counts: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _unevenness(
    taken: Counter[str], totals: Counter[str], share: float
) -> tuple[int, float]:
    """How many classes are missing or taken whole, and how far the classes are from `share`."""
    shares = [taken[stratum] / total for stratum, total in totals.items()]
    extremes = [one for one in shares if one in (0, 1)]
    deviations = [abs(one - share) for one in shares]
    return len(extremes), sum(deviations)


@contextmanager
def _sklearn(what: str) -> Iterator[None]:
    """Report too few clips of a class in one sentence. Warnings are left to the check of folds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ValueError as error:
            raise CorpusError(
                f"too few clips of a class for {what}: add clips, or use another protocol"
            ) from error
