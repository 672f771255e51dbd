"""The check that every fold passes before it is used: what a protocol promises must hold, and what
it does not promise is measured.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.contracts.clip import Clip
from bench.contracts.task import Fold, Protocol
from bench.errors import CorpusError
from bench.splits.sampling import PARTS, named, speakers_of

EVALUATED = {
    "valid": "validation",
    "test": "test",
}  # the parts that need every class for their UA


@dataclass(frozen=True)
class _Division:
    """The folds of a protocol on a corpus."""

    folds: Sequence[Fold]
    clips: Mapping[str, Clip]  # by id
    speakers: Mapping[
        str, str
    ]  # by clip id; a clip without a speaker counts as a speaker
    content: Mapping[str, str]  # clip id -> hash of its samples


def check(
    folds: Sequence[Fold],
    clips: Sequence[Clip],
    protocol: Protocol,
    content: Mapping[str, str],
) -> tuple[str, ...]:
    """What tables must report about these folds beyond the promises of the protocol.

    `content` maps a clip's id to the hash of its samples.

    Raises:
        CorpusError: there is no fold, a part is empty, a clip is unknown or in two parts, a class
            is missing from a training part, or a clip is tested in two folds (unless the protocol
            promises one test part for all folds); or a speaker or identical audio is in two parts,
            and the protocol promises that none is.
    """
    by_id = {clip.id: clip for clip in clips}
    speakers = {clip.id: clip.speaker or f"no speaker: {clip.id}" for clip in clips}
    if protocol.speaker_disjoint:
        speakers_of(clips)
    if not folds:
        raise CorpusError("the protocol gives no fold: the corpus is too small for it")
    for fold in folds:
        _check_parts(fold, by_id)
        _check_classes(fold, by_id)
        if protocol.speaker_disjoint:
            _check_disjoint(fold, by_id, speakers, "share a speaker")
        if protocol.audio_disjoint:
            _check_disjoint(fold, by_id, content, "have identical audio")
    if protocol.shared_test:
        _check_shared_test(folds)
    else:
        _check_tested_once(folds, by_id)
    return tuple(_findings(_Division(folds, by_id, speakers, content), protocol))


def _check_parts(fold: Fold, by_id: Mapping[str, Clip]) -> None:
    """Every part holds clips of the corpus, and no clip is anywhere twice."""
    empty = [part for part in PARTS if not getattr(fold, part)]
    if empty:
        parts = " and ".join(empty)
        raise CorpusError(
            f"fold {fold.name} has an empty {parts} part: the corpus is too small for it"
        )
    every = [*fold.train, *fold.valid, *fold.test]
    unknown = [clip for clip in every if clip not in by_id]
    if unknown:
        raise CorpusError(
            f"fold {fold.name} holds {len(unknown)} clips that are not in the corpus: "
            "fix the protocol"
        )
    identity = {clip: clip for clip in by_id}
    _check_disjoint(fold, by_id, identity, "are the same")
    if len(set(every)) < len(every):
        raise CorpusError(
            f"fold {fold.name} holds a clip twice in one part: fix the protocol"
        )


def _check_classes(fold: Fold, by_id: Mapping[str, Clip]) -> None:
    missing = _labels(by_id, by_id) - _labels(fold.train, by_id)
    if missing:
        labels = ", ".join(sorted(missing))
        raise CorpusError(
            f"fold {fold.name} has no training clip of {labels}: use a protocol with other folds"
        )


def _check_disjoint(
    fold: Fold, by_id: Mapping[str, Clip], key: Mapping[str, str], relation: str
) -> None:
    for one, other in combinations(PARTS, 2):
        taken = {key[clip] for clip in getattr(fold, other)}
        shared = [clip for clip in getattr(fold, one) if key[clip] in taken]
        if shared:
            clips = [by_id[clip] for clip in shared]
            raise CorpusError(
                f"fold {fold.name}: {len(clips)} {one} clips and the {other} part {relation}, "
                f"which the protocol rules out: {named(clips)}"
            )


def _check_shared_test(folds: Sequence[Fold]) -> None:
    tests = {frozenset(fold.test) for fold in folds}
    if len(tests) > 1:
        raise CorpusError(
            "the folds do not share their test part, as their protocol promises: fix the protocol"
        )


def _check_tested_once(folds: Sequence[Fold], by_id: Mapping[str, Clip]) -> None:
    for one, other in combinations(folds, 2):
        in_both = set(one.test) & set(other.test)
        if in_both:
            ids = [clip for clip in one.test if clip in in_both]
            clips = [by_id[clip] for clip in ids]
            raise CorpusError(
                f"folds {one.name} and {other.name} both test {len(clips)} clips: {named(clips)}"
            )


def _findings(division: _Division, protocol: Protocol) -> Iterator[str]:
    if not protocol.speaker_disjoint:
        yield from _speaker_findings(division)
    if not protocol.audio_disjoint:
        yield from _copy_findings(division)

    yield from _unused(division)
    if len(division.folds) > 1 and not protocol.shared_test:
        yield from _untested(division)
    yield from _lacking_classes(division)


def _speaker_findings(division: _Division) -> Iterator[str]:
    tested = _tested(division.folds)
    total = len(tested)
    heard = _leaks(division.folds, division.speakers)
    if heard:
        share = "all" if heard == total else f"{heard} of"
        yield (
            f"not speaker-disjoint: {share} {total} test clips are of speakers that are heard in "
            "training"
        )
    unknown = sum(division.clips[clip].speaker is None for clip in tested)
    if unknown:
        yield (
            f"{unknown} of {total} test clips have no speaker: whether training hears them is "
            "unknown"
        )


def _copy_findings(division: _Division) -> Iterator[str]:
    copies = _leaks(division.folds, division.content)
    if copies:
        total = len(_tested(division.folds))
        yield f"{copies} of {total} test clips have an identical copy in training or validation"


def _unused(division: _Division) -> Iterator[str]:
    """Clips that are in no part of a fold."""
    sizes = []
    for fold in division.folds:
        size = len(fold.train) + len(fold.valid) + len(fold.test)
        sizes.append(size)
    spare = len(division.clips) - min(sizes)
    if spare:
        yield f"up to {spare} clips per fold are in no part of it"


def _untested(division: _Division) -> Iterator[str]:
    total = len(division.clips)
    never = total - len(_tested(division.folds))
    if never:
        yield f"{never} of {total} clips are in no test part"


def _lacking_classes(division: _Division) -> Iterator[str]:
    every = _labels(division.clips, division.clips)
    total = len(division.folds)
    for part, name in EVALUATED.items():
        lacking = 0
        for fold in division.folds:
            present = _labels(getattr(fold, part), division.clips)
            lacking += present < every
        if lacking:
            yield f"the {name} part of {lacking} of {total} folds lacks a class"


def _tested(folds: Sequence[Fold]) -> set[str]:
    tested: set[str] = set()
    for fold in folds:
        tested.update(fold.test)
    return tested


def _leaks(folds: Sequence[Fold], key: Mapping[str, str]) -> int:
    """Test clips whose key is also in training or validation."""
    leaking: set[str] = set()
    for fold in folds:
        training = (*fold.train, *fold.valid)
        heard = {key[clip] for clip in training}
        leaking.update(clip for clip in fold.test if key[clip] in heard)
    return len(leaking)


def _labels(clips: Iterable[str], by_id: Mapping[str, Clip]) -> set[str]:
    labels: set[str] = set()
    for clip in clips:
        labels.update(by_id[clip].labels)
    return labels
