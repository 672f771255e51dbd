"""Features by signal processing alone: waveform, log-mels, MFCCs, and statistics over a clip.

All are computed clip by clip on the CPU, whatever the device, so that they are the same everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.contracts.feature import SAMPLE_RATE, Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.contracts.feature import Array
    from bench.contracts.feature import Waveform as Samples

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
EPSILON = float(np.finfo(np.float32).eps)
VARIANCE_FLOOR = 1e-7  # of a normalised waveform, as in transformers
DELTA_WIDTH = 9  # frames that a derivative of MFCCs is estimated from


@dataclass(frozen=True)
class Waveform(Feature):
    """The samples themselves, (samples,), optionally with zero mean and unit variance per clip."""

    cached: ClassVar[bool] = False
    founding: ClassVar[tuple[str, ...]] = ("normalise", "max_seconds")

    normalise: bool = False
    max_seconds: float = (
        0.0  # longer clips are cut, before they are normalised; 0: never
    )

    def extract(
        self, waveforms: "Sequence[Samples]", device: torch.device
    ) -> "list[Array]":
        return [self._one(samples) for samples in waveforms]

    def _one(self, samples: "Samples") -> "Array":
        shortened = cut(samples, self.max_seconds)
        if self.normalise:
            return normalised_waveform(shortened)
        return shortened


@dataclass(frozen=True)
class LogMel(Feature):
    """Whisper's log-mel spectrogram, (frames, mels), 100 frames a second (Radford et al. 2023).

    `pad_seconds` = 30 gives the window that Whisper was trained on: the clip and silence, or its
    first 30 s.
    """

    founding: ClassVar[tuple[str, ...]] = ("mels", "pad_seconds", "max_seconds")

    mels: int = 80  # 128 from large-v3 on
    pad_seconds: float = 0.0  # the clip is padded or cut to this length; 0: its own
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(
        self, waveforms: "Sequence[Samples]", device: torch.device
    ) -> "list[Array]":
        return [self._one(samples) for samples in waveforms]

    def _one(self, samples: "Samples") -> "Array":
        shortened = cut(samples, self.max_seconds)
        size = round(self.pad_seconds * SAMPLE_RATE)
        window = cut(shortened, self.pad_seconds)
        window = at_least(window, size)
        return log_mel(window, self.mels)


@dataclass(frozen=True)
class LogMelSpectrogram(Feature):
    """Natural logarithm of a mel power spectrogram, (frames, mels), without filter normalisation.

    The defaults are those of BYOL-S (Elbanna et al. 2022): 64 HTK mels between 60 and 7800 Hz;
    log(x + epsilon) with the machine epsilon of float32.
    """

    founding: ClassVar[tuple[str, ...]] = (
        "n_fft",
        "window",
        "hop",
        "mels",
        "low",
        "high",
        "htk",
    )

    n_fft: int = 1024
    window: int = WINDOW  # samples, Hann
    hop: int = HOP  # samples
    mels: int = 64
    low: float = 60.0  # Hz
    high: float = 7800.0  # Hz
    htk: bool = True  # HTK's mel scale instead of Slaney's

    def extract(
        self, waveforms: "Sequence[Samples]", device: torch.device
    ) -> "list[Array]":
        return [self._one(samples) for samples in waveforms]

    def _one(self, samples: "Samples") -> "Array":
        filters = mel_filters(
            self.n_fft,
            self.mels,
            self.low,
            self.high,
            htk=self.htk,
            norm=None,
        )
        power = power_spectrogram(
            samples,
            self.n_fft,
            self.window,
            self.hop,
        )
        mels = filters @ power
        log_mels = torch.log(mels + EPSILON)
        return _frames_first(log_mels)


@dataclass(frozen=True)
class Mfcc(Feature):
    """MFCCs and their time derivatives, (frames, coefficients * (1 + deltas)): MFCC-39 by default.

    librosa's conventions: 25 ms windows every 10 ms, 128 mels, derivatives over 9 frames. A clip of
    fewer than 9 frames has its edge frames repeated for the derivatives; one shorter than a window
    is continued with silence.
    """

    founding: ClassVar[tuple[str, ...]] = ("coefficients", "deltas", "max_seconds")

    coefficients: int = 13
    deltas: int = 2  # orders of derivatives
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(
        self, waveforms: "Sequence[Samples]", device: torch.device
    ) -> "list[Array]":
        return [self._one(samples) for samples in waveforms]

    def _one(self, samples: "Samples") -> "Array":
        from librosa.feature import delta, mfcc

        shortened = cut(samples, self.max_seconds)
        base = mfcc(
            y=at_least(shortened, WINDOW),
            sr=SAMPLE_RATE,
            n_mfcc=self.coefficients,
            n_fft=WINDOW,
            hop_length=HOP,
        )
        frames = base.shape[1]
        mode = "interp" if frames >= DELTA_WIDTH else "nearest"

        rows = [base]
        for order in range(1, self.deltas + 1):
            derivative = delta(
                base,
                width=DELTA_WIDTH,
                order=order,
                mode=mode,
            )
            rows.append(derivative)
        joined = np.concatenate(rows)
        return np.ascontiguousarray(joined.T, dtype=np.float32)


@dataclass(frozen=True)
class Statistics(Feature):
    """Mean and standard deviation of another feature over the clip's frames, (1, 2 * dim)."""

    pooled: ClassVar[bool] = True
    founding: ClassVar[tuple[str, ...]] = ("of",)

    of: Feature

    @property
    def title(self) -> str:
        return f"statistics of {self.of.title}"

    @property
    def parameters(self) -> int:
        return self.of.parameters

    def extract(
        self, waveforms: "Sequence[Samples]", device: torch.device
    ) -> "list[Array]":
        arrays = self.of.extract(waveforms, device)
        return [self._one(array) for array in arrays]

    def _one(self, frames: "Array") -> "Array":
        flat = frames.reshape(len(frames), -1)
        values = flat.astype(np.float64)
        mean = values.mean(0)
        deviation = values.std(0)

        both = np.concatenate([mean, deviation])
        both = both.astype(np.float32)
        return both[None]


def normalised_waveform(samples: "Samples | NDArray[np.float64]") -> "Array":
    """The samples with zero mean and unit variance: (x - mean) / sqrt(variance + 1e-7), float32.

    As transformers' Wav2Vec2FeatureExtractor does, in the precision of the samples given.
    """
    variance = samples.var()
    deviation = np.sqrt(variance + VARIANCE_FLOOR)

    mean = samples.mean()
    centred = samples - mean
    return np.asarray(centred / deviation, dtype=np.float32)


def log_mel(samples: "Samples", mels: int = 80) -> "Array":
    """(frames, mels): openai-whisper's `log_mel_spectrogram`, one frame per whole 10 ms, at least
    one.

    The loudest value of the whole input sets a floor 80 dB below it, so that a part of a clip may
    give other values on its own.
    """
    filters = mel_filters(
        WINDOW,
        mels,
        0.0,
        SAMPLE_RATE / 2,
        htk=False,
        norm="slaney",
    )
    power = power_spectrogram(samples, WINDOW, WINDOW, HOP)
    mel_power = filters @ power[:, :-1]

    decades = mel_power.clamp_min(1e-10).log10()
    loudest = decades.max()
    limited = torch.maximum(decades, loudest - 8.0)
    scaled = (limited + 4.0) / 4.0
    return _frames_first(scaled)


def power_spectrogram(samples: "Samples", n_fft: int, window: int, hop: int) -> Tensor:
    """(n_fft / 2 + 1, 1 + samples // hop): squared magnitudes of centred Hann windows.

    Edges are reflected; a clip too short for that is continued with silence to n_fft / 2 + 1
    samples.
    """
    signal = torch.tensor(at_least(samples, n_fft // 2 + 1))
    spectrum = torch.stft(
        signal,
        n_fft,
        hop_length=hop,
        win_length=window,
        window=torch.hann_window(window),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return spectrum.abs().square()


@lru_cache
def mel_filters(
    n_fft: int, mels: int, low: float, high: float, htk: bool, norm: str | None
) -> Tensor:
    """librosa's mel filters from `low` to `high` Hz, (mels, n_fft / 2 + 1)."""
    from librosa.filters import mel

    filters = mel(
        sr=SAMPLE_RATE,
        n_fft=n_fft,
        n_mels=mels,
        fmin=low,
        fmax=high,
        htk=htk,
        norm=norm,
    )
    return torch.from_numpy(filters)


def cut(samples: "Samples", seconds: float) -> "Samples":
    """The first `seconds` of a clip; 0: all of it."""
    if not seconds:
        return samples
    count = round(seconds * SAMPLE_RATE)
    return samples[:count]


def at_least(samples: "Samples", count: int) -> "Samples":
    """The samples, continued with silence to `count`."""
    lacking = count - len(samples)
    silence = max(0, lacking)
    return np.pad(samples, (0, silence))


def _frames_first(spectrogram: Tensor) -> "Array":
    return spectrogram.T.contiguous().numpy()
