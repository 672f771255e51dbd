"""The card of a corpus: what is in it, what is odd about it, what each protocol leaks."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import registry
from bench.contracts.clip import Clip, Recording
from bench.contracts.task import Expected, Protocol, Task
from bench.data.cache import Cache
from bench.data.corpus import Corpus, load
from bench.data.corpus_card import Card, card
from bench.splits.protocols import (
    leave_one_speaker_out,
    speaker_kfold,
    stratified_kfold,
)
from tests.helpers import Tones, tones


@pytest.fixture(scope="session")
def ravdess(ravdess_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Card:
    """All of RAVDESS, decoded once."""
    cache = Cache(tmp_path_factory.mktemp("ravdess"))
    return card(load(registry.tasks(["ravdess"])[0], ravdess_root, cache))


def test_the_card_of_ravdess(ravdess: Card) -> None:
    assert (ravdess.clips, ravdess.speakers, ravdess.warnings) == (1440, 24, ())
    assert ravdess.hours == pytest.approx(1.48, abs=0.005)
    assert ravdess.labels["neutral"] == 96
    assert dict(ravdess.rates) == {16_000: 1440}
    assert (
        ravdess.copies.groups,
        ravdess.copies.clips,
        ravdess.copies.labels_differ,
    ) == (1, 2, 0)
    assert ravdess.missing == {}


def test_every_protocol_of_ravdess_passes_and_the_published_one_owns_up(
    ravdess: Card,
) -> None:
    found = {division.name: division for division in ravdess.divisions}
    assert list(found) == ["speaker", "speaker-3", "published"]
    assert [d.violation for d in ravdess.divisions] == [""] * 3
    assert [d.notes for d in ravdess.divisions][:2] == [(), ()]
    assert "all 288 test clips are of speakers that are heard in training" in " ".join(
        found["published"].notes
    )
    assert found["speaker"].sizes[0] == ("1", 1020, 180, 240)


def test_the_text_says_all_of_it(ravdess: Card) -> None:
    text = ravdess.text()
    for line in (
        "clips       1,440 of 1,440",
        "hours       1.48 of 1.48",
        "speakers    24 of 24",
        "recorded at 16,000 Hz (1,440 files)",
        "copies      1 group of identical audio, 2 clips; 0 with different labels, 0 with different speakers",  # noqa: E501 - a table, or code, of one line each
        "missing     none",
        "protocol speaker (default): EmoBox's 6 folds",
        "fold 6      1,020 train, 180 valid, 240 test",
    ):
        assert line in text
    assert "WARNING" not in text
    assert len({d.split for d in ravdess.divisions}) == 3


def second() -> bytes:
    held = io.BytesIO()
    soundfile.write(held, np.zeros(8_000), 8_000, format="WAV")
    return held.getvalue()


SECOND = second()  # of silence, at 8 kHz


class Odd(Task):
    """Six speakers, all clips of one length, two of them identical under different labels and
    speakers.
    """

    title = "Odd"
    labels = ("a", "b", "never")
    languages = ("en",)
    default_protocol = "speaker"
    expected = Expected(
        clips=25, speakers=6, labels={"a": 12, "b": 13, "never": 0}, hours=1.0
    )

    def clips(self, root: Path | None) -> list[Clip]:
        return [
            Clip(f"{s}{n}", Recording(data=SECOND), ("ab"[n % 2],), str(s))
            for s in range(6)
            for n in range(4)
        ]

    def protocols(self) -> Mapping[str, Protocol]:
        return {
            "speaker": Protocol(
                "2 folds", speaker_kfold(2), speaker_disjoint=True, audio_disjoint=False
            ),
            "strict": Protocol(
                "one out",
                leave_one_speaker_out(),
                speaker_disjoint=True,
                audio_disjoint=True,
            ),
            "random": Protocol(
                "3 folds",
                stratified_kfold(3),
                speaker_disjoint=False,
                audio_disjoint=False,
            ),
            "huge": Protocol(
                "9 folds", speaker_kfold(9), speaker_disjoint=True, audio_disjoint=False
            ),
        }


@pytest.fixture
def odd() -> Card:
    clips = Odd("odd").clips(None)
    content = {clip.id: clip.id for clip in clips} | {"00": "same", "31": "same"}
    return card(
        Corpus(Odd("odd"), tuple(clips), content, {clip.id: 2.0 for clip in clips})
    )


def test_what_is_odd_is_loud(odd: Card) -> None:
    assert odd.warnings == (
        "not the complete corpus: 24 clips instead of 25, 12 clips of b instead of 13",
        "0.01 hours instead of 1.00",
        "all clips last 2.00 s: were they padded or cut?",
        "no clip of never",
    )
    assert all(f"WARNING     {warning}" in odd.text() for warning in odd.warnings)
    assert dict(odd.rates) == {8_000: 24}
    assert (odd.copies.labels_differ, odd.copies.speakers_differ) == (1, 1)


def test_every_warning_is_a_note_of_every_table() -> None:
    from bench.runs.division import divide

    clips = Odd("odd").clips(None)
    ids = {clip.id: clip.id for clip in clips}
    corpus = Corpus(Odd("odd"), tuple(clips), ids, {clip.id: 2.0 for clip in clips})
    assert set(card(corpus).warnings) <= set(divide(corpus.task, corpus, None).notes)
    assert "all clips last 2.00 s: were they padded or cut?" in corpus.caveats
    uneven = Corpus(corpus.task, corpus.clips, ids, {**corpus.seconds, "00": 2.1})
    assert not any(
        "all clips last" in note for note in divide(uneven.task, uneven, None).notes
    )


def test_clips_that_cannot_be_read_are_not_missing_from_the_corpus() -> None:
    clips = Odd("odd").clips(None)
    ids, seconds = (
        {clip.id: clip.id for clip in clips},
        {clip.id: 2.0 for clip in clips},
    )
    whole = Corpus(Odd("odd"), tuple(clips), ids, seconds)
    without = Corpus(
        Odd("odd"), tuple(clips[1:]), ids, seconds, missing=((clips[0], "empty"),)
    )
    assert (
        without.caveats[0]
        == whole.caveats[0]
        == "not the complete corpus: 24 clips instead of 25, 12 clips of b instead of 13"
    )


def test_a_protocol_that_cannot_be_used_says_why(odd: Card) -> None:
    found = {division.name: division for division in odd.divisions}
    assert (
        "have identical audio, which the protocol rules out: 31"
        in found["strict"].violation
    )
    assert (
        found["huge"].violation
        == "6 speakers cannot make 9 speaker-disjoint folds: use another protocol"
    )
    assert found["speaker"].violation == ""
    assert any(
        "not speaker-disjoint: all 24 test clips" in note
        for note in found["random"].notes
    )
    assert "CANNOT BE USED" in odd.text()


def test_a_corpus_without_expectations(tmp_path: Path) -> None:
    corpus, _ = tones(tmp_path)
    made = card(corpus)
    assert made.clips == 36
    assert isinstance(corpus.task, Tones)
    assert "clips       36\n" in made.text()
    assert made.copies.groups == 0
    assert made.checksum == corpus.checksum
