"""Fundamental frequency as a feature: F0 and voicing every 10 ms, by one of four extractors.

results/reference/f0.md has their errors and costs. All work clip by clip on the CPU, whatever the
device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.errors import UsageError
from bench.features.pitch_yin import HOP, yin
from bench.features.signal import at_least
from bench.fingerprint import digest

if TYPE_CHECKING:
    import torch

    from bench.contracts.feature import Array, Waveform

Extractor = Literal["yin", "swift", "pyin", "praat"]
Contour = tuple[NDArray[np.floating], NDArray[np.bool_]]  # F0 in Hz and voicing, (frames,) each

SECONDS_PER_FRAME = HOP / SAMPLE_RATE
SHORTEST = 2048  # samples; a shorter clip is continued with silence, which all extractors accept

_PACKAGES = {  # extractor -> module, distribution, extra
    "swift": ("swift_f0", "swift-f0", "swift"),
    "pyin": ("librosa", "librosa", ""),
    "praat": ("parselmouth", "praat-parselmouth", "praat"),
}


@dataclass(frozen=True)
class Pitch(Feature):
    """F0 and voicing, (1 + samples // 160, 2); frame k is centred on k * 10 ms.

    Column 0 is F0: octaves above `low` where `log` (0 to log2(high / low)), else Hz. Column 1 is
    voicing, 1 or 0. In unvoiced frames column 0 holds 0 (`zero`), or the straight line between the
    voiced neighbours, in the column's own unit, the first and last voiced value being held to the
    ends (`interpolate`). A clip without a voiced frame is 0 throughout.

    `yin`: own, bench.features.pitch_yin. `swift`: SwiftF0, MIT (Nieradzik 2025). `pyin`: librosa
    (Mauch and Dixon, ICASSP 2014). `praat`: autocorrelation (Boersma 1993) by parselmouth, GPL.
    Raises UsageError if the extractor is not installed.
    """

    extractor: Extractor = "yin"
    log: bool = True
    unvoiced: Literal["zero", "interpolate"] = "interpolate"
    low: float = 65.0  # Hz
    high: float = 500.0  # Hz

    @property
    def fingerprint(self) -> str:
        """Also over the version of the package that tracks."""
        known = _PACKAGES.get(self.extractor)
        return digest([super().fingerprint, _version(known[1])]) if known else super().fingerprint

    def extract(self, waveforms: "Sequence[Waveform]", device: "torch.device") -> "list[Array]":
        return [self.track(w) for w in waveforms]

    def track(self, samples: "Waveform") -> "Array":
        """The feature of one clip."""
        f0, voiced = self.contour(samples)
        value = bridged(self.scaled(f0), voiced)
        if self.unvoiced == "zero":
            value = np.where(voiced, value, 0.0)
        return np.stack([value, voiced], axis=1).astype(np.float32)

    def scaled(self, f0: NDArray[np.floating]) -> NDArray[np.floating]:
        """F0 in Hz in the unit of column 0."""
        return np.log2(f0 / self.low) if self.log else f0

    def contour(self, samples: "Waveform") -> Contour:
        """F0 in Hz within `low` to `high` and voicing, per frame; what F0 is in unvoiced frames
        means nothing.
        """
        if gap := missing(self.extractor):
            raise UsageError(gap)
        f0, voiced = _EXTRACTORS[self.extractor](at_least(samples, SHORTEST), self.low, self.high)
        frames = 1 + len(samples) // HOP
        return np.clip(f0[:frames], self.low, self.high), voiced[:frames]


def missing(extractor: Extractor) -> str:
    """What keeps an extractor from running on this machine, as one sentence; empty where nothing
    does.
    """
    if extractor not in _PACKAGES or find_spec(_PACKAGES[extractor][0]):
        return ""
    _, distribution, extra = _PACKAGES[extractor]
    return f"the pitch extractor {extractor} needs {distribution}: pip install 'ser-bench[{extra}]', or use yin"


def on_axis(track: "Array", times: NDArray[np.floating], hop: float = SECONDS_PER_FRAME) -> "Array":
    """A track (frames, k), frame n centred on n * hop seconds, at other times (in seconds): (times,
    k).

    By the straight line between neighbouring frames; the first and last frame are held beyond their
    centres.
    """
    centres = np.arange(len(track)) * hop
    return np.stack([np.interp(times, centres, column) for column in track.T], axis=1).astype(
        np.float32
    )


def bridged(values: NDArray[np.floating], voiced: NDArray[np.bool_]) -> NDArray[np.floating]:
    """The values with unvoiced stretches replaced by straight lines, voiced ends held; 0 if nothing
    is voiced.
    """
    if not voiced.any():
        return np.zeros_like(values)
    at = np.arange(len(values))
    return np.asarray(np.interp(at, at[voiced], values[voiced]))


def _praat(samples: "Waveform", low: float, high: float) -> Contour:
    import parselmouth

    # a window of three periods of silence at either end: Praat has no frames nearer than that to
    # the ends
    margin = int(np.ceil(1.5 / low * SAMPLE_RATE / HOP + 1)) * HOP
    sound = parselmouth.Sound(np.pad(samples.astype(np.float64), margin), SAMPLE_RATE)
    pitch = sound.to_pitch_ac(SECONDS_PER_FRAME, low, pitch_ceiling=high)
    found = pitch.selected_array["frequency"]
    return _at_frames(found, pitch.xs() - margin / SAMPLE_RATE, 1 + len(samples) // HOP)


def _pyin(samples: "Waveform", low: float, high: float) -> Contour:
    import librosa

    # frames of 50 ms: librosa's own 128 ms smear the tones of a syllable
    f0, voiced, _ = librosa.pyin(
        samples, fmin=low, fmax=high, sr=SAMPLE_RATE, frame_length=800, hop_length=HOP
    )
    return np.where(voiced, f0, 0.0), voiced


def _swift(samples: "Waveform", low: float, high: float) -> Contour:
    found = _swift_network().detect(samples, SAMPLE_RATE, fmin=low, fmax=high)
    f0 = np.where(found.confidence >= 0.5, found.pitch_hz, 0.0)  # where its authors calibrated it
    return _at_frames(f0, found.timestamps, 1 + len(samples) // HOP)


@lru_cache
def _swift_network() -> Any:
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)


def _at_frames(f0: NDArray[np.floating], times: NDArray[np.floating], frames: int) -> Contour:
    """F0 (0 where unvoiced) given at other times: interpolated where voiced, voiced where the
    nearest value is.
    """
    wanted = np.arange(frames) * SECONDS_PER_FRAME
    nearest = np.abs(wanted[:, None] - times).argmin(1)
    voiced = f0 > 0
    if not voiced.any():
        return np.zeros(frames), np.zeros(frames, bool)
    return np.interp(wanted, times[voiced], f0[voiced]), voiced[nearest]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


_EXTRACTORS: dict[str, Callable[["Waveform", float, float], Contour]] = {
    "yin": yin,
    "swift": _swift,
    "pyin": _pyin,
    "praat": _praat,
}
