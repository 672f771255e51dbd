"""The demo corpus: the same on every run, balanced, and with each variant's emotion in the one cue
it names.
"""

import hashlib
import subprocess
import sys
import wave
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from bench.contracts.clip import Clip
from bench.errors import CorpusError
from bench.splits.leakage import check
from tasks._voice import SAMPLE_RATE, Rendered, render
from tasks.demo import CUES, LABELS, SENTENCES, SPEAKERS, Demo, clip_ids, reading

HALF = [
    clip_id
    for clip_id in clip_ids()
    if clip_id.split(".")[1] in ("s1", "s4", "s6", "s7")
]  # 192 clips
SPEAKER, LABEL = (
    np.array([clip_id.split(".")[part] for clip_id in HALF]) for part in (0, 2)
)
BANDS = (
    0,
    1000,
    1600,
    2400,
    3400,
    5000,
    8000,
)  # Hz; the first is wide enough to hold the harmonics of any pitch
DIFFER = {
    "pitch": 5.0,
    "energy": 10.0,
    "timbre": 5.0,
    "tempo": 1.5,
}  # semitones, dB, dB, syllables/s: least difference
AGREE = {
    "pitch": 0.1,
    "energy": 0.05,
    "timbre": 1.0,
    "tempo": 0.01,
}  # the greatest one where another cue is named


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return Demo("demo").clips(tmp_path_factory.mktemp("corpus"))


@cache
def rendered(variant: str) -> list[Rendered]:
    return [render(reading(clip_id, variant)) for clip_id in HALF]


@cache
def measured(variant: str, cue: str) -> np.ndarray:
    """What a listener for one cue alone would measure [clips, numbers]."""
    measure = {"pitch": pitch, "energy": energy, "timbre": timbre, "tempo": tempo}[cue]
    return np.array(
        [
            measure(clip, clip_id)
            for clip, clip_id in zip(rendered(variant), HALF, strict=True)
        ]
    )


def pitch(clip: Rendered, _: str) -> list[float]:
    semitones = 12 * np.log2(clip.f0[clip.f0 > 0])
    return [semitones.mean(), semitones.std()]


def energy(clip: Rendered, _: str) -> list[float]:
    return [10 * np.log10(np.mean((clip.samples / 32768) ** 2))]


def timbre(clip: Rendered, _: str) -> list[float]:
    power = np.abs(np.fft.rfft(clip.samples)) ** 2
    hz = np.fft.rfftfreq(len(clip.samples), 1 / SAMPLE_RATE)
    bands = [power[(hz >= low) & (hz < high)].sum() for low, high in pairwise(BANDS)]
    return list(10 * np.log10(np.array(bands) / sum(bands)))


def tempo(clip: Rendered, clip_id: str) -> list[float]:
    return [len(reading(clip_id).syllables) / len(clip.samples) * SAMPLE_RATE]


def accuracy(features: np.ndarray) -> float:
    """Share of clips that a linear classifier gets right, tested on speakers that it was not
    trained on.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold = [
        (int(name[-1]) - 1) // 2 for name in SPEAKER
    ]  # the folds of the protocol `speaker`
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(
        (
            cross_val_predict(
                model, features, LABEL, groups=fold, cv=LeaveOneGroupOut()
            )
            == LABEL
        ).mean()
    )


@pytest.mark.parametrize("variant", CUES)
def test_the_named_cue_tells_the_emotion_of_an_unknown_speaker(variant: str) -> None:
    assert accuracy(measured(variant, variant)) > 0.65


@pytest.mark.parametrize("cue", CUES)
@pytest.mark.parametrize("variant", CUES)
def test_no_other_cue_does(variant: str, cue: str) -> None:
    if cue != variant:
        assert (
            accuracy(measured(variant, cue)) < 0.34
        )  # chance is 0.25; 192 clips: 0.34 is 2.9 deviations above


@pytest.mark.parametrize("cue", CUES)
@pytest.mark.parametrize("variant", CUES)
def test_classes_differ_in_the_named_cue_and_agree_in_the_others(
    variant: str, cue: str
) -> None:
    """Mean F0, level, level above 1 kHz against below, or syllable rate: means of the classes."""
    values = measured(variant, cue)
    first = (
        values[:, 0]
        if cue != "timbre"
        else 10 * np.log10(10 ** -(values[:, 0] / 10) - 1)
    )
    spread = np.ptp([first[label == LABEL].mean() for label in LABELS])
    assert spread > DIFFER[cue] if cue == variant else spread < AGREE[cue]


@pytest.mark.parametrize("cue", CUES)
def test_all_cues_are_in_the_corpus_without_a_variant(cue: str) -> None:
    assert accuracy(measured("", cue)) > 0.65


def test_a_front_end_that_evens_out_levels_cannot_hear_energy() -> None:
    """Not even by the pauses, whose noise rises and falls with the voice and hides the 16-bit
    steps.
    """
    scaled = [
        clip.samples / clip.samples.astype(float).std() for clip in rendered("energy")
    ]
    frames = [
        samples[: len(samples) // 160 * 160].reshape(-1, 160) for samples in scaled
    ]
    quiet = [
        np.percentile(10 * np.log10((f**2).mean(1) + 1e-12), (0, 5, 10, 50, 90))
        for f in frames
    ]
    assert accuracy(np.array(quiet)) < 0.34


def test_length_alone_tells_part_of_tempo() -> None:
    lengths = np.array([[len(clip.samples)] for clip in rendered("tempo")])
    assert 0.3 < accuracy(lengths) < 0.7


def test_neutral_sounds_alike_in_every_variant() -> None:
    neutral = [i for i, label in enumerate(LABEL) if label == "neutral"]
    for variant in CUES:
        assert all(
            np.array_equal(rendered(variant)[i].samples, rendered("")[i].samples)
            for i in neutral
        )


def test_speakers_are_told_apart() -> None:
    """Pitch and spectrum name the speaker of a sentence not heard before far above the chance of 1
    in 12.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    features = np.hstack(
        [
            measured("tempo", "pitch"),
            measured("tempo", "timbre"),
            measured("tempo", "energy"),
        ]
    )
    known = np.array(["s1" not in clip_id for clip_id in HALF])
    model = LinearDiscriminantAnalysis().fit(features[known], SPEAKER[known])
    assert model.score(features[~known], SPEAKER[~known]) > 0.5


@pytest.mark.parametrize("variant", ["", *CUES])
def test_nothing_is_clipped_or_inaudible(variant: str) -> None:
    peaks = [np.abs(clip.samples.astype(int)).max() for clip in rendered(variant)]
    assert max(peaks) < 32_000
    assert min(peaks) > 800  # the 16-bit steps stay 58 dB below


@pytest.mark.parametrize("variant", CUES)
def test_true_f0_is_what_an_extractor_measures(variant: str) -> None:
    librosa = pytest.importorskip("librosa")
    errors, missed = [], []
    for clip in rendered(variant)[::19]:
        found, voiced, _ = librosa.pyin(
            clip.samples / 32768,
            fmin=65,
            fmax=450,
            sr=SAMPLE_RATE,
            frame_length=800,
            hop_length=160,
        )
        assert len(found) == len(clip.f0)
        both = voiced & (clip.f0 > 0)
        errors.append(np.abs(12 * np.log2(found[both] / clip.f0[both])))
        missed.append(voiced[clip.f0 > 0] == 0)
    semitones = np.concatenate(errors)
    assert (
        semitones > 12 * np.log2(1.2)
    ).mean() < 0.01  # gross errors: more than 20 % off
    assert np.median(semitones) < 0.3
    assert np.concatenate(missed).mean() < 0.15


def test_tones_move_the_pitch_as_they_say() -> None:
    """Level, rising and falling tones, measured from the first to the last voiced frame."""
    for tone, low, high in (("1", -1.5, 0.0), ("2", 2.0, 4.5), ("4", -6.5, -4.0)):
        spoken = replace(
            reading("low-1.s1.neutral"), syllables=(f"ta{tone}",), pitch_range=1.0
        )
        f0 = render(spoken).f0
        first, *_, last = f0[f0 > 0]
        assert low < 12 * np.log2(last / first) < high


def test_corpus_is_balanced(corpus: list[Clip]) -> None:
    task = Demo("demo")
    assert task.expected is not None
    assert task.expected.differences(corpus) == ()
    cells = Counter(
        (clip.speaker, clip.meta["sentence"], clip.labels) for clip in corpus
    )
    assert len(cells) == len(SPEAKERS) * len(SENTENCES) * len(LABELS) == 384
    assert set(cells.values()) == {1}
    assert Counter(
        syllable[2] for sentence in SENTENCES for syllable in sentence.split()
    ) == dict.fromkeys("1234", 7)


def test_files_are_short_16_bit_mono_wav(corpus: list[Clip]) -> None:
    seconds = []
    for clip in corpus:
        with wave.open(str(clip.audio.path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (
                SAMPLE_RATE,
                1,
                2,
            )
            seconds.append(file.getnframes() / SAMPLE_RATE)
    assert 0.5 < min(seconds) < max(seconds) < 1.8


def test_a_file_holds_what_its_reading_says(corpus: list[Clip]) -> None:
    clip = corpus[100]
    with wave.open(str(clip.audio.path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.array_equal(samples, render(reading(clip.id)).samples)
    assert float(clip.meta["f0"]) == pytest.approx(reading(clip.id).f0, rel=1e-3)


def test_no_two_clips_sound_the_same_and_folds_pass_the_check(
    corpus: list[Clip],
) -> None:
    content = {clip.id: _hash(clip) for clip in corpus}
    assert len(set(content.values())) == len(corpus)
    protocol = Demo("demo").protocols()["speaker"]
    folds = protocol.split(corpus, content)
    assert check(folds, corpus, protocol, content) == ()
    assert [len(fold.test) for fold in folds] == [128] * 3
    assert len({clip_id for fold in folds for clip_id in fold.test}) == 384


def test_same_bytes_from_several_processes_at_once(
    corpus: list[Clip], tmp_path: Path
) -> None:
    """Two processes race for one folder; what stays is complete and equal to the corpus made
    before.
    """
    spawn = get_context("spawn")
    workers = [spawn.Process(target=_make, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [
        "demo-v1-all"
    ]  # no draft is left behind
    assert [_hash(clip) for clip in Demo("demo").clips(tmp_path)] == [
        _hash(clip) for clip in corpus
    ]


def test_made_once_in_the_home_folder(own_home: Path, corpus: list[Clip]) -> None:
    folder = own_home / "corpora" / "demo-v1-all"
    folder.parent.mkdir()
    folder.symlink_to(corpus[0].audio.path.parent)  # type: ignore[union-attr]
    assert Demo("demo").clips(None)[0].audio.path == folder / "low-1.s1.angry.wav"


def test_an_incomplete_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo-v1-tempo").mkdir()
    with pytest.raises(
        CorpusError, match=r"lacks 384 clips \(low-1.s1.angry.wav, .*delete the folder"
    ):
        Demo("demo:tempo").clips(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="cannot be written"):
        Demo("demo").clips(tmp_path / "file")


def test_listing_the_task_imports_nothing_heavy() -> None:
    code = "import sys, tasks.demo; print([m for m in ('numpy', 'scipy', 'torch', 'sklearn') if m in sys.modules])"  # noqa: E501 - a table, or code, of one line each
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def _make(root: Path) -> None:
    Demo("demo").clips(root)


def _hash(clip: Clip) -> str:
    assert clip.audio.path is not None
    return hashlib.sha256(clip.audio.path.read_bytes()).hexdigest()
