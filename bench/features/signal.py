"""Features by signal processing alone: the waveform, log-mels, MFCCs, and statistics of any of them
over a clip.

All are computed clip by clip on the CPU, whatever the device: they are the same everywhere, and are
cached.
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
    from bench.contracts.feature import Array
    from bench.contracts.feature import Waveform as Samples

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Waveform(Feature):
    """The samples themselves, (samples,), optionally with zero mean and unit variance per clip.

    The normalisation is that of transformers' Wav2Vec2FeatureExtractor: (x - mean) / sqrt(variance
    + 1e-7).
    """

    cached: ClassVar[bool] = False

    normalise: bool = False
    max_seconds: float = 0.0  # longer clips are cut, before they are normalised; 0: never

    def extract(self, waveforms: "Sequence[Samples]", device: torch.device) -> "list[Array]":
        return [self._one(cut(w, self.max_seconds)) for w in waveforms]

    def _one(self, samples: "Samples") -> "Array":
        if not self.normalise:
            return samples
        return np.asarray(
            (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7), dtype=np.float32
        )


@dataclass(frozen=True)
class LogMel(Feature):
    """Whisper's log-mel spectrogram, (frames, mels), 100 frames a second (Radford et al. 2023).

    `pad_seconds` = 30 gives the window that Whisper was trained on: the clip and silence, or its
    first 30 s.
    """

    mels: int = 80  # 128 from large-v3 on
    pad_seconds: float = 0.0  # the clip is padded or cut to this length; 0: its own
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(self, waveforms: "Sequence[Samples]", device: torch.device) -> "list[Array]":
        return [log_mel(self._window(cut(w, self.max_seconds)), self.mels) for w in waveforms]

    def _window(self, samples: "Samples") -> "Samples":
        return at_least(cut(samples, self.pad_seconds), round(self.pad_seconds * SAMPLE_RATE))


@dataclass(frozen=True)
class LogMelSpectrogram(Feature):
    """Natural logarithm of a mel power spectrogram, (frames, mels), without filter normalisation.

    The defaults are those of BYOL-S (Elbanna et al. 2022): 64 HTK mels between 60 and 7800 Hz;
    log(x + epsilon) with the machine epsilon of float32.
    """

    n_fft: int = 1024
    window: int = WINDOW  # samples, Hann
    hop: int = HOP  # samples
    mels: int = 64
    low: float = 60.0  # Hz
    high: float = 7800.0  # Hz
    htk: bool = True  # HTK's mel scale instead of Slaney's

    def extract(self, waveforms: "Sequence[Samples]", device: torch.device) -> "list[Array]":
        return [self._one(w) for w in waveforms]

    def _one(self, samples: "Samples") -> "Array":
        filters = mel_filters(self.n_fft, self.mels, self.low, self.high, htk=self.htk, norm=None)
        mels = filters @ power_spectrogram(samples, self.n_fft, self.window, self.hop)
        return _frames_first(torch.log(mels + EPSILON))


@dataclass(frozen=True)
class Mfcc(Feature):
    """MFCCs and their time derivatives, (frames, coefficients * (1 + deltas)): MFCC-39 by default.

    librosa's conventions: 25 ms windows every 10 ms, 128 mels, derivatives over 9 frames. A clip of
    fewer than 9 frames has its edge frames repeated for the derivatives; one shorter than a window
    is continued with silence.
    """

    coefficients: int = 13
    deltas: int = 2  # orders of derivatives
    max_seconds: float = 0.0  # longer clips are cut; 0: never

    def extract(self, waveforms: "Sequence[Samples]", device: torch.device) -> "list[Array]":
        return [self._one(at_least(cut(w, self.max_seconds), WINDOW)) for w in waveforms]

    def _one(self, samples: "Samples") -> "Array":
        from librosa.feature import delta, mfcc

        width = 9
        base = mfcc(
            y=samples, sr=SAMPLE_RATE, n_mfcc=self.coefficients, n_fft=WINDOW, hop_length=HOP
        )
        mode = "interp" if base.shape[1] >= width else "nearest"
        orders = [delta(base, width=width, order=n, mode=mode) for n in range(1, self.deltas + 1)]
        return np.ascontiguousarray(np.concatenate([base, *orders]).T, dtype=np.float32)


@dataclass(frozen=True)
class Statistics(Feature):
    """Mean and standard deviation of another feature over the clip's frames, (1, 2 * dim)."""

    pooled: ClassVar[bool] = True

    of: Feature

    @property
    def parameters(self) -> int:
        return self.of.parameters

    def extract(self, waveforms: "Sequence[Samples]", device: torch.device) -> "list[Array]":
        return [self._one(a) for a in self.of.extract(waveforms, device)]

    def _one(self, frames: "Array") -> "Array":
        values = frames.reshape(len(frames), -1).astype(np.float64)
        return np.concatenate([values.mean(0), values.std(0)]).astype(np.float32)[None]


def log_mel(samples: "Samples", mels: int = 80) -> "Array":
    """(frames, mels): openai-whisper's `log_mel_spectrogram` of the samples, one frame per whole 10
    ms, at least one.

    The loudest value of the whole input sets a floor 80 dB below it: a part of a clip may look
    different alone.
    """
    filters = mel_filters(WINDOW, mels, 0.0, SAMPLE_RATE / 2, htk=False, norm="slaney")
    power = filters @ power_spectrogram(samples, WINDOW, WINDOW, HOP)[:, :-1]
    decades = power.clamp_min(1e-10).log10()
    decades = torch.maximum(decades, decades.max() - 8.0)
    return _frames_first((decades + 4.0) / 4.0)


def power_spectrogram(samples: "Samples", n_fft: int, window: int, hop: int) -> Tensor:
    """(n_fft / 2 + 1, 1 + samples // hop): squared magnitudes of centred Hann windows, the edges
    reflected.

    A clip too short to be reflected is continued with silence to n_fft / 2 + 1 samples.
    """
    signal = torch.tensor(at_least(samples, n_fft // 2 + 1))
    hann = torch.hann_window(window)
    spectrum = torch.stft(
        signal, n_fft, hop, window, hann, center=True, pad_mode="reflect", return_complex=True
    )
    return spectrum.abs().square()


@lru_cache
def mel_filters(
    n_fft: int, mels: int, low: float, high: float, htk: bool, norm: str | None
) -> Tensor:
    """(mels, n_fft / 2 + 1)."""
    from librosa.filters import mel

    return torch.from_numpy(
        mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=mels, fmin=low, fmax=high, htk=htk, norm=norm)
    )


def cut(samples: "Samples", seconds: float) -> "Samples":
    """The first seconds of a clip; 0: all of it."""
    return samples[: round(seconds * SAMPLE_RATE)] if seconds else samples


def at_least(samples: "Samples", count: int) -> "Samples":
    """The samples, continued with silence to `count`."""
    return np.pad(samples, (0, max(0, count - len(samples))))


def _frames_first(spectrogram: Tensor) -> "Array":
    return spectrogram.T.contiguous().numpy()
