"""F0 against known tones and the demo's known voice; the pitch signal, its controls, and what
released code makes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import get_args

import numpy as np
import pytest
import torch

import bench.features.pitch
from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.errors import UsageError
from bench.features.pitch import HOP, Extractor, Pitch, bridged, missing, on_axis
from bench.features.pitch_nccf import nccf
from bench.features.pitch_signal import PITCH, PitchSignal, Variant, largest_peaks
from bench.testing import check_feature
from tasks._voice import render
from tasks.demo import SPEAKERS, clip_ids, reading

CPU = torch.device("cpu")
HERTZ = Pitch(log=False, unvoiced="zero")


def one(feature: Feature, samples: np.ndarray) -> np.ndarray:
    return feature.extract([samples], CPU)[0]


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (
        0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    ).astype(np.float32)


def voice(f0: np.ndarray) -> np.ndarray:
    """Ten harmonics of an F0 given per sample, and a little noise."""
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 11))
    return (0.1 * tone + 0.01 * noise(len(f0) / SAMPLE_RATE)).astype(np.float32)


def steady(f0: float, seconds: float = 0.6) -> np.ndarray:
    return voice(np.full(round(seconds * SAMPLE_RATE), f0))


@lru_cache
def spoken(every: int = 7) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clips of the demo and their true F0: every speaker, sentence and emotion among them, with all
    cues.
    """
    made = [render(reading(id)) for id in clip_ids()[::every]]
    return [m.samples.astype(np.float32) / 32768 for m in made], [m.f0 for m in made]


def errors(
    track: Callable[[np.ndarray], np.ndarray], every: int = 7
) -> tuple[float, float]:
    """Gross error and voicing error, as fractions."""
    clips, truth = spoken(every)
    found, known = np.concatenate([track(c) for c in clips]), np.concatenate(truth)
    both = (found > 0) & (known > 0)
    gross = np.abs(found[both] / known[both] - 1) > 0.2
    return float(gross.mean()), float(((found > 0) != (known > 0)).mean())


def available(extractor: Extractor) -> Extractor:
    if gap := missing(extractor):
        pytest.skip(gap)
    return extractor


@pytest.mark.parametrize("f0", [66, 80, 110, 150, 220, 330, 440, 495])
def test_a_steady_voice_has_its_pitch(f0: float) -> None:
    track = one(HERTZ, steady(f0))
    assert track[:, 1].mean() > 0.95
    assert np.abs(track[3:-3, 0] / f0 - 1).max() < 0.02


@pytest.mark.parametrize("extractor", get_args(Extractor))
def test_extractors_on_the_known_voice(extractor: Extractor) -> None:
    """On 55 clips, or 4 where each takes a second."""
    pitch = replace(HERTZ, extractor=available(extractor))
    every = 97 if extractor == "pyin" else 7
    gross, voicing = errors(lambda samples: one(pitch, samples)[:, 0], every)
    assert gross < 0.02
    assert voicing < (0.2 if extractor == "pyin" else 0.08)


def test_every_voice_of_the_demo_is_among_them() -> None:
    assert len({id.split(".")[0] for id in clip_ids()[::7]}) == len(SPEAKERS)


def test_the_released_peaks_are_no_pitch() -> None:
    def peaks(samples: np.ndarray) -> np.ndarray:
        found = largest_peaks(samples)
        return np.interp(
            np.arange(1 + len(samples) // HOP) * HOP / 512, np.arange(len(found)), found
        )

    assert errors(peaks)[0] > 0.5


def test_a_rising_voice_is_followed_without_delay() -> None:
    f0 = np.geomspace(100, 300, 2 * SAMPLE_RATE)
    track = one(HERTZ, voice(f0))
    at = np.arange(5, len(track) - 5)
    seconds = np.log(track[at, 0] / 100) / np.log(3) * 2 - at * 0.01
    assert abs(np.median(seconds)) < 0.003
    assert np.abs(seconds).max() < 0.02


def test_silence_noise_and_tones_are_told_apart() -> None:
    clip = np.concatenate([noise(0.5), steady(150, 0.5), np.zeros(8000, np.float32)])
    voiced = one(HERTZ, clip)[:, 1]
    assert voiced[:45].mean() < 0.05
    assert voiced[55:95].mean() == 1.0
    assert voiced[105:].sum() == 0


def test_what_unvoiced_frames_hold() -> None:
    clip = np.concatenate([steady(110, 0.4), 0 * noise(0.4), steady(220, 0.4)])
    zero, bridge = (
        one(Pitch(unvoiced="zero"), clip),
        one(Pitch(unvoiced="interpolate"), clip),
    )
    unvoiced = zero[:, 1] == 0
    assert 30 < unvoiced.sum() < 45
    assert (zero[unvoiced, 0] == 0).all()
    np.testing.assert_array_equal(zero[~unvoiced], bridge[~unvoiced])
    assert bridge[60, 0] == pytest.approx(
        np.log2(110 / 65) + 0.5, abs=0.1
    )  # half-way in the column's unit
    assert (np.diff(bridge[unvoiced, 0]) > 0).all()
    hertz = one(replace(HERTZ, unvoiced="interpolate"), clip)
    assert hertz[60, 0] == pytest.approx(165, abs=8)


def test_bridges_hold_the_ends() -> None:
    voiced = np.array([False, True, False, True, False])
    assert bridged(np.array([9.0, 1, 9, 3, 9]), voiced).tolist() == [1, 1, 2, 3, 3]
    assert bridged(np.ones(3), np.zeros(3, bool)).tolist() == [0, 0, 0]


def test_any_axis_can_carry_a_track() -> None:
    track = np.array([[0.0, 1], [10, 1], [20, 0]], np.float32)
    found = on_axis(track, np.array([-1.0, 0.005, 0.0125, 0.02, 9]))
    np.testing.assert_allclose(
        found, [[0, 1], [5, 1], [12.5, 0.75], [20, 0], [20, 0]], atol=1e-5
    )
    assert on_axis(track, np.array([0.05]), hop=0.1)[0, 0] == pytest.approx(5)


@pytest.mark.parametrize("unvoiced", ["zero", "interpolate"])
def test_a_step_of_pitch_stays_where_it_is(unvoiced: str) -> None:
    """An octave up at 0.5 s; the signal passes the middle within 10 ms of it."""
    f0 = np.where(np.arange(SAMPLE_RATE) < 8000, 110.0, 220.0)
    signal = one(PitchSignal(pitch=Pitch(unvoiced=unvoiced)), voice(f0))  # type: ignore[arg-type]
    middle = np.log2(110 / 65) + 0.5
    crossing = np.flatnonzero(signal[4000:12000] > middle)[0] + 4000
    assert abs(crossing - 8000) < 0.01 * SAMPLE_RATE


def test_the_onset_of_voice_stays_where_it_is_without_a_ramp() -> None:
    clip = np.concatenate([np.zeros(8000, np.float32), steady(110, 0.5)])
    signal = one(PitchSignal(), clip)
    onset = np.flatnonzero(signal)[0]
    assert abs(onset - 8000) < 0.01 * SAMPLE_RATE
    assert signal[onset] == pytest.approx(np.log2(110 / 65), abs=0.1)


def test_the_signal_of_the_known_voice_is_its_pitch() -> None:
    clips, truth = spoken(31)
    for clip, f0 in zip(clips, truth, strict=True):
        signal = one(PitchSignal(pitch=HERTZ), clip)
        here = signal[np.minimum(np.arange(len(f0)) * HOP, len(clip) - 1)]
        both = (here > 0) & (f0 > 0)
        assert np.median(np.abs(here[both] / f0[both] - 1)) < 0.02


def test_a_constant_tells_nothing() -> None:
    signals = [
        one(PitchSignal("constant"), clip)
        for clip in (steady(110), steady(220), noise(0.6))
    ]
    assert {float(value) for signal in signals for value in np.unique(signal)} == {1.0}
    assert not one(PitchSignal("constant", normalise=True), steady(110)).any()


def test_shuffling_leaves_the_share_of_voice_alone() -> None:
    clips = [
        voice(np.geomspace(low, high, SAMPLE_RATE))
        for low, high in ((90, 110), (150, 400))
    ]
    clips = [np.concatenate([c, 0 * c]) for c in clips]
    true = [one(PitchSignal(), c) for c in clips]
    mixed = [one(PitchSignal("shuffled"), c) for c in clips]
    assert (
        np.mean(true[1][true[1] > 0]) - np.mean(true[0][true[0] > 0]) > 1.0
    )  # octaves
    for before, after in zip(true, mixed, strict=True):
        assert (after > 0).mean() == pytest.approx((before > 0).mean(), abs=0.02)
        assert after[after > 0].mean() == pytest.approx(1.0, abs=0.05)
        assert after[after > 0].std() == pytest.approx(0.25, abs=0.1)
        assert abs(np.corrcoef(before, after)[0, 1]) < 0.25
    np.testing.assert_array_equal(mixed[0], one(PitchSignal("shuffled"), clips[0]))


def test_nccf_is_high_in_voice_and_low_in_noise() -> None:
    for f0 in (60, 100, 150, 250, 390):
        assert np.median(nccf(steady(f0))) > 0.97
    assert np.median(nccf(noise(2.0))) < 0.4
    assert not nccf(np.zeros(8000, np.float32)).any()
    mixed = nccf(np.concatenate([noise(0.5), steady(150, 0.5)]))
    assert np.median(mixed[:45]) < 0.4 < 0.95 < np.median(mixed[55:90])


@pytest.mark.parametrize(
    ("samples", "frames"), [(1, 1), (400, 1), (559, 1), (560, 2), (16_000, 98)]
)
def test_nccf_has_kaldis_frames(samples: int, frames: int) -> None:
    assert nccf(noise(samples / SAMPLE_RATE)).shape == (frames,)


def test_the_released_interpolation_is_the_last_frame() -> None:
    clip = voice(np.geomspace(100, 200, 2 * SAMPLE_RATE))
    signal, frames = one(PitchSignal("nccf-broken"), clip), nccf(clip)
    assert len(signal) == len(clip)
    assert (signal == frames[-1]).mean() == pytest.approx(
        1 - len(frames) / len(clip), abs=1e-3
    )  # 99.4 %
    expected = np.interp(
        np.linspace(0, 32000, 32000), np.linspace(0, len(frames), len(frames)), frames
    )
    np.testing.assert_allclose(signal, expected, atol=1e-6)


def test_the_released_peaks_are_stretched_over_the_clip() -> None:
    clip = steady(150)
    signal, found = one(PitchSignal("piptrack"), clip), largest_peaks(clip)
    assert (signal[0], signal[-1]) == (found[0], found[-1])
    assert len(found) == 1 + len(clip) // 512


def test_normalising_is_that_of_the_processor() -> None:
    from transformers import Wav2Vec2FeatureExtractor

    clip = voice(np.geomspace(100, 200, SAMPLE_RATE))
    plain, normalised = one(PitchSignal(), clip), one(PitchSignal(normalise=True), clip)
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)(
        plain, sampling_rate=SAMPLE_RATE
    )["input_values"][0]
    np.testing.assert_allclose(normalised, theirs, atol=1e-4)


FEATURES: list[Feature] = [
    *(Pitch(extractor) for extractor in get_args(Extractor)),
    Pitch(unvoiced="zero", log=False),
    *(PitchSignal(variant) for variant in get_args(Variant)),
    PitchSignal(pitch=Pitch()),
    PitchSignal("piptrack", normalise=True),
]


@pytest.mark.parametrize("feature", FEATURES, ids=str)
def test_any_clip_has_finite_values(feature: Feature) -> None:
    if isinstance(feature, Pitch):
        available(feature.extractor)
    clips = [
        noise(0.05),
        0 * noise(0.05),
        0 * noise(0.5),
        noise(0.5),
        noise(1 / SAMPLE_RATE),
        np.ones(800, np.float32),
    ]
    check_feature(feature, clips)
    for clip, array in zip(clips, feature.extract(clips, CPU), strict=True):
        assert array.shape == (
            (1 + len(clip) // HOP, 2) if isinstance(feature, Pitch) else clip.shape
        )


def test_loudness_changes_no_pitch() -> None:
    clip = steady(150)
    np.testing.assert_allclose(one(HERTZ, clip), one(HERTZ, 1e-3 * clip), rtol=1e-3)


def test_every_field_counts_for_the_fingerprint() -> None:
    features = [*FEATURES, Pitch(low=60), Pitch(high=600)]
    assert len({feature.fingerprint for feature in features}) == len(features)
    assert PitchSignal(pitch=PITCH).fingerprint == PitchSignal().fingerprint


def test_an_extractor_that_is_not_here_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.features.pitch, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError,
        match=r"praat needs praat-parselmouth: pip install 'ser-bench\[praat\]'",
    ):
        one(Pitch("praat"), noise(0.1))
    assert missing("yin") == ""
