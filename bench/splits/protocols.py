"""Ways to divide a corpus, for tasks to choose from. `bench.splits.leakage.check` checks every fold
before it is used.

A builder returns the `split` of a `bench.contracts.task.Protocol`. All are deterministic, whatever
the training seed. Validation is always cut from the training part: whole speakers where the test
part is whole speakers, else a share of each class.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from bench.contracts.clip import Clip
from bench.contracts.task import Fold, Split
from bench.errors import CorpusError
from bench.fingerprint import digest
from bench.splits.sampling import (
    PARTS,
    SEED,
    groups_of_speakers,
    random_groups,
    random_share,
    share_of_classes,
    share_of_speakers,
    speakers_of,
)

VALIDATION = 0.15  # share of the training part, or of its speakers


def leave_one_speaker_out(*only: str) -> Split:
    """One fold per speaker, named after it; of all speakers, or of those in `only`."""

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        names = only or sorted(speakers_of(clips))
        return _by_speaker(clips, {name: {name} for name in names})

    return split


def speaker_groups(groups: Sequence[Collection[str]]) -> Split:
    """One fold per group of test speakers; every speaker of the corpus is in exactly one group."""

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        unassigned = set(speakers_of(clips)).difference(*groups)
        if unassigned:
            names = ", ".join(sorted(unassigned))
            raise CorpusError(
                f"the protocol has no fold for the speakers {names}: use another protocol"
            )
        return _by_speaker(clips, _numbered(groups))

    return split


def consecutive_speakers(size: int) -> Split:
    """Folds of `size` test speakers each, in the order of their names."""

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        names = sorted(speakers_of(clips))
        starts = range(0, len(names), size)
        groups = [names[start : start + size] for start in starts]
        return _by_speaker(clips, _numbered(groups))

    return split


def speaker_kfold(k: int, never_tested: Collection[str] = ()) -> Split:
    """`k` folds of whole speakers, balanced by class; the speakers `never_tested` are in every
    training part.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        candidates = _without_speakers(clips, never_tested)
        groups = groups_of_speakers(candidates, k)
        return _by_speaker(clips, _numbered(groups), never_tested)

    return split


def held_out_speakers(test: float, k: int) -> Split:
    """A share of the speakers, tested in every fold; each of `k` balanced groups of the others
    validates in one.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        tested = share_of_speakers(clips, test)
        others = _without_speakers(clips, tested)
        groups = groups_of_speakers(others, k)
        folds = []
        for name, valid in _numbered(groups).items():
            fold = _whole_speakers(name, clips, valid, tested)
            folds.append(fold)
        return folds

    return split


def stratified(test: float, valid: float | None = None, seed: int = SEED) -> Split:
    """One random division of every class; speakers and copies are ignored.

    Without a share `valid` of the corpus, validation is cut from the training part.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        if valid is None:
            training, tested = random_share(clips, test, seed)
            return [_cut("1", training, tested)]
        training, rest = random_share(clips, test + valid, seed)
        share_of_rest = test / (valid + test)
        validation, tested = random_share(rest, share_of_rest, seed)
        return [_fold("1", training, validation, tested)]

    return split


def stratified_kfold(k: int) -> Split:
    """`k` random folds, balanced by class; speakers and copies are ignored."""

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        groups = random_groups(clips, k)
        folds = []
        for name, tested in _numbered(groups).items():
            training, test = _divide(clips, tested)
            fold = _cut(name, training, test)
            folds.append(fold)
        return folds

    return split


def predefined() -> Split:
    """The parts that the corpus itself states; where it has no validation part, one is cut from its
    training part.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        parts: dict[str | None, list[Clip]] = {part: [] for part in PARTS}
        for clip in clips:
            if clip.split in parts:
                parts[clip.split].append(clip)
        train = parts["train"]
        valid = parts["valid"]
        test = parts["test"]
        if valid:
            return [_fold("1", train, valid, test)]
        speakers = {clip.speaker for clip in train}
        by_speaker = None not in speakers and len(speakers) > 1
        return [_cut("1", train, test, by_speaker)]

    return split


def without_copies(split: Split) -> Split:
    """`split` without the training and validation clips whose audio is also tested. Test parts stay
    as they are.

    If training and validation share audio, the training copy is left out.
    """

    def without(clips: Sequence[Clip], content: Mapping[str, str]) -> list[Fold]:
        return [_without_copies(fold, content) for fold in split(clips, content)]

    return without


def split_hash(folds: Sequence[Fold]) -> str:
    """32 hex digits that identify folds, the order of their clips included."""
    content = []
    for fold in folds:
        content.append([fold.name, fold.train, fold.valid, fold.test])
    return digest(content)


def _by_speaker(
    clips: Sequence[Clip],
    groups: Mapping[str, Collection[str]],
    never_tested: Collection[str] = (),
) -> list[Fold]:
    """One fold per group of test speakers, its validation speakers chosen among the others."""
    folds = []
    for name, tested in groups.items():
        others = _without_speakers(clips, {*tested, *never_tested})
        valid = share_of_speakers(others, VALIDATION)
        fold = _whole_speakers(name, clips, valid, tested)
        folds.append(fold)
    return folds


def _whole_speakers(
    name: str, clips: Sequence[Clip], valid: Collection[str], test: Collection[str]
) -> Fold:
    """The fold with these validation and test speakers; all others train."""
    training = _without_speakers(clips, {*valid, *test})
    validation = _of_speakers(clips, valid)
    tested = _of_speakers(clips, test)
    return _fold(name, training, validation, tested)


def _cut(
    name: str, training: Sequence[Clip], test: Iterable[Clip], by_speaker: bool = False
) -> Fold:
    """A fold whose validation part is cut from `training`."""
    if by_speaker:
        speakers = share_of_speakers(training, VALIDATION)
        train = _without_speakers(training, speakers)
        valid = _of_speakers(training, speakers)
    else:
        chosen = share_of_classes(training, VALIDATION)
        train, valid = _divide(training, chosen)
    return _fold(name, train, valid, test)


def _without_copies(fold: Fold, content: Mapping[str, str]) -> Fold:
    tested = {content[clip] for clip in fold.test}
    valid = [clip for clip in fold.valid if content[clip] not in tested]
    validated = {content[clip] for clip in valid}
    evaluated = tested | validated
    train = [clip for clip in fold.train if content[clip] not in evaluated]
    return Fold(
        fold.name,
        tuple(train),
        tuple(valid),
        fold.test,
    )


def _fold(
    name: str, train: Iterable[Clip], valid: Iterable[Clip], test: Iterable[Clip]
) -> Fold:
    return Fold(
        name,
        _ids(train),
        _ids(valid),
        _ids(test),
    )


def _ids(clips: Iterable[Clip]) -> tuple[str, ...]:
    return tuple(clip.id for clip in clips)


def _of_speakers(clips: Iterable[Clip], speakers: Collection[str]) -> list[Clip]:
    return [clip for clip in clips if clip.speaker in speakers]


def _without_speakers(clips: Iterable[Clip], speakers: Collection[str]) -> list[Clip]:
    return [clip for clip in clips if clip.speaker not in speakers]


def _divide(
    clips: Iterable[Clip], ids: Collection[str]
) -> tuple[list[Clip], list[Clip]]:
    """The clips whose id is not in `ids`, and those whose id is."""
    others = []
    chosen = []
    for clip in clips:
        if clip.id in ids:
            chosen.append(clip)
        else:
            others.append(clip)
    return others, chosen


def _numbered(groups: Sequence[Collection[str]]) -> dict[str, Collection[str]]:
    numbers = range(1, len(groups) + 1)
    names = map(str, numbers)
    return dict(zip(names, groups, strict=True))
