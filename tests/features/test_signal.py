"""Signal features against their references, at every length down to one sample."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.contracts.clip import Recording
from bench.contracts.feature import Feature
from bench.contracts.weights import Weights
from bench.data.audio import decode
from bench.features.signal import (
    LogMel,
    LogMelSpectrogram,
    Mfcc,
    Statistics,
    Waveform,
    log_mel,
)

CPU = torch.device("cpu")
FEATURES = [
    Waveform(),
    Waveform(normalise=True),
    LogMel(),
    LogMel(mels=128, max_seconds=1.0),
    LogMelSpectrogram(),
    Mfcc(),
    Statistics(Mfcc()),
    Statistics(LogMelSpectrogram()),
]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (
        0.1 * generator.standard_normal(samples) * np.sin(np.arange(samples) / 999)
    ).astype(np.float32)


def one(feature: Feature, samples: np.ndarray) -> np.ndarray:
    return feature.extract([samples], CPU)[0]


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("samples", [16_000, 47_999, 160, 201, 401, 480_000])
def test_log_mel_is_whispers(mels: int, samples: int) -> None:
    whisper = pytest.importorskip("whisper.audio")
    clip = noise(samples)
    if samples == 160:  # theirs cannot reflect fewer than 201 samples
        expected = whisper.log_mel_spectrogram(np.pad(clip, (0, 41)), mels)
    else:
        expected = whisper.log_mel_spectrogram(clip, mels)
    found = one(LogMel(mels=mels), clip)
    assert found.shape == (max(1, samples // 160), mels)
    assert np.abs(found - expected.numpy().T).max() < 1e-5


@pytest.mark.parametrize("seconds", [2, 31])
def test_log_mel_in_a_window_is_whispers(seconds: int) -> None:
    whisper = pytest.importorskip("whisper.audio")
    clip = noise(16_000 * seconds)
    expected = whisper.log_mel_spectrogram(whisper.pad_or_trim(clip), 80)
    found = one(LogMel(pad_seconds=30.0), clip)
    assert found.shape == (3000, 80)
    assert np.abs(found - expected.numpy().T).max() < 1e-5


def test_log_mel_of_speech_is_whispers(ravdess_root: Path) -> None:
    whisper = pytest.importorskip("whisper.audio")
    clip = decode(Recording(ravdess_root / "Actor_01" / "03-01-01-01-01-01-01.wav"))
    assert (
        np.abs(
            log_mel(clip, 128) - whisper.log_mel_spectrogram(clip, 128).numpy().T
        ).max()
        < 1e-5
    )


def test_cutting_comes_before_everything_else() -> None:
    clip = noise(32_000)
    assert np.array_equal(one(LogMel(max_seconds=1.0), clip), log_mel(clip[:16_000]))
    assert np.array_equal(one(Waveform(max_seconds=0.5), clip), clip[:8_000])
    short = one(Waveform(normalise=True, max_seconds=0.5), clip)
    assert np.array_equal(short, one(Waveform(normalise=True), clip[:8_000]))
    padded = one(LogMel(pad_seconds=2.0, max_seconds=1.0), clip)
    assert np.array_equal(padded, log_mel(np.pad(clip[:16_000], (0, 16_000))))


def test_the_normalised_waveform_is_transformers() -> None:
    from transformers import Wav2Vec2FeatureExtractor

    clip = 0.01 + noise(16_000)
    expected = Wav2Vec2FeatureExtractor(do_normalize=True)(
        clip, sampling_rate=16_000
    ).input_values[0]
    assert np.abs(one(Waveform(normalise=True), clip) - expected).max() < 1e-5
    assert np.array_equal(one(Waveform(), clip), clip)


@pytest.mark.parametrize("samples", [1025, 16_000, 20_001])
def test_the_log_mel_spectrogram_is_librosas(samples: int) -> None:
    import librosa

    clip = noise(samples)
    power = librosa.feature.melspectrogram(
        y=clip,
        sr=16_000,
        n_fft=1024,
        win_length=400,
        hop_length=160,
        pad_mode="reflect",
        power=2.0,
        n_mels=64,
        fmin=60,
        fmax=7800,
        htk=True,
        norm=None,
    )
    expected = np.log(power + np.finfo(np.float32).eps).T
    found = one(LogMelSpectrogram(), clip)
    assert found.shape == (1 + samples // 160, 64)
    assert np.abs(found - expected).max() < 1e-3


def test_mfcc_39_is_librosas() -> None:
    import librosa

    clip = noise(16_000)
    base = librosa.feature.mfcc(y=clip, sr=16_000, n_mfcc=13, n_fft=400, hop_length=160)
    expected = np.concatenate(
        [base, librosa.feature.delta(base), librosa.feature.delta(base, order=2)]
    ).T
    found = one(Mfcc(), clip)
    assert found.shape == (101, 39)
    assert np.abs(found - expected).max() < 1e-4
    assert one(Mfcc(coefficients=20, deltas=0), clip).shape == (101, 20)


def test_statistics_are_mean_and_deviation_over_frames() -> None:
    clip = noise(16_000)
    frames = one(Mfcc(), clip)
    found = one(Statistics(Mfcc()), clip)
    assert found.shape == (1, 78)
    assert np.allclose(found[0, :39], frames.mean(0), atol=1e-4)
    assert np.allclose(found[0, 39:], frames.std(0), atol=1e-4)
    assert one(Statistics(Waveform()), clip)[0] == pytest.approx(
        [clip.mean(), clip.std()], abs=1e-6
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "samples", [1, 2, 160, 199, 200, 201, 399, 400, 512, 513, 1024, 1279, 1280, 1440]
)
@pytest.mark.parametrize("feature", FEATURES, ids=repr)
def test_very_short_clips_have_features(feature: Feature, samples: int) -> None:
    found = one(feature, noise(samples))
    assert found.dtype == np.float32
    assert len(found) == 1 if feature.pooled else len(found) >= 1
    assert np.isfinite(found).all()


@pytest.mark.parametrize("feature", FEATURES, ids=repr)
def test_silence_has_features(feature: Feature) -> None:
    assert np.isfinite(one(feature, np.zeros(16_000, np.float32))).all()


@pytest.mark.parametrize("feature", FEATURES, ids=repr)
def test_a_clip_does_not_depend_on_its_batch_and_is_left_as_it_was(
    feature: Feature,
) -> None:
    clips = [noise(n, seed) for seed, n in enumerate((3_000, 16_000, 7_777))]
    before = [c.copy() for c in clips]
    together = feature.extract(clips, CPU)
    assert all(
        np.array_equal(a, one(feature, c)) for a, c in zip(together, clips, strict=True)
    )
    assert all(np.array_equal(a, b) for a, b in zip(clips, before, strict=True))


def test_fingerprints_tell_every_parameter_apart() -> None:
    somewhere = Weights("somewhere", "d1")

    @dataclasses.dataclass(frozen=True)
    class Encoder(Mfcc):
        weights: Weights = somewhere

    class NewMfcc(Mfcc):
        version = 2

    NewMfcc.__qualname__ = "Mfcc"
    features = [
        *FEATURES,
        LogMel(pad_seconds=30.0),
        LogMelSpectrogram(high=8000.0),
        LogMelSpectrogram(htk=False),
        Mfcc(deltas=1),
        NewMfcc(),
        Statistics(NewMfcc()),
        Encoder(),
        Encoder(weights=Weights("somewhere", "d2")),
    ]
    assert len({f.fingerprint for f in features}) == len(features)
    assert (
        Encoder(weights=Weights("elsewhere", "d1")).fingerprint == Encoder().fingerprint
    )
    assert Mfcc(13).fingerprint == Mfcc().fingerprint
