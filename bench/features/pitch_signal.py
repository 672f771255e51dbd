"""The pitch track as a signal: one value per sample of the clip, for networks that read pitch as
they read audio.

`paper` is what Thanh et al. (ICASSP 2024) describe. The others are controls, and what released code
computes instead.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.features.pitch import Contour, Pitch, bridged, on_axis
from bench.features.pitch_nccf import nccf
from bench.features.pitch_yin import HOP
from bench.features.signal import at_least, cut

if TYPE_CHECKING:
    import torch

    from bench.contracts.feature import Array, Waveform

Variant = Literal["paper", "constant", "shuffled", "nccf-broken", "piptrack"]

PITCH = Pitch(unvoiced="zero")  # voicing stays in the signal
CONSTANT = 1.0  # octaves above the pitch feature's `low`: 130 Hz
SPREAD = 0.25  # octaves, standard deviation of a shuffled contour
N_FFT, STRIDE = 2048, 512  # samples, of piptrack


@dataclass(frozen=True)
class PitchSignal(Feature):
    """One value per sample, (samples,); optionally normalised as transformers'
    Wav2Vec2FeatureExtractor does.

    `paper`: column 0 of `pitch` by linear interpolation between frame centres. With `zero`, samples
    nearest to an unvoiced frame are 0, and there is no ramp from or to them. `constant`: one octave
    above `pitch.low` throughout, in all clips (0 where normalised). `shuffled`: F0 is set to a mean
    of one octave above `pitch.low` and a standard deviation of 0.25 octave (and limited to `low`
    and `high`), then frames are permuted by a seed that depends on the clip's samples. Neither
    level, nor range, nor contour remains; the share of voiced frames does, and the shape of the
    distribution of F0. `nccf-broken`: the released code of Thanh et al.: Kaldi's NCCF, with frames
    where the samples should be on the interpolation's axis, so that all but the first `frames`
    samples hold the last frame's value. `piptrack`: the released code of Wang et al.: the largest
    candidate of librosa.piptrack in each frame, Hz, which is not F0, stretched over the samples.
    `pitch` plays no part in these two.
    """

    variant: Variant = "paper"
    pitch: Pitch = PITCH
    normalise: bool = False
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(self, waveforms: "Sequence[Waveform]", device: "torch.device") -> "list[Array]":
        return [self._one(cut(w, self.max_seconds)) for w in waveforms]

    def _one(self, samples: "Waveform") -> "Array":
        signal = self._signal(samples).astype(np.float64)
        if self.normalise:
            signal = (signal - signal.mean()) / np.sqrt(signal.var() + 1e-7)
        return signal.astype(np.float32)

    def _signal(self, samples: "Waveform") -> "Array":
        match self.variant:
            case "paper":
                return on_samples(self.pitch, self.pitch.contour(samples), len(samples))
            case "constant":
                value = CONSTANT if self.pitch.log else self.pitch.low * 2**CONSTANT
                return np.full(len(samples), value, np.float32)
            case "shuffled":
                return on_samples(self.pitch, shuffled(self.pitch, samples), len(samples))
            case "nccf-broken":
                return misplaced(nccf(samples), len(samples))
            case "piptrack":
                return stretched(largest_peaks(samples), len(samples))


def on_samples(pitch: Pitch, contour: Contour, count: int) -> "Array":
    """A contour in the unit of `pitch` at each of `count` samples."""
    f0, voiced = contour
    filled = bridged(pitch.scaled(f0), voiced)
    signal = on_axis(filled[:, None], np.arange(count) / SAMPLE_RATE)[:, 0]
    if pitch.unvoiced == "interpolate":
        return signal
    nearest = (np.arange(count) + HOP // 2) // HOP
    return np.where(voiced[np.minimum(nearest, len(voiced) - 1)], signal, np.float32(0))


def shuffled(pitch: Pitch, samples: "Waveform") -> Contour:
    """The clip's contour without level, range and order."""
    f0, voiced = pitch.contour(samples)
    seed = hashlib.sha256(np.ascontiguousarray(samples, "<f4").tobytes()).digest()[:8]
    order = np.random.default_rng(int.from_bytes(seed, "big")).permutation(len(f0))
    octaves = np.log2(f0 / pitch.low)
    known = octaves[voiced] if voiced.any() else octaves
    level = CONSTANT + SPREAD * (octaves - known.mean()) / max(float(known.std()), 1e-6)
    return np.clip(pitch.low * 2**level, pitch.low, pitch.high)[order], voiced[order]


def misplaced(values: "Array", count: int) -> "Array":
    """Frame values over `count` samples by an interpolation whose knots are numbered by frame."""
    frames = len(values)
    return np.interp(np.linspace(0, count, count), np.linspace(0, frames, frames), values).astype(
        np.float32
    )


def largest_peaks(samples: "Waveform") -> "Array":
    """The largest candidate frequency of librosa.piptrack in Hz, (1 + samples // 512,)."""
    from librosa import piptrack

    candidates, _ = piptrack(
        y=at_least(samples, N_FFT), sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=STRIDE
    )
    return np.asarray(candidates.max(0), np.float32)[: 1 + len(samples) // STRIDE]


def stretched(values: "Array", count: int) -> "Array":
    """Frame values over `count` samples, the first at the first sample, the last at the last one."""
    return np.interp(np.linspace(0, len(values) - 1, count), np.arange(len(values)), values).astype(
        np.float32
    )
