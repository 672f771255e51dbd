"""Fundamental frequency as a feature: F0 and voicing every 10 ms, by one of four extractors.

results/reference/f0.md lists their errors and costs. All work clip by clip on the CPU, whatever the
device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
Contour = tuple[
    NDArray[np.floating], NDArray[np.bool_]
]  # F0 in Hz and voicing, (frames,) each

SECONDS_PER_FRAME = HOP / SAMPLE_RATE
# samples; a shorter clip is continued with silence, so that all extractors accept it
SHORTEST = 2048
SWIFT_CONFIDENCE = 0.5  # from which on a frame is voiced, as its authors calibrated it

_PACKAGES = {  # extractor -> module, distribution, extra
    "swift": ("swift_f0", "swift-f0", "swift"),
    "pyin": ("librosa", "librosa", ""),
    "praat": ("parselmouth", "praat-parselmouth", "praat"),
}


@dataclass(frozen=True)
class Pitch(Feature):
    """F0 and voicing, (1 + samples // 160, 2); frame k is centred on k * 10 ms.

    Column 0 is F0, in octaves above `low` if `log` (0 to log2(high / low)), else in Hz. Column 1 is
    voicing, 1 or 0. In unvoiced frames, column 0 is 0 (`zero`), or lies on the straight line
    between the voiced neighbours, with the first and last voiced value held to the ends
    (`interpolate`). A clip without a voiced frame is 0 throughout.

    Extractors: `yin`, bench.features.pitch_yin; `swift`, SwiftF0, MIT (Nieradzik 2025); `pyin`,
    librosa (Mauch and Dixon, ICASSP 2014); `praat`, autocorrelation (Boersma 1993) by parselmouth,
    GPL.

    Raises:
        UsageError: The extractor is not installed.
    """

    founding: ClassVar[tuple[str, ...]] = (
        "extractor",
        "log",
        "unvoiced",
        "low",
        "high",
    )

    extractor: Extractor = "yin"
    log: bool = True
    unvoiced: Literal["zero", "interpolate"] = "interpolate"
    low: float = 65.0  # Hz
    high: float = 500.0  # Hz

    @property
    def fingerprint(self) -> str:
        """The usual fingerprint, and the version of the extractor's package where it has one."""
        fields = super().fingerprint
        if self.extractor not in _PACKAGES:
            return fields
        _, distribution, _ = _PACKAGES[self.extractor]
        return digest([fields, _version(distribution)])

    def extract(
        self, waveforms: "Sequence[Waveform]", device: "torch.device"
    ) -> "list[Array]":
        return [self.track(samples) for samples in waveforms]

    def track(self, samples: "Waveform") -> "Array":
        """The feature of one clip."""
        f0, voiced = self.contour(samples)
        scaled = self.scaled(f0)
        value = bridged(scaled, voiced)
        if self.unvoiced == "zero":
            value = np.where(voiced, value, 0.0)

        columns = np.stack([value, voiced], axis=1)
        return columns.astype(np.float32)

    def scaled(self, f0: NDArray[np.floating]) -> NDArray[np.floating]:
        """F0 in Hz in the unit of column 0."""
        if not self.log:
            return f0
        octaves: NDArray[np.floating] = np.log2(f0 / self.low)
        return octaves

    def contour(self, samples: "Waveform") -> Contour:
        """F0 in Hz, limited to `low` and `high`, and voicing, per frame. F0 is meaningless in
        unvoiced frames.
        """
        obstacle = missing(self.extractor)
        if obstacle:
            raise UsageError(obstacle)

        extractor = _EXTRACTORS[self.extractor]
        padded = at_least(samples, SHORTEST)
        f0, voiced = extractor(padded, self.low, self.high)

        frames = 1 + len(samples) // HOP
        limited = np.clip(f0[:frames], self.low, self.high)
        return limited, voiced[:frames]


def missing(extractor: Extractor) -> str:
    """Why an extractor cannot run on this machine, as one sentence; empty if it can."""
    if extractor not in _PACKAGES:
        return ""
    module, distribution, extra = _PACKAGES[extractor]
    if find_spec(module):
        return ""
    advice = f"pip install 'ser-bench[{extra}]', or use yin"
    return f"the pitch extractor {extractor} needs {distribution}: {advice}"


def on_axis(
    track: "Array", times: NDArray[np.floating], hop: float = SECONDS_PER_FRAME
) -> "Array":
    """A track at other times (in seconds), by linear interpolation: (times, k).

    track: (frames, k), frame n centred on n * hop seconds. The first and last frame are held beyond
    their centres.
    """
    frames = np.arange(len(track))
    centres = frames * hop
    columns: list[NDArray[np.floating]] = []
    for values in track.T:
        column = np.interp(times, centres, values)
        columns.append(column)

    joined = np.stack(columns, axis=1)
    return joined.astype(np.float32)


def bridged(
    values: NDArray[np.floating], voiced: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """The values with straight lines over unvoiced stretches; 0 if nothing is voiced.

    The first and last voiced value are held to the ends.
    """
    if not voiced.any():
        return np.zeros_like(values)

    frames = np.arange(len(values))
    voiced_frames = frames[voiced]
    voiced_values = values[voiced]
    filled = np.interp(frames, voiced_frames, voiced_values)
    return np.asarray(filled)


def _praat(samples: "Waveform", low: float, high: float) -> Contour:
    import parselmouth

    # silence of half a window of three periods at either end, where Praat has no frames
    half_window = 1.5 / low * SAMPLE_RATE
    hops = np.ceil(half_window / HOP + 1)
    margin = int(hops) * HOP
    exact = samples.astype(np.float64)
    padded = np.pad(exact, margin)

    sound = parselmouth.Sound(padded, SAMPLE_RATE)
    pitch = sound.to_pitch_ac(
        SECONDS_PER_FRAME,
        low,
        pitch_ceiling=high,
    )
    f0 = pitch.selected_array["frequency"]
    silence = margin / SAMPLE_RATE
    times = pitch.xs() - silence

    frames = 1 + len(samples) // HOP
    return _at_frames(f0, times, frames)


def _pyin(samples: "Waveform", low: float, high: float) -> Contour:
    import librosa

    f0, voiced, _ = librosa.pyin(
        samples,
        fmin=low,
        fmax=high,
        sr=SAMPLE_RATE,
        frame_length=800,  # 50 ms: librosa's default of 128 ms smears the tones of a syllable
        hop_length=HOP,
    )
    return np.where(voiced, f0, 0.0), voiced


def _swift(samples: "Waveform", low: float, high: float) -> Contour:
    network = _swift_network()
    result = network.detect(
        samples,
        SAMPLE_RATE,
        fmin=low,
        fmax=high,
    )
    voiced = result.confidence >= SWIFT_CONFIDENCE
    f0 = np.where(voiced, result.pitch_hz, 0.0)

    frames = 1 + len(samples) // HOP
    return _at_frames(f0, result.timestamps, frames)


@lru_cache
def _swift_network() -> Any:
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)


def _at_frames(
    f0: NDArray[np.floating], times: NDArray[np.floating], frames: int
) -> Contour:
    """The contour at our frames, from F0 (0 where unvoiced) at other times.

    F0 is interpolated between voiced values; a frame is voiced if the value nearest to it is.
    """
    voiced = f0 > 0
    if not voiced.any():
        return np.zeros(frames), np.zeros(frames, bool)

    centres = np.arange(frames) * SECONDS_PER_FRAME
    voiced_times = times[voiced]
    voiced_f0 = f0[voiced]
    interpolated = np.interp(centres, voiced_times, voiced_f0)

    differences = centres[:, None] - times
    distances = np.abs(differences)
    nearest = distances.argmin(1)
    return interpolated, voiced[nearest]


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
