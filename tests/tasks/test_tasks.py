"""The corpora: RAVDESS as it is, EmoDB, ViSEC and the hotline in corpora of the same form that the
tests make.
"""

import io
import random
import struct
import wave
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

import tasks.visec
from bench import registry
from bench.contracts.clip import Clip
from bench.contracts.task import Fold, Task
from bench.data.cache import Cache
from bench.data.corpus import Corpus, load
from bench.errors import CorpusError
from bench.fingerprint import digest
from bench.runs.division import divide
from bench.splits.leakage import check
from tasks import ravdess
from tasks.emodb import COUNTS, LETTERS, SPEAKERS

VISEC_LABELS = {"happy": 1228, "neutral": 1507, "sad": 1079, "angry": 1466}


VARIANTS = [
    name
    for task in registry.tasks(["all"])
    for name in (task.name, *(f"{task.name}:{variant}" for variant in task.variants))
]


def task(name: str) -> Task:
    return registry.tasks([name])[0]


def labels(clips: list[Clip], ids: tuple[str, ...]) -> list[int]:
    """How many of `ids` have each label, in the order of ViSEC's."""
    label = {clip.id: clip.labels[0] for clip in clips}
    return [Counter(label[i] for i in ids)[name] for name in VISEC_LABELS]


def folds(
    which: Task, protocol: str, clips: list[Clip], content: dict[str, str] | None = None
) -> list[Fold]:
    return list(
        which.protocols()[protocol].split(
            clips, content or {clip.id: clip.id for clip in clips}
        )
    )


# RAVDESS


def test_ravdess_is_complete(ravdess_root: Path) -> None:
    corpus = task("ravdess")
    clips = corpus.clips(ravdess_root)
    assert len(clips) == 1440
    assert corpus.notes == ()
    assert Counter(c.labels[0] for c in clips) == {
        n: 96 if n == "neutral" else 192 for n in ravdess.LABELS
    }
    assert {c.speaker for c in clips} == {f"{n:02}" for n in range(1, 25)}
    one = next(clip for clip in clips if clip.id == "03-01-05-02-01-01-14")
    assert (one.labels, one.speaker) == (("angry",), "14")
    assert dict(one.meta) == {
        "gender": "female", "intensity": "strong", "statement": "Kids are talking by the door", "repetition": "1"  # noqa: E501 - a table, or code, of one line each
    }  # fmt: skip


def test_ravdess_speaker_folds_are_emobox_s(ravdess_root: Path) -> None:
    corpus = task("ravdess")
    divided = folds(corpus, corpus.default_protocol, corpus.clips(ravdess_root))
    tested = [{clip_id[-2:] for clip_id in fold.test} for fold in divided]
    assert tested == [
        {"01", "11", "20", "21"}, {"04", "10", "12", "14"}, {"08", "09", "19", "23"},
        {"03", "05", "07", "24"}, {"02", "15", "16", "18"}, {"06", "13", "17", "22"},
    ]  # fmt: skip
    assert all(
        (len(f.train), len(f.valid), len(f.test)) == (1020, 180, 240) for f in divided
    )


def test_ravdess_folds_of_three_actors_test_all_of_it_once(ravdess_root: Path) -> None:
    corpus = task("ravdess")
    divided = folds(corpus, "speaker-3", corpus.clips(ravdess_root))
    assert [{clip_id[-2:] for clip_id in f.test} for f in divided][:2] == [
        {"01", "02", "03"},
        {"04", "05", "06"},
    ]
    assert (
        sum(len(f.test) for f in divided)
        == len({c for f in divided for c in f.test})
        == 1440
    )
    assert len(divided) == 8


def test_ravdess_published_division_is_of_288_clips_and_owns_up(
    ravdess_root: Path,
) -> None:
    corpus = task("ravdess")
    clips = corpus.clips(ravdess_root)
    divided = folds(corpus, "published", clips)
    assert [(len(f.train), len(f.valid), len(f.test)) for f in divided] == [
        (979, 173, 288)
    ]
    found = check(
        divided, clips, corpus.protocols()["published"], {c.id: c.id for c in clips}
    )
    assert found == (
        "not speaker-disjoint: all 288 test clips are of speakers that are heard in training",
    )


def test_ravdess_is_found_in_any_case(tmp_path: Path) -> None:
    """As copies that went through other systems have it."""
    usual = task("ravdess").clips(tree(tmp_path / "usual"))
    top = tree(tmp_path / "other", nested="audio_speech_actors_01-24")
    for folder in (top / "audio_speech_actors_01-24").iterdir():
        for path in folder.iterdir():
            path.rename(path.with_suffix(".WAV"))
        folder.rename(folder.with_name(folder.name.lower()))
    corpus = task("ravdess")
    clips = corpus.clips(top)
    assert corpus.notes == ()
    assert [clip.id for clip in clips] == [clip.id for clip in usual]
    assert all(clip.audio.path and clip.audio.path.is_file() for clip in clips)


def tree(root: Path, actors: int = 24, nested: str = "") -> Path:
    """RAVDESS's tree, of empty files."""
    for actor in range(1, actors + 1):
        folder = root / nested / f"Actor_{actor:02}"
        folder.mkdir(parents=True)
        for emotion in range(1, 9):
            for intensity in ("01", "02") if emotion > 1 else ("01",):
                for tail in ("01-01", "01-02", "02-01", "02-02"):
                    (
                        folder / f"03-01-{emotion:02}-{intensity}-{tail}-{actor:02}.wav"
                    ).touch()
    return root


def test_ravdess_reads_the_archive_s_own_folder(tmp_path: Path) -> None:
    corpus = task("ravdess")
    assert len(corpus.clips(tree(tmp_path, nested="Audio_Speech_Actors_01-24"))) == 1440
    assert corpus.notes == ()


def test_an_incomplete_ravdess_says_so(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "Actor_07" / "03-01-05-01-01-01-07.wav").unlink()
    corpus = task("ravdess")
    assert len(corpus.clips(root)) == 1439
    assert corpus.notes == (
        "not the complete corpus: 1,439 clips instead of 1,440, 191 clips of angry instead of 192",
    )


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("03-01-09-01-01-01-01.wav", "unlike 03-01-05-02-01-01-01.wav"),
        ("03-02-05-01-01-01-01.wav", "song"),
        ("01-01-05-01-01-01-01.mp4", "video"),
        ("03-01-05-01-01-01-02.wav", "of actor 02, in another's folder"),
    ],
)
def test_ravdess_names_a_file_that_is_none_of_it(
    tmp_path: Path, name: str, fault: str
) -> None:
    root = tree(tmp_path, actors=3)
    (root / "Actor_01" / name).touch()
    (
        root / "Actor_01" / "._03-01-05-01-01-01-01.wav"
    ).touch()  # some systems leave these beside every file
    with pytest.raises(CorpusError) as error:
        task("ravdess").clips(root)
    assert f"1 of 181 files are not RAVDESS speech: Actor_01/{name} ({fault})" in str(
        error.value
    )


@pytest.mark.parametrize("name", ["ravdess", "emodb"])
def test_an_absent_corpus_tells_where_to_get_it(tmp_path: Path, name: str) -> None:
    for root in (None, tmp_path / "nowhere", tmp_path):
        with pytest.raises(CorpusError, match=rf"download .* --data {name}=PATH"):
            task(name).clips(root)


# EmoDB


def emodb(root: Path) -> Path:
    """Empty files with EmoDB's counts: of each speaker, and of each emotion."""
    letter = {label: key for key, label in LETTERS.items()}
    pool = [letter[label] for label, count in COUNTS.items() for _ in range(count)]
    random.Random(0).shuffle(pool)
    for speaker, count in SPEAKERS.items():
        for number in range(count):
            sentence, version = divmod(number, 20)
            (
                root
                / f"{speaker}{'ab'[sentence % 2]}{sentence:02}{pool.pop()}{chr(ord('a') + version)}.wav"  # noqa: E501 - a table, or code, of one line each
            ).touch()
    return root


def test_emodb_reads_names_and_leaves_each_speaker_out(tmp_path: Path) -> None:
    (tmp_path / "wav").mkdir()
    corpus = task("emodb")
    clips = corpus.clips(emodb(tmp_path / "wav").parent)
    assert corpus.notes == ()
    assert corpus.clips(tmp_path / "wav") == clips
    divided = folds(corpus, corpus.default_protocol, clips)
    assert [(fold.name, len(fold.test)) for fold in divided] == list(SPEAKERS.items())
    check(
        divided,
        clips,
        corpus.protocols()["speaker"],
        {clip.id: clip.id for clip in clips},
    )


def test_emodb_is_found_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    (tmp_path / "WAV").mkdir()
    usual = task("emodb").clips(emodb(tmp_path / "usual"))
    for path in emodb(tmp_path / "WAV").iterdir():
        path.rename(path.with_name(path.name.upper()))
    corpus = task("emodb")
    clips = corpus.clips(tmp_path)
    assert corpus.notes == ()
    assert [clip.id for clip in clips] == [clip.id for clip in usual]
    assert all(clip.audio.path and clip.audio.path.is_file() for clip in clips)


def sounding(root: Path, rate: int, shares: Iterator[float]) -> Corpus:
    """EmoDB with sound in its files, as long together as the corpus is, each cut to a share."""
    for number, path in enumerate(sorted(emodb(root).iterdir())):
        seconds = 2.18 + number % 25 * 0.05  # 1,487 s together
        samples = np.full(round(seconds * next(shares) * rate), 0.1)
        soundfile.write(path, samples, rate)
    return load(task("emodb"), root, Cache(root.parent / "cache"))


@pytest.mark.parametrize(
    ("rate", "least", "noticed"),
    [
        (16_000, 1.0, []),
        (16_000, 0.6, ["0.33 hours instead of 0.41"]),
        (8_000, 1.0, ["535 files are sampled at 8,000 Hz instead of 16,000 Hz"]),
    ],
)
def test_emodb_that_is_cut_or_resampled_is_noticed(
    tmp_path: Path, rate: int, least: float, noticed: list[str]
) -> None:
    draw = random.Random(3)
    shares = iter(lambda: draw.uniform(least, 1), None)
    (tmp_path / "wav").mkdir()
    assert list(sounding(tmp_path / "wav", rate, shares).caveats) == noticed


@pytest.mark.parametrize("which", VARIANTS)
def test_every_variant_of_every_corpus_knows_what_is_complete(which: str) -> None:
    corpus = task(which)
    assert corpus.expected
    assert corpus.expected.clips
    assert corpus.expected.speakers
    assert corpus.expected.rate
    says_itself = corpus.stem == "iemocap"  # its tables do
    assert corpus.expected.hours or says_itself


def test_emodb_s_first_speaker_is_tested_alone(tmp_path: Path) -> None:
    corpus = task("emodb")
    clips = corpus.clips(emodb(tmp_path))
    (fold,) = folds(corpus, "first-speaker", clips)
    speaker = {clip.id: clip.speaker for clip in clips}
    assert (fold.name, len(fold.test), {speaker[c] for c in fold.test}) == (
        "03",
        49,
        {"03"},
    )
    assert len({speaker[c] for c in fold.valid}) == 1
    assert len({speaker[c] for c in fold.train}) == 8
    protocol = corpus.protocols()["first-speaker"]
    check([fold], clips, protocol, {clip.id: clip.id for clip in clips})
    assert "one speaker of ten: 49 clips, 1 of disgust" in protocol.notes[0]
    full = next(f for f in folds(corpus, "speaker", clips) if f.name == "03")
    assert full.test == fold.test


def test_ha_s_starred_figures_are_of_one_speaker_and_of_no_count() -> None:
    corpus = task("emodb")
    starred = [f for f in corpus.published if f.protocol == "first-speaker"]
    assert sorted(f.scores["WA"] for f in starred) == [0.1929, 0.901, 0.932]
    for figure in starred[:2]:
        assert all(round(hits / 49, 3) != figure.scores["WA"] for hits in range(50))
        assert "no count of its 49 clips gives this figure" in figure.note
    in_full = {
        f.scores["WA"]
        for f in corpus.published
        if f.protocol == "speaker" and "non-local" in f.system
    }
    assert in_full == {0.917, 0.873}


def test_figures_of_visec_are_named_by_what_arithmetic_shows_them_to_be() -> None:
    """A plain accuracy of 528 clips is k / 528; a mean of four recalls need not be."""
    figures = {f.system: f for f in task("visec").published}

    def is_count(value: float) -> bool:
        return any(abs(hits / 528 - value) < 1e-4 for hits in range(529))

    assert all(
        is_count(figures[name].scores["WA"])
        for name in ("wav2vec2-base-vi", "pitch fusion", "feature fusion")
    )
    assert not any(
        is_count(figures[name].scores["UA"])
        for name in ("wav2vec2-base-vi", "pitch fusion")
    )
    quoted = figures["pitch fusion, as quoted by Wang et al."]
    assert "the original's mean recall is 71.90" in quoted.note
    assert "UA" not in quoted.scores


@pytest.mark.parametrize(("name", "label"), LETTERS.items())
def test_emodb_s_letters(tmp_path: Path, name: str, label: str) -> None:
    (tmp_path / f"03a01{name}a.wav").touch()
    (clip,) = task("emodb").clips(tmp_path)
    assert (clip.labels, clip.speaker, clip.language, clip.meta["gender"]) == (
        (label,),
        "03",
        "de",
        "male",
    )


def test_emodb_names_what_is_missing_and_what_is_odd(tmp_path: Path) -> None:
    next(emodb(tmp_path).glob("08*")).unlink()
    corpus = task("emodb")
    corpus.clips(tmp_path)
    assert "57 clips of speaker 08 instead of 58" in " ".join(corpus.notes)
    (tmp_path / "04a01Fa.wav").touch()
    with pytest.raises(
        CorpusError,
        match=r"1 of 535 files are not named like 03a01Fa\.wav: 04a01Fa\.wav",
    ):
        corpus.clips(tmp_path)


# ViSEC


def wav(number: int) -> bytes:
    """A WAV file of a few samples, one of its own for each number."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(struct.pack("<4h", number % 30_000, number // 30_000, 1, 2))
    return held.getvalue()


def write_visec(path: Path) -> Path:
    """A table with ViSEC's schema, counts and speakers; rows 2,000 to 2,276 sound as rows 5,000 to
    5,276 do.
    """
    draw = random.Random(1)
    emotions = [label for label, count in VISEC_LABELS.items() for _ in range(count)]
    draw.shuffle(emotions)
    speakers = [0] * 2217 + [1 + n % 146 for n in range(5280 - 2217)]
    order = list(VISEC_LABELS)
    table = pa.table(
        {
            "speaker_id": pa.array(speakers, pa.int64()),
            "path": [
                {"bytes": wav(n - 3000 if 5000 <= n < 5277 else n), "path": f"{n}.wav"}
                for n in range(5280)
            ],
            "duration": [2.2] * 5280,
            "accent": ["south"] * 5280,
            "emotion": emotions,
            "emotion_id": [order.index(label) for label in emotions],
            "gender": ["female"] * 5280,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.fixture(scope="session")
def visec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_visec(
        tmp_path_factory.mktemp("visec") / "data" / "train-00000-of-00001.parquet"
    )


@pytest.fixture(scope="session")
def visec_clips(visec_file: Path) -> list[Clip]:
    return task("visec").clips(visec_file)


def sounds(clips: list[Clip]) -> dict[str, str]:
    return {clip.id: digest((clip.audio.data or b"").hex()) for clip in clips}


def test_visec_reads_a_file_its_folder_or_the_hub_s_cache(
    visec_file: Path,
    visec_clips: list[Clip],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visec = task("visec")
    assert (
        visec.clips(visec_file.parent.parent)
        == visec.clips(visec_file.parent)
        == visec_clips
    )
    assert visec.notes == ()
    snapshot = (
        tmp_path / "datasets--hustep-lab--ViSEC" / "snapshots" / tasks.visec.REVISION
    )
    snapshot.mkdir(parents=True)
    (snapshot / "data").symlink_to(visec_file.parent)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert visec.clips(None) == visec_clips
    first = visec_clips[0]
    assert (first.id, first.speaker, first.where) == (
        "0001",
        "0",
        "row 1 of ViSEC (0.wav)",
    )
    assert first.audio.data == wav(0)


def test_visec_out_of_reach_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        CorpusError,
        match="ViSEC is not on this machine, and the hub is out of reach: run `bench prep",
    ):
        task("visec").clips(None)
    with pytest.raises(CorpusError, match="no parquet file of ViSEC at"):
        task("visec").clips(tmp_path)


def test_visec_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    audio = {"bytes": wav(1), "path": "a.wav"}
    rows = [
        (1, audio, "happy"),
        (1, audio, "glad"),
        (1, {"bytes": None, "path": "b.wav"}, "sad"),
        (None, audio, "sad"),
    ]
    content = {
        name: [row[i] for row in rows]
        for i, name in enumerate(("speaker_id", "path", "emotion"))
    }
    pq.write_table(pa.table(content), tmp_path / "a.parquet")
    with pytest.raises(
        CorpusError,
        match=r"3 of 4 rows .*row 2 \(the emotion 'glad'\), row 3 \(no audio\), row 4 \(no sp",
    ):
        task("visec").clips(tmp_path)
    pq.write_table(pa.table({"path": [audio]}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match="lacks the columns speaker_id, emotion"):
        task("visec").clips(tmp_path)


def test_visec_published_division_has_table_ii_s_counts(
    visec_clips: list[Clip],
) -> None:
    (fold,) = folds(task("visec"), "published", visec_clips)
    assert labels(visec_clips, fold.train) == [982, 1206, 863, 1173]
    assert labels(visec_clips, fold.valid) == [123, 151, 108, 146]
    assert labels(visec_clips, fold.test) == [123, 150, 108, 147]


def test_visec_dedup_is_the_published_one_without_copies(
    visec_clips: list[Clip],
) -> None:
    visec, content = task("visec"), sounds(visec_clips)
    (published,) = folds(visec, "published", visec_clips, content)
    (dedup,) = folds(visec, "dedup", visec_clips, content)
    found = check([published], visec_clips, visec.protocols()["published"], content)
    leaked = next(note for note in found if "identical copy" in note)
    assert leaked.startswith(tuple(f"{n} of 528 test clips" for n in range(20, 80)))
    assert dedup.test == published.test
    parts = [
        {content[clip] for clip in part}
        for part in (dedup.train, dedup.valid, dedup.test)
    ]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 5280 - 277
    check([dedup], visec_clips, visec.protocols()["dedup"], content)


def test_visec_speaker_folds_never_test_speaker_0(visec_clips: list[Clip]) -> None:
    visec, content = task("visec"), sounds(visec_clips)
    speaker = {clip.id: clip.speaker for clip in visec_clips}
    divided = folds(visec, visec.default_protocol, visec_clips, content)
    assert len(divided) == 5
    assert {speaker[c] for fold in divided for c in fold.test} == {
        str(n) for n in range(1, 147)
    }
    for fold in divided:
        assert "0" not in {speaker[c] for c in fold.valid}
        shares = [
            n / (total * 0.58)
            for n, total in zip(
                labels(visec_clips, fold.test), VISEC_LABELS.values(), strict=True
            )
        ]
        assert all(abs(share - 0.2) < 0.03 for share in shares)
    protocol = visec.protocols()["speaker"]
    check(divided, visec_clips, protocol, content)
    assert "speaker 0 (42 % of ViSEC" in protocol.notes[0]


# the hotline


def hotline(folder: Path, subjects: int = 20, each: int = 15) -> Path:
    draw = random.Random(2)
    lines = ["path,label,speaker,start,end"]
    for subject in range(subjects):
        for n in range(each):
            label = draw.choice(["negative", "non-negative"])
            lines.append(
                f"calls/Zhang-{subject}.wav,{label},Zhang {subject},{n * 5},{n * 5 + 4.5}"
            )
    path = folder / "secret-calls.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_hotline_tells_nothing_of_its_manifest(tmp_path: Path) -> None:
    corpus = task("hotline")
    clips = corpus.clips(hotline(tmp_path))
    assert len({clip.id for clip in clips}) == 300
    told = " ".join(
        f"{c.id} {c.speaker} {c.where} {dict(c.meta)} {c.language}" for c in clips
    ) + " ".join(corpus.notes)
    assert "Zhang" not in told
    assert "secret" not in told
    assert clips[3].where == "row 5 of the manifest"
    assert clips[3].audio.path == tmp_path / "calls/Zhang-0.wav"
    assert (clips[3].audio.start, clips[3].audio.end) == (15, 19.5)
    assert (corpus.positive, corpus.private) == ("negative", True)


def test_hotline_holds_a_fifth_of_the_callers_out(tmp_path: Path) -> None:
    corpus = task("hotline")
    clips = corpus.clips(hotline(tmp_path))
    held = Corpus(
        corpus, tuple(clips), {c.id: c.id for c in clips}, {c.id: 1.0 for c in clips}
    )
    speaker = {clip.id: clip.speaker for clip in clips}
    division = divide(corpus, held, None)
    assert len(division.folds) == 5
    assert len({speaker[c] for c in division.folds[0].test}) == 4
    assert len({fold.test for fold in division.folds}) == 1
    assert "the same held-out callers are tested by all 5 folds" in " ".join(
        division.notes
    )
    five = divide(corpus, held, "subject-5").folds
    assert sorted(c for fold in five for c in fold.test) == sorted(c.id for c in clips)


def test_hotline_labels_can_be_mapped(tmp_path: Path) -> None:
    path = hotline(tmp_path)
    path.write_text(
        path.read_text(encoding="utf-8")
        .replace(",negative", ",sad")
        .replace("non-negative", "fine")
    )
    with pytest.raises(CorpusError) as error:
        task("hotline").clips(path)
    assert "300 rows with an unknown label, among them row 2, 3" in str(error.value)
    assert not any(
        word in str(error.value)
        for word in ("sad", "fine", "Zhang", "secret", str(tmp_path))
    )
    path.with_suffix(".toml").write_text(
        '[map]\nsad = "negative"\nfine = "non-negative"\n'
    )
    assert {clip.labels[0] for clip in task("hotline").clips(path)} == {
        "negative",
        "non-negative",
    }


def test_hotline_needs_its_manifest_and_its_callers(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="it is private: name your own manifest"):
        task("hotline").clips(None)
    path = tmp_path / "calls.csv"
    path.write_text("path,label\na.wav,negative\n")
    with pytest.raises(
        CorpusError, match="names no speakers, by whom its protocols divide"
    ):
        task("hotline").clips(path)


def test_the_hotline_s_own_rows_follow_from_their_matrices() -> None:
    """Printed accuracy, recall and F1 of the non-negative class, to the last digit, and the table
    derived from them.
    """
    rows = task("hotline").published
    proposed = next(row for row in rows if row.system == "feature fusion")
    assert proposed.test_part
    classes = proposed.test_part.classes
    others, negatives = classes["non-negative"], classes["negative"]
    hits, rejections = 1905, 1141
    f1 = 2 * hits / (2 * hits + others - hits + negatives - rejections)
    assert round((hits + rejections) / (others + negatives), 4) == proposed.scores["WA"]
    assert round(hits / others, 4) == proposed.scores["recall (non-negative)"]
    assert round(f1, 4) == proposed.scores["F1 (non-negative)"]
    assert "UA 74.22, F1 macro 74.28, F1 (negative) 69.43" in proposed.note


def test_the_rows_of_pre_trained_models_are_weighted_f1_and_say_so() -> None:
    """Their printed recall is their F1; a weighted recall would be the accuracy."""
    quoted = [f for f in task("hotline").published if "printed as its recall" in f.note]
    assert len(quoted) == 6
    assert all(set(f.scores) == {"WA", "F1 weighted"} for f in quoted)
    assert {f.scores["F1 weighted"] for f in quoted} >= {0.7696}


def test_strl_ser_s_accuracy_is_cut_off_not_rounded() -> None:
    strl = next(f for f in task("ravdess").published if f.system == "STRL-SER")
    assert int(256 / 288 * 1e4) / 1e4 == strl.scores["WA"]
    assert "256 of 288, cut off" in strl.note


def test_every_published_figure_of_a_protocol_names_one_that_exists_or_says_otherwise() -> (
    None
):
    for name in ("ravdess", "emodb", "visec", "iemocap", "hotline", "hotline-fine"):
        which = task(name)
        assert which.published, name
        for figure in which.published:
            assert figure.protocol in which.protocols() or " " in figure.protocol, (
                name,
                figure.system,
            )
