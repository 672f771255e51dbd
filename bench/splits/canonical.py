"""Folds that the recordings decide: not the order of the rows, nor what files, speakers and classes
are called.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.contracts.clip import Clip
from bench.contracts.task import Fold, Split
from bench.fingerprint import digest

Places = Mapping[str | None, int]  # what a class or a speaker is called -> its number
Key = tuple[str, list[int], str]  # what a clip is, apart from all names


def canonical(split: Split, labels: Sequence[str]) -> Split:
    """`split`, drawn from clips in canonical order and without their names.

    Clips are ordered by the hash of their samples, then by their labels (in the order of `labels`),
    speakers by the hash of their clips. `split` sees numbers in place of names. The same recordings
    with the same labels therefore give the same folds on every machine, under pseudonyms too; only
    clips and speakers that nothing but their names tells apart may change places.
    """
    classes = _numbered(labels)

    def drawn(clips: Sequence[Clip], content: Mapping[str, str]) -> list[Fold]:
        keys = {clip.id: _key(clip, content, classes) for clip in clips}
        speakers = _speakers(clips, keys)

        def place(clip: Clip) -> tuple[Key, int, str]:
            return keys[clip.id], speakers[clip.speaker], clip.id

        ordered = sorted(clips, key=place)
        names = [clip.id for clip in ordered]
        nameless = []
        samples = {}
        for number, clip in enumerate(ordered):
            one = _nameless(clip, number, classes, speakers)
            nameless.append(one)
            samples[one.id] = content[clip.id]
        return [_named(fold, names) for fold in split(nameless, samples)]

    return drawn


def _key(clip: Clip, content: Mapping[str, str], classes: Places) -> Key:
    labels = sorted(classes[label] for label in clip.labels)
    return content[clip.id], labels, clip.split or ""


def _speakers(clips: Iterable[Clip], keys: Mapping[str, Key]) -> Places:
    """The number of each speaker, by the hash of what the speaker's clips are."""
    spoken: dict[str | None, list[Key]] = {}
    for clip in clips:
        own = spoken.setdefault(clip.speaker, [])
        own.append(keys[clip.id])
    hashes = {speaker: digest(sorted(own)) for speaker, own in spoken.items()}

    def place(speaker: str | None) -> tuple[str, str]:
        return hashes[speaker], speaker or ""

    return _numbered(sorted(spoken, key=place))


def _nameless(clip: Clip, number: int, classes: Places, speakers: Places) -> Clip:
    """A clip that is known by its place alone; errors name it as before."""
    labels = [_text(classes[label]) for label in clip.labels]
    speaker = None
    if clip.speaker is not None:
        speaker = _text(speakers[clip.speaker])
    return replace(
        clip,
        id=str(number),
        labels=tuple(labels),
        speaker=speaker,
        where=clip.where or clip.id,
    )


def _named(fold: Fold, names: Sequence[str]) -> Fold:
    """A fold of numbers as one of the clips' ids."""
    train, valid, test = (
        tuple(names[int(number)] for number in part)
        for part in (fold.train, fold.valid, fold.test)
    )
    return Fold(fold.name, train, valid, test)


def _numbered(names: Sequence[str | None]) -> Places:
    return {name: number for number, name in enumerate(names)}


def _text(number: int) -> str:
    """A number that sorts as a text."""
    return f"{number:09}"
