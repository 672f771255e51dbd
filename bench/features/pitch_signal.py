"""The pitch track as a signal, one value per sample, for networks that read pitch like audio.

`paper` is the signal that Thanh et al. (ICASSP 2024) describe. The other variants are controls, and
what released code computes instead.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.features.pitch import Contour, Pitch, bridged, on_axis
from bench.features.pitch_nccf import nccf
from bench.features.pitch_yin import HOP
from bench.features.signal import at_least, cut, normalised_waveform

if TYPE_CHECKING:
    import torch

    from bench.contracts.feature import Array, Waveform

Variant = Literal["paper", "constant", "shuffled", "nccf-broken", "piptrack"]

PITCH = Pitch(unvoiced="zero")  # voicing stays in the signal
CONSTANT = 1.0  # octaves above the pitch feature's `low`: 130 Hz
SPREAD = 0.25  # octaves, standard deviation of a shuffled contour
N_FFT = 2048  # samples, of piptrack
STRIDE = 512  # samples, of piptrack


@dataclass(frozen=True)
class PitchSignal(Feature):
    """One value per sample, (samples,), optionally with zero mean and unit variance per clip.

    Variants:

    - `paper`: column 0 of `pitch`, by linear interpolation between frame centres. With
      `unvoiced="zero"`, samples nearest to an unvoiced frame are 0, without a ramp from or to them.
    - `constant`: one octave above `pitch.low` throughout, in all clips (0 where normalised).
    - `shuffled`: F0 is set to a mean of one octave above `pitch.low` and a standard deviation of
      0.25 octave (limited to `low` and `high`); then frames are permuted by a seed that depends on
      the clip's samples. Neither level, nor range, nor contour remains; the share of voiced frames
      and the shape of the distribution of F0 do.
    - `nccf-broken`: the released code of Thanh et al.: Kaldi's NCCF, interpolated over an axis that
      counts frames where it should count samples, so that all but the first `frames` samples hold
      the last frame's value. `pitch` is not used.
    - `piptrack`: the released code of Wang et al.: the largest candidate of librosa.piptrack in
      each frame in Hz, which is not F0, stretched over the samples. `pitch` is not used.
    """

    founding: ClassVar[tuple[str, ...]] = (
        "variant",
        "pitch",
        "normalise",
        "max_seconds",
    )

    variant: Variant = "paper"
    pitch: Pitch = PITCH
    normalise: bool = False
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(
        self, waveforms: "Sequence[Waveform]", device: "torch.device"
    ) -> "list[Array]":
        return [self._one(samples) for samples in waveforms]

    def _one(self, samples: "Waveform") -> "Array":
        shortened = cut(samples, self.max_seconds)
        signal = self._signal(shortened).astype(np.float64)
        if self.normalise:
            return normalised_waveform(signal)
        return signal.astype(np.float32)

    def _signal(self, samples: "Waveform") -> "Array":
        count = len(samples)
        match self.variant:
            case "paper":
                contour = self.pitch.contour(samples)
                return on_samples(self.pitch, contour, count)
            case "constant":
                value = CONSTANT if self.pitch.log else self.pitch.low * 2**CONSTANT
                return np.full(count, value, np.float32)
            case "shuffled":
                contour = shuffled(self.pitch, samples)
                return on_samples(self.pitch, contour, count)
            case "nccf-broken":
                values = nccf(samples)
                return misplaced(values, count)
            case "piptrack":
                peaks = largest_peaks(samples)
                return stretched(peaks, count)


def on_samples(pitch: Pitch, contour: Contour, count: int) -> "Array":
    """A contour in the unit of `pitch` at each of `count` samples."""
    f0, voiced = contour
    scaled = pitch.scaled(f0)
    filled = bridged(scaled, voiced)
    track = filled[:, None]

    samples = np.arange(count)
    times = samples / SAMPLE_RATE
    signal = on_axis(track, times)[:, 0]
    if pitch.unvoiced == "interpolate":
        return signal

    nearest = (samples + HOP // 2) // HOP
    last = len(voiced) - 1
    frame = np.minimum(nearest, last)
    is_voiced = voiced[frame]
    return np.where(is_voiced, signal, np.float32(0))


def shuffled(pitch: Pitch, samples: "Waveform") -> Contour:
    """The clip's contour without level, range and order."""
    f0, voiced = pitch.contour(samples)
    octaves = np.log2(f0 / pitch.low)
    known = octaves[voiced] if voiced.any() else octaves
    mean = known.mean()
    deviation = float(known.std())
    deviation = max(deviation, 1e-6)

    centred = octaves - mean
    spread = SPREAD * centred / deviation
    octaves = CONSTANT + spread
    f0 = pitch.low * 2**octaves
    f0 = np.clip(f0, pitch.low, pitch.high)

    order = _permutation(samples, len(f0))
    return f0[order], voiced[order]


def _permutation(samples: "Waveform", count: int) -> NDArray[np.int64]:
    """A permutation that depends only on the samples."""
    content = np.ascontiguousarray(samples, "<f4")
    checksum = hashlib.sha256(content.tobytes())
    first_bytes = checksum.digest()[:8]
    seed = int.from_bytes(first_bytes, "big")
    generator = np.random.default_rng(seed)
    return generator.permutation(count)


def misplaced(values: "Array", count: int) -> "Array":
    """Frame values over `count` samples, interpolated between knots that are numbered by frame."""
    frames = len(values)
    at = np.linspace(0, count, count)
    knots = np.linspace(0, frames, frames)

    signal = np.interp(at, knots, values)
    return signal.astype(np.float32)


def largest_peaks(samples: "Waveform") -> "Array":
    """The largest candidate frequency of librosa.piptrack in Hz, (1 + samples // 512,)."""
    from librosa import piptrack

    candidates, _ = piptrack(
        y=at_least(samples, N_FFT),
        sr=SAMPLE_RATE,
        n_fft=N_FFT,
        hop_length=STRIDE,
    )
    frames = 1 + len(samples) // STRIDE
    peaks = np.asarray(candidates.max(0), np.float32)
    return peaks[:frames]


def stretched(values: "Array", count: int) -> "Array":
    """Frame values over `count` samples, from the first sample to the last."""
    frames = len(values)
    knots = np.arange(frames)
    last = frames - 1
    at = np.linspace(0, last, count)

    signal = np.interp(at, knots, values)
    return signal.astype(np.float32)
