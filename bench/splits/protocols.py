"""Ways to divide a corpus, for tasks to choose from; `bench.splits.leakage.check` looks at every
fold before it is used.

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
    """One fold per speaker, named after it; or for the speakers named alone."""
    return lambda clips, _: _by_speaker(
        clips, {name: {name} for name in only or sorted(speakers_of(clips))}
    )


def speaker_groups(groups: Sequence[Collection[str]]) -> Split:
    """One fold per group of test speakers; every speaker of the corpus is in exactly one group."""

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        if strangers := sorted(set(speakers_of(clips)).difference(*groups)):
            raise CorpusError(
                f"the protocol has no fold for the speakers {', '.join(strangers)}: use another protocol"
            )
        return _by_speaker(clips, _numbered(groups))

    return split


def consecutive_speakers(size: int) -> Split:
    """Folds of `size` test speakers each, in the order of their names."""

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        names = sorted(speakers_of(clips))
        return _by_speaker(
            clips, _numbered([names[i : i + size] for i in range(0, len(names), size)])
        )

    return split


def speaker_kfold(k: int, never_tested: Collection[str] = ()) -> Split:
    """`k` folds of whole speakers, balanced by class; the speakers `never_tested` are in every
    training part.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        groups = groups_of_speakers([clip for clip in clips if clip.speaker not in never_tested], k)
        return _by_speaker(clips, _numbered(groups), never_tested)

    return split


def held_out_speakers(test: float, k: int) -> Split:
    """A share of the speakers, tested in every fold; each of `k` balanced groups of the others
    validates in one.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        tested = share_of_speakers(clips, test)
        groups = groups_of_speakers([clip for clip in clips if clip.speaker not in tested], k)
        return [
            _whole_speakers(name, clips, valid, tested) for name, valid in _numbered(groups).items()
        ]

    return split


def stratified(test: float, valid: float | None = None, seed: int = SEED) -> Split:
    """One random division of every class; speakers and copies are not looked at.

    Without a share `valid` of the corpus, validation is cut from the training part.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        training, rest = random_share(clips, test + (valid or 0), seed)
        if valid is None:
            return [_cut("1", training, rest)]
        validation, tested = random_share(rest, test / (valid + test), seed)
        return [Fold("1", _ids(training), _ids(validation), _ids(tested))]

    return split


def stratified_kfold(k: int) -> Split:
    """`k` random folds, balanced by class; speakers and copies are not looked at."""

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        groups = _numbered(random_groups(clips, k)).items()
        return [
            _cut(name, [c for c in clips if c.id not in g], [c for c in clips if c.id in g])
            for name, g in groups
        ]

    return split


def predefined() -> Split:
    """The parts that the corpus itself states; where it has no validation part, one is cut from its
    training part.
    """

    def split(clips: Sequence[Clip], _: Mapping[str, str]) -> list[Fold]:
        train, valid, test = ([clip for clip in clips if clip.split == part] for part in PARTS)
        if valid:
            return [Fold("1", _ids(train), _ids(valid), _ids(test))]
        speakers = {clip.speaker for clip in train}
        return [_cut("1", train, test, by_speaker=None not in speakers and len(speakers) > 1)]

    return split


def without_copies(split: Split) -> Split:
    """`split`, its test parts untouched, less every training or validation clip whose audio is also
    tested.

    Where training and validation share audio, the copy that trains is left out.
    """
    return lambda clips, content: [_without_copies(fold, content) for fold in split(clips, content)]


def split_hash(folds: Sequence[Fold]) -> str:
    """32 hex digits that identify folds, the order of their clips included."""
    return digest([[fold.name, fold.train, fold.valid, fold.test] for fold in folds])


def _by_speaker(
    clips: Sequence[Clip], groups: Mapping[str, Collection[str]], never_tested: Collection[str] = ()
) -> list[Fold]:
    """One fold per group of test speakers, its validation speakers chosen among the others."""
    folds = []
    for name, tested in groups.items():
        others = [clip for clip in clips if clip.speaker not in {*tested, *never_tested}]
        folds.append(_whole_speakers(name, clips, share_of_speakers(others, VALIDATION), tested))
    return folds


def _whole_speakers(
    name: str, clips: Sequence[Clip], valid: Collection[str], test: Collection[str]
) -> Fold:
    train = [clip for clip in clips if clip.speaker not in test and clip.speaker not in valid]
    return Fold(
        name, _ids(train), *(_ids(c for c in clips if c.speaker in part) for part in (valid, test))
    )


def _cut(
    name: str, training: Sequence[Clip], test: Iterable[Clip], by_speaker: bool = False
) -> Fold:
    """A fold whose validation part is cut from `training`."""
    if by_speaker:
        speakers = share_of_speakers(training, VALIDATION)
        valid = {clip.id for clip in training if clip.speaker in speakers}
    else:
        valid = share_of_classes(training, VALIDATION)
    train = [clip for clip in training if clip.id not in valid]
    return Fold(name, _ids(train), _ids(clip for clip in training if clip.id in valid), _ids(test))


def _numbered(groups: Sequence[Collection[str]]) -> dict[str, Collection[str]]:
    return {str(number): group for number, group in enumerate(groups, start=1)}


def _ids(clips: Iterable[Clip]) -> tuple[str, ...]:
    return tuple(clip.id for clip in clips)


def _without_copies(fold: Fold, content: Mapping[str, str]) -> Fold:
    tested = {content[clip] for clip in fold.test}
    valid = tuple(clip for clip in fold.valid if content[clip] not in tested)
    later = tested | {content[clip] for clip in valid}
    return Fold(
        fold.name,
        tuple(clip for clip in fold.train if content[clip] not in later),
        valid,
        fold.test,
    )
