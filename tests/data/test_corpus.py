"""Loading a corpus: every clip decoded once, every unusable one named, nothing of a private one
told.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

import bench.data.corpus
from bench.contracts.clip import Clip, Recording
from bench.contracts.task import Protocol, Task
from bench.data.audio import decode
from bench.data.cache import Cache
from bench.data.corpus import load
from bench.errors import CorpusError


class Clips(Task):
    """A task of given clips."""

    title = "Given"
    labels = ("calm", "angry")
    languages = ("en",)
    default_protocol = "none"

    def __init__(self, clips: list[Clip], private: bool = False) -> None:
        super().__init__("given")
        self.given, self.private = clips, private

    def clips(self, root: Path | None) -> list[Clip]:
        return self.given

    def protocols(self) -> Mapping[str, Protocol]:
        return {}


def write(path: Path, seed: int, samples: int = 8_000) -> Path:
    soundfile.write(
        path, 0.1 * np.random.default_rng(seed).standard_normal(samples), 16_000
    )
    return path


def make(folder: Path, count: int = 4) -> list[Clip]:
    paths = [write(folder / f"{n}.wav", n, 8_000 + 160 * n) for n in range(count)]
    return [
        Clip(p.stem, Recording(p), ("calm", "angry")[n % 2 :][:1], where=str(p))
        for n, p in enumerate(paths)
    ]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    """Every recording that is decoded in the test."""
    seen: list[Recording] = []

    def counting(recording: Recording) -> np.ndarray:
        seen.append(recording)
        return decode(recording)

    monkeypatch.setattr(bench.data.corpus, "decode", counting)
    return seen


def test_a_corpus_knows_content_and_duration(tmp_path: Path, cache: Cache) -> None:
    clips = make(tmp_path)
    corpus = load(Clips(clips), None, cache)
    assert corpus.clips == tuple(clips)
    assert corpus.missing == ()
    assert corpus.seconds == {str(n): 0.5 + 0.01 * n for n in range(4)}
    assert corpus.by_id["2"] is clips[2]
    found = cache.waveform(corpus.content["2"])
    assert found is not None
    assert np.array_equal(found, decode(clips[2].audio))


def test_clips_are_decoded_once_whatever_their_files_are_called(
    tmp_path: Path, cache: Cache, decoded: list[Recording]
) -> None:
    clips = make(tmp_path)
    first = load(Clips(clips), None, cache)
    assert len(decoded) == 4
    os.utime(tmp_path / "0.wav", (1, 1))
    renamed = (tmp_path / "1.wav").rename(tmp_path / "other.wav")
    clips[1] = Clip("1", Recording(renamed), clips[1].labels)
    again = load(Clips(clips), None, cache)
    assert len(decoded) == 4
    assert again.content == first.content
    assert again.checksum == first.checksum


def test_the_checksum_follows_samples_labels_and_speakers(
    tmp_path: Path, cache: Cache
) -> None:
    clips = make(tmp_path)
    checksum = load(Clips(clips), None, cache).checksum
    assert load(Clips(clips[::-1]), None, cache).checksum == checksum
    relabelled = [Clip("0", clips[0].audio, ("angry",)), *clips[1:]]
    spoken = [Clip("0", clips[0].audio, ("calm",), speaker="s"), *clips[1:]]
    seen = {
        load(Clips(c), None, cache).checksum for c in (relabelled, spoken, clips[1:])
    }
    write(tmp_path / "0.wav", 99)
    seen.add(load(Clips(clips), None, cache).checksum)
    assert len(seen | {checksum}) == 5


def test_a_corrupted_entry_of_the_cache_is_decoded_again(
    tmp_path: Path, cache: Cache, decoded: list[Recording]
) -> None:
    clips = make(tmp_path)
    first = load(Clips(clips), None, cache)
    damaged = next((cache.root / "audio").rglob("*.npy"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert load(Clips(clips), None, cache).content == first.content
    assert len(decoded) == 5


def damage(clips: list[Clip]) -> None:
    for n, clip in enumerate(clips):
        assert clip.audio.path is not None
        [
            clip.audio.path.unlink,
            lambda p=clip.audio.path: p.write_bytes(p.read_bytes()[:-8000]),
        ][n % 2]()


def test_all_unusable_clips_are_named_in_one_error(
    tmp_path: Path, cache: Cache
) -> None:
    clips = make(tmp_path)
    damage(clips[1:3])
    with pytest.raises(CorpusError) as raised:
        load(Clips(clips), None, cache)
    assert str(raised.value) == (
        f"given: 2 of 4 clips cannot be used: {tmp_path}/1.wav (missing file), {tmp_path}/2.wav (truncated: 0.27 s of "  # noqa: E501 - a table, or code, of one line each
        "0.52 s); fix them, or go on without them with --skip-bad-audio"
    )


def test_unusable_clips_can_be_skipped_and_stay_counted(
    tmp_path: Path, cache: Cache
) -> None:
    clips = make(tmp_path)
    damage(clips[1:3])
    corpus = load(Clips(clips), None, cache, skip_bad=True)
    assert corpus.clips == (clips[0], clips[3])
    assert set(corpus.content) == set(corpus.seconds) == {"0", "3"}
    assert corpus.missing == (
        (clips[1], "missing file"),
        (clips[2], "truncated: 0.27 s of 0.52 s"),
    )


def test_a_corpus_without_one_usable_clip_cannot_be_skipped(
    tmp_path: Path, cache: Cache
) -> None:
    clips = make(tmp_path)
    damage(clips)
    with pytest.raises(CorpusError, match="4 of 4 clips cannot be used"):
        load(Clips(clips), None, cache, skip_bad=True)


def test_every_unusable_clip_is_named(tmp_path: Path, cache: Cache) -> None:
    clips = [
        Clip(f"c{n}", Recording(tmp_path / f"{n}.wav"), ("calm",)) for n in range(25)
    ]
    with pytest.raises(
        CorpusError,
        match=r"25 of 25 .* c9 \(missing file\), .* c24 \(missing file\); fix them",
    ):
        load(Clips(clips), None, cache)


def test_ids_used_twice(tmp_path: Path, cache: Cache) -> None:
    clips = make(tmp_path)
    twin = Clip("1", clips[0].audio, ("calm",))
    with pytest.raises(
        CorpusError, match=r"2 clips share their id with another: .*1\.wav, 1; "
    ):
        load(Clips([*clips, twin]), None, cache)


@pytest.mark.parametrize(
    ("labels", "named"),
    [(("bored",), "bored"), ((), "no label"), (("calm", "angry"), "calm|angry")],
)
def test_labels_that_the_task_does_not_have(
    tmp_path: Path, cache: Cache, labels: tuple[str, ...], named: str
) -> None:
    clips = [*make(tmp_path), Clip("odd", Recording(data=b""), labels)]
    with pytest.raises(CorpusError) as raised:
        load(Clips(clips), None, cache)
    expected = f"given: 1 clips are not labelled as the task asks: odd ({named}); the labels are calm, angry"  # noqa: E501 - a table, or code, of one line each
    assert str(raised.value) == expected


def test_several_labels_and_none_fit_a_multilabel_task(
    tmp_path: Path, cache: Cache
) -> None:
    first, second, *_ = make(tmp_path)
    task = Clips(
        [Clip("0", first.audio, ()), Clip("1", second.audio, ("calm", "angry"))]
    )
    task.multilabel = True
    assert len(load(task, None, cache).clips) == 2


def test_a_corpus_without_clips(cache: Cache) -> None:
    with pytest.raises(CorpusError, match="there are no clips"):
        load(Clips([]), None, cache)


@pytest.mark.parametrize("fault", ["audio", "label", "id"])
def test_an_error_of_a_private_corpus_tells_rows_alone(
    tmp_path: Path, cache: Cache, fault: str
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    clips = [
        Clip(f"secret-{n}", c.audio, c.labels, where=f"row {n + 1}")
        for n, c in enumerate(make(secret))
    ]
    if fault == "audio":
        (secret / "0.wav").write_text("secret text")
        (secret / "1.wav").unlink()
    clips += [Clip("secret-0", clips[0].audio, ("calm",), where="row 5")] * (
        fault == "id"
    )
    clips += [Clip("secret-9", clips[0].audio, ("secret label",), where="row 5")] * (
        fault == "label"
    )
    with pytest.raises(CorpusError) as raised:
        load(Clips(clips, private=True), None, cache)
    assert "secret" not in str(raised.value)
    assert ("row 5" in str(raised.value)) == (fault != "audio")
    assert ("row 1 (unreadable" in str(raised.value)) == (fault == "audio")


def test_identical_audio_of_ravdess_is_found(ravdess_root: Path, cache: Cache) -> None:
    names = ["03-01-03-01-02-01-07", "03-01-03-01-02-02-07", "03-01-03-01-01-01-07"]
    clips = [
        Clip(n, Recording(ravdess_root / "Actor_07" / f"{n}.wav"), ("calm",))
        for n in names
    ]
    content = load(Clips(clips), None, cache).content
    assert content[names[0]] == content[names[1]] != content[names[2]]
    assert {u.kind: u.files for u in cache.size()}["audio"] == 2
