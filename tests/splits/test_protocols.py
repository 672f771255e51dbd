"""Divisions of a corpus: who is tested when, what never mixes, and the check for leakage."""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from bench.contracts.clip import Clip, Recording
from bench.contracts.task import Fold, Protocol, Split
from bench.errors import CorpusError
from bench.splits.leakage import check
from bench.splits.protocols import (
    consecutive_speakers,
    held_out_speakers,
    leave_one_speaker_out,
    predefined,
    speaker_groups,
    speaker_kfold,
    split_hash,
    stratified,
    stratified_kfold,
    without_copies,
)

LABELS = ("calm", "happy", "sad")


def corpus(speakers: int = 10, each: int = 12, known: bool = True) -> list[Clip]:
    """Clips of speakers of unequal size and unequal taste."""
    draw = random.Random(4)
    clips = []
    for number in range(speakers):
        taste = [1 + draw.random() for _ in LABELS]
        for n in range(each + number % 4):
            label = LABELS[n] if n < len(LABELS) else draw.choices(LABELS, taste)[0]
            clips.append(
                Clip(
                    f"{number:02}-{n:02}",
                    Recording(),
                    (label,),
                    f"{number:02}" if known else None,
                )
            )
    return clips


def own_audio(clips: Sequence[Clip]) -> dict[str, str]:
    return {clip.id: f"audio of {clip.id}" for clip in clips}


def protocol(
    split: Split, speakers: bool = False, audio: bool = False, shared: bool = False
) -> Protocol:
    return Protocol("a test's", split, speakers, audio, shared_test=shared)


def divide(
    split: Split, clips: Sequence[Clip], content: Mapping[str, str] | None = None
) -> list[Fold]:
    return list(split(clips, content or own_audio(clips)))


def speakers(ids: Sequence[str]) -> set[str]:
    return {clip_id[:2] for clip_id in ids}


BY_SPEAKER = {
    "leave one out": leave_one_speaker_out(),
    "groups": speaker_groups([[f"{i:02}", f"{i + 5:02}"] for i in range(5)]),
    "consecutive": consecutive_speakers(3),
    "k folds": speaker_kfold(5),
}


@pytest.mark.parametrize("split", BY_SPEAKER.values(), ids=BY_SPEAKER)
def test_speakers_never_mix_and_every_clip_is_tested_once(split: Split) -> None:
    clips = corpus()
    folds = divide(split, clips)
    for fold in folds:
        train, valid, test = (
            speakers(fold.train),
            speakers(fold.valid),
            speakers(fold.test),
        )
        assert len(train) + len(valid) + len(test) == 10
        assert len(fold.train) + len(fold.valid) + len(fold.test) == len(clips)
    assert Counter(c for fold in folds for c in fold.test) == Counter(
        c.id for c in clips
    )
    assert (
        check(
            folds, clips, protocol(split, speakers=True, audio=True), own_audio(clips)
        )
        == ()
    )


@pytest.mark.parametrize("split", BY_SPEAKER.values(), ids=BY_SPEAKER)
def test_validation_is_a_seventh_or_so_and_holds_every_class(split: Split) -> None:
    clips = corpus()
    label = {clip.id: clip.labels[0] for clip in clips}
    for fold in divide(split, clips):
        assert {label[c] for c in fold.valid} == set(LABELS)
        assert 0.08 < len(fold.valid) / (len(fold.valid) + len(fold.train)) < 0.25


def test_folds_are_named_as_their_speakers_or_numbered() -> None:
    clips = corpus(4)
    assert [f.name for f in divide(leave_one_speaker_out(), clips)] == [
        "00",
        "01",
        "02",
        "03",
    ]
    folds = divide(consecutive_speakers(2), corpus(5))
    assert [(f.name, speakers(f.test)) for f in folds] == [
        ("1", {"00", "01"}),
        ("2", {"02", "03"}),
        ("3", {"04"}),
    ]


def test_groups_must_name_every_speaker() -> None:
    with pytest.raises(CorpusError, match="no fold for the speakers 02, 03"):
        divide(speaker_groups([["00"], ["01"]]), corpus(4))


def test_k_folds_are_balanced_by_class() -> None:
    clips = corpus(40, 20)
    label = {clip.id: clip.labels[0] for clip in clips}
    totals = Counter(label.values())
    for fold in divide(speaker_kfold(5), clips):
        for name, count in Counter(label[c] for c in fold.test).items():
            assert abs(count / totals[name] - 0.2) < 0.04


def test_speakers_kept_out_of_tests_always_train() -> None:
    clips = corpus()
    folds = divide(speaker_kfold(3, never_tested=["00"]), clips)
    assert all("00" in speakers(fold.train) for fold in folds)
    assert {s for fold in folds for s in speakers(fold.test)} == {
        f"{i:02}" for i in range(1, 10)
    }
    found = check(
        folds,
        clips,
        protocol(speaker_kfold(3), speakers=True, audio=True),
        own_audio(clips),
    )
    assert found == (f"12 of {len(clips)} clips are in no test part",)


def test_held_out_speakers_test_in_every_fold_and_the_others_validate_once() -> None:
    clips = corpus(20)
    split = held_out_speakers(0.2, 5)
    folds = divide(split, clips)
    assert len({fold.test for fold in folds}) == 1
    assert len(speakers(folds[0].test)) == 4
    validated = Counter(c for fold in folds for c in fold.valid)
    assert set(validated.values()) == {1}
    assert set(validated) | set(folds[0].test) == {clip.id for clip in clips}
    promise = protocol(split, speakers=True, audio=True, shared=True)
    assert check(folds, clips, promise, own_audio(clips)) == ()
    with pytest.raises(CorpusError, match=r"folds 1 and 2 both test \d+ clips"):
        check(folds, clips, replace(promise, shared_test=False), own_audio(clips))


def test_a_shared_test_part_must_be_the_same() -> None:
    clips = corpus()
    split = speaker_kfold(2)
    with pytest.raises(CorpusError, match="do not share their test part"):
        check(
            divide(split, clips), clips, protocol(split, shared=True), own_audio(clips)
        )


def test_pseudonyms_of_speakers_change_no_balanced_fold() -> None:
    clips = corpus()
    hashed = [
        replace(clip, speaker=f"{(int(str(clip.speaker)) * 7919) % 97:x}")
        for clip in clips
    ]
    assert divide(speaker_kfold(4), clips) == divide(speaker_kfold(4), hashed)


def test_a_stratified_division_has_the_asked_shares_of_each_class() -> None:
    clips = corpus(10, 20, known=False)
    label = {clip.id: clip.labels[0] for clip in clips}
    totals = Counter(label.values())
    (fold,) = divide(stratified(test=0.1, valid=0.1), clips)
    for part in (fold.valid, fold.test):
        assert all(
            abs(n / totals[name] - 0.1) < 0.03
            for name, n in Counter(label[c] for c in part).items()
        )
    (cut,) = divide(stratified(test=0.2), clips)
    assert len(cut.test) == -(-len(clips) // 5)
    assert abs(len(cut.valid) / len(clips) - 0.8 * 0.15) < 0.02


def test_random_folds_test_every_clip_once_and_own_up_to_shared_speakers() -> None:
    clips = corpus()
    split = stratified_kfold(4)
    folds = divide(split, clips)
    assert Counter(c for fold in folds for c in fold.test) == Counter(
        c.id for c in clips
    )
    found = check(folds, clips, protocol(split), own_audio(clips))
    assert found == (
        f"not speaker-disjoint: all {len(clips)} test clips are of speakers that are heard in "
        "training",
    )


def test_unknown_speakers_are_told() -> None:
    clips = corpus(known=False)
    found = check(
        divide(stratified_kfold(3), clips),
        clips,
        protocol(stratified_kfold(3)),
        own_audio(clips),
    )
    assert [note for note in found if "have no speaker" in note]
    with pytest.raises(
        CorpusError, match=r"divides by speaker, and \d+ clips have none: 00-00"
    ):
        divide(speaker_kfold(3), clips)


def test_the_corpus_own_parts_are_kept() -> None:
    clips = [
        replace(c, split="test" if c.speaker in ("08", "09") else "train")
        for c in corpus()
    ]
    (fold,) = divide(predefined(), clips)
    assert speakers(fold.test) == {"08", "09"}
    assert not speakers(fold.valid) & speakers(fold.train)
    with_valid = [replace(c, split="valid") if c.speaker == "00" else c for c in clips]
    (fold,) = divide(predefined(), with_valid)
    assert speakers(fold.valid) == {"00"}


def test_splits_are_deterministic_and_their_hash_tells_them_apart() -> None:
    clips = corpus()
    for split in (*BY_SPEAKER.values(), stratified_kfold(3), stratified(test=0.2)):
        assert split_hash(divide(split, clips)) == split_hash(divide(split, clips))
    assert len(
        {split_hash(divide(split, clips)) for split in BY_SPEAKER.values()}
    ) == len(BY_SPEAKER)
    first, *rest = divide(speaker_kfold(3), clips)
    assert split_hash([replace(first, train=first.train[1:]), *rest]) != split_hash(
        [first, *rest]
    )


def test_copies_of_tested_audio_leave_training_and_stay_in_the_test() -> None:
    clips = corpus()
    content = own_audio(clips)
    split = stratified_kfold(3)
    plain = divide(split, clips)
    twin, original = plain[0].train[0], plain[0].test[0]
    content[twin] = content[original]
    tested_copies = (
        f"2 of {len(clips)} test clips have an identical copy in training or validation"
    )
    assert tested_copies in check(
        plain, clips, protocol(split), content
    )  # the twin is tested in another fold
    clean = divide(without_copies(split), clips, content)
    assert [fold.test for fold in clean] == [fold.test for fold in plain]
    assert twin not in clean[0].train
    check(clean, clips, protocol(split, audio=True), content)
    with pytest.raises(
        CorpusError, match="have identical audio, which the protocol rules out"
    ):
        check(plain, clips, protocol(split, audio=True), content)


def test_copies_in_training_are_counted_where_nothing_else_is_promised() -> None:
    clips = corpus()
    (fold,) = divide(stratified(test=0.2), clips)
    content = own_audio(clips) | {
        fold.train[0]: "same",
        fold.test[0]: "same",
        fold.test[1]: "same",
    }
    found = check([fold], clips, protocol(stratified(test=0.2)), content)
    assert (
        f"2 of {len(fold.test)} test clips have an identical copy in training or validation"
        in found
    )


def _fold(clips: Sequence[Clip], **changes: Sequence[str]) -> Fold:
    """A sound fold of ten speakers, with some parts replaced."""
    parts = {
        "train": ("00", "01", "02", "03", "04", "05", "06"),
        "valid": ("07",),
        "test": ("08", "09"),
    }
    made = {
        part: tuple(c.id for c in clips if c.speaker in names)
        for part, names in parts.items()
    }
    return Fold("x", **{**made, **{part: tuple(ids) for part, ids in changes.items()}})


def test_a_sound_fold_passes() -> None:
    clips = corpus()
    promise = protocol(stratified_kfold(2), speakers=True, audio=True)
    assert check([_fold(clips)], clips, promise, own_audio(clips)) == ()


BROKEN = {
    "an empty part": ({"valid": ()}, "fold x has an empty valid part"),
    "a clip on two sides": (
        {"valid": ("00-00",)},
        "fold x: 1 train clips and the valid part are the same",
    ),
    "an unknown clip": (
        {"valid": ("nobody",)},
        "fold x holds 1 clips that are not in the corpus",
    ),
    "a clip twice in a part": (
        {"valid": ("07-00", "07-00")},
        "fold x holds a clip twice in one part",
    ),
    "a speaker on two sides": (
        {
            "valid": ("07-00",),
            "train": ("07-01", *(f"0{s}-0{n}" for s in (0, 1) for n in range(3))),
        },
        "share a speaker, which the protocol rules out",
    ),
    "a class without training": (
        {"train": ("00-00", "00-01")},
        "fold x has no training clip of sad",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_fold_is_named(
    changes: Mapping[str, Sequence[str]], message: str
) -> None:
    clips = corpus()
    promise = protocol(stratified_kfold(2), speakers=True, audio=True)
    with pytest.raises(CorpusError, match=re.escape(message)):
        check([_fold(clips, **changes)], clips, promise, own_audio(clips))


def test_no_fold_at_all_is_an_error() -> None:
    with pytest.raises(CorpusError, match="gives no fold"):
        check([], corpus(), protocol(stratified_kfold(2)), {})


def test_too_small_a_corpus_is_one_sentence() -> None:
    with pytest.raises(
        CorpusError, match="2 speakers cannot make 5 speaker-disjoint folds"
    ):
        divide(speaker_kfold(5), corpus(2))
    with pytest.raises(CorpusError, match="too few speakers to divide by speaker"):
        divide(leave_one_speaker_out(), corpus(2))
    with pytest.raises(CorpusError, match="too few clips of a class"):
        divide(stratified(test=0.2), [*corpus(2), Clip("odd", Recording(), ("rare",))])


def test_several_labels_divide_by_the_rarest() -> None:
    clips = [
        replace(c, labels=(*c.labels, "tired") if n % 9 == 0 else c.labels)
        for n, c in enumerate(corpus())
    ]
    tired = {clip.id for clip in clips if "tired" in clip.labels}
    for fold in divide(stratified_kfold(3), clips):
        assert abs(len(tired & set(fold.test)) - len(tired) / 3) <= 1
