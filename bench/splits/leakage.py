"""The check that every fold passes before it is used: what a protocol promises must hold, the rest
is measured.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from bench.contracts.clip import Clip
from bench.contracts.task import Fold, Protocol
from bench.errors import CorpusError
from bench.splits.sampling import PARTS, named, speakers_of


def check(
    folds: Sequence[Fold], clips: Sequence[Clip], protocol: Protocol, content: Mapping[str, str]
) -> tuple[str, ...]:
    """What a table must say of these folds beyond what is promised. `content`: clip id -> hash of
    its samples.

    Raises CorpusError for no fold, an empty part, an unknown clip, a clip in two parts, a class
    missing from a training part, a clip tested in two folds (unless all folds share one test part,
    as promised), and for a speaker or identical audio in two parts where the protocol promises
    none.
    """
    known = {clip.id: clip for clip in clips}
    speakers = {clip.id: clip.speaker or f"no speaker: {clip.id}" for clip in clips}
    if protocol.speaker_disjoint:
        speakers_of(clips)
    if not folds:
        raise CorpusError("the protocol gives no fold: the corpus is too small for it")
    for fold in folds:
        _check_parts(fold, known)
        _check_classes(fold, known)
        if protocol.speaker_disjoint:
            _check_disjoint(fold, known, speakers, "share a speaker")
        if protocol.audio_disjoint:
            _check_disjoint(fold, known, content, "have identical audio")
    _check_tests(folds, known, protocol)
    return tuple(_findings(folds, known, protocol, speakers, content))


def _check_parts(fold: Fold, known: Mapping[str, Clip]) -> None:
    """Every part holds clips of the corpus, and no clip is anywhere twice."""
    if empty := [part for part in PARTS if not getattr(fold, part)]:
        raise CorpusError(
            f"fold {fold.name} has an empty {' and '.join(empty)} part: the corpus is too small for it"
        )
    every = [*fold.train, *fold.valid, *fold.test]
    if strangers := [clip for clip in every if clip not in known]:
        raise CorpusError(
            f"fold {fold.name} holds {len(strangers)} clips that the corpus does not: mend the protocol"
        )
    _check_disjoint(fold, known, {clip: clip for clip in known}, "are the same")
    if len(set(every)) < len(every):
        raise CorpusError(f"fold {fold.name} holds a clip twice in one part: mend the protocol")


def _check_classes(fold: Fold, known: Mapping[str, Clip]) -> None:
    absent = _labels(known, known) - _labels(fold.train, known)
    if absent:
        raise CorpusError(
            f"fold {fold.name} has no training clip of {', '.join(sorted(absent))}: use a protocol with other folds"
        )


def _check_disjoint(
    fold: Fold, known: Mapping[str, Clip], key: Mapping[str, str], what: str
) -> None:
    for one, other in combinations(PARTS, 2):
        there = {key[clip] for clip in getattr(fold, other)}
        if shared := [known[clip] for clip in getattr(fold, one) if key[clip] in there]:
            raise CorpusError(
                f"fold {fold.name}: {len(shared)} {one} clips and the {other} part {what}, which the protocol rules "
                f"out: {named(shared)}"
            )


def _check_tests(folds: Sequence[Fold], known: Mapping[str, Clip], protocol: Protocol) -> None:
    """Every clip is tested at most once, or all folds test the same ones."""
    if protocol.shared_test:
        if len({frozenset(fold.test) for fold in folds}) > 1:
            raise CorpusError(
                "the folds do not share their test part, as their protocol says: mend the protocol"
            )
        return
    for one, other in combinations(folds, 2):
        if twice := set(one.test) & set(other.test):
            clips = [known[clip] for clip in one.test if clip in twice]
            raise CorpusError(
                f"folds {one.name} and {other.name} both test {len(clips)} clips: {named(clips)}"
            )


def _findings(
    folds: Sequence[Fold],
    known: Mapping[str, Clip],
    protocol: Protocol,
    speakers: Mapping[str, str],
    content: Mapping[str, str],
) -> Iterator[str]:
    tested = {clip for fold in folds for clip in fold.test}
    if not protocol.speaker_disjoint:
        if heard := _leaks(folds, speakers):
            share = "all" if heard == len(tested) else f"{heard} of"
            yield f"not speaker-disjoint: {share} {len(tested)} test clips are of speakers that are heard in training"
        if unknown := sum(known[clip].speaker is None for clip in tested):
            yield f"{unknown} of {len(tested)} test clips have no speaker: whether training hears them cannot be told"
    if not protocol.audio_disjoint and (copies := _leaks(folds, content)):
        yield f"{copies} of {len(tested)} test clips have an identical copy in training or validation"
    if spare := max(
        len(known) - len(fold.train) - len(fold.valid) - len(fold.test) for fold in folds
    ):
        yield f"up to {spare} clips per fold are in no part of it"
    if len(folds) > 1 and not protocol.shared_test and (never := len(known) - len(tested)):
        yield f"{never} of {len(known)} clips are in no test part"
    for part, name in (("valid", "validation"), ("test", "test")):
        if lacking := sum(
            _labels(getattr(fold, part), known) < _labels(known, known) for fold in folds
        ):
            yield f"the {name} part of {lacking} of {len(folds)} folds lacks a class"


def _leaks(folds: Sequence[Fold], key: Mapping[str, str]) -> int:
    """Test clips whose key is in training or validation, too."""
    found: set[str] = set()
    for fold in folds:
        heard = {key[clip] for clip in (*fold.train, *fold.valid)}
        found |= {clip for clip in fold.test if key[clip] in heard}
    return len(found)


def _labels(clips: Iterable[str], known: Mapping[str, Clip]) -> set[str]:
    return {label for clip in clips for label in known[clip].labels}
