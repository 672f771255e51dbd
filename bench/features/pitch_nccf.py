"""Kaldi's normalised cross-correlation at the lag that its pitch tracker chooses, which
`compute_kaldi_pitch` puts before the pitch.

Written anew after Ghahremani et al., ICASSP 2014, with Kaldi's constants, filters and search. One
thing is simpler: the ballast is relative to the whole clip's power, as in Kaldi's first version,
not to what has been heard so far.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.contracts.feature import SAMPLE_RATE
from bench.features.signal import at_least

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

Floats = NDArray[np.floating]

LOWEST, HIGHEST = 50.0, 400.0  # Hz
WINDOW, HOP = 400, 160  # samples, 25 and 10 ms
RATE = 4000.0  # Hz, at which lags are counted
STEP = 4  # samples of one of these
CUTOFF = 1000.0  # Hz, of the low-pass before it
FINENESS = 0.005  # relative difference between neighbouring lags of the search
WIDTH = 5  # zero crossings of the filter that interpolates between lags
# added to the product of two windows' energies where the lag is chosen, in a clip of unit power
BALLAST = 7000.0
SOFT_LOWEST = 10.0  # Hz: a lag of s seconds loses this share times s of its correlation
PENALTY = 0.1  # per squared change of log lag between neighbouring frames


def nccf(samples: "Waveform") -> "Array":
    """(frames,), -1 to 1: near 1 in a periodic frame, near 0 in noise, 0 in silence.

    Frame k starts at k * 10 ms and is 25 ms long: 1 + (samples - 400) // 160 frames. A clip shorter
    than one window is continued with silence.
    """
    samples = at_least(samples, WINDOW)
    products, norms = _correlations(_low(samples), 1 + (len(samples) - WINDOW) // HOP)
    lags, interpolate = _grid()
    chosen = _track(_ratio(products, norms + BALLAST) @ interpolate, lags)
    plain = _ratio(products, norms) @ interpolate
    return np.clip(plain[np.arange(len(plain)), chosen], -1.0, 1.0).astype(np.float32)


def _low(samples: "Waveform") -> Floats:
    """The clip below 1 kHz, at 4 kHz, of unit power."""
    reach = int(SAMPLE_RATE / (2 * CUTOFF))
    seconds = np.arange(-reach, reach + 1) / SAMPLE_RATE
    taps = (
        2
        * CUTOFF
        / SAMPLE_RATE
        * np.sinc(2 * CUTOFF * seconds)
        * (1 + np.cos(2 * np.pi * CUTOFF * seconds))
        / 2
    )
    low = np.convolve(samples.astype(np.float64), taps, "same")[::STEP]
    return np.asarray(low / np.sqrt(max(float(np.mean(low**2)), 1e-20)))


def _correlations(low: Floats, frames: int) -> tuple[Floats, Floats]:
    """Products of each window with the later ones, and those of their energies [frames, lags]."""
    first, last = _reach()
    window, hop = WINDOW // STEP, HOP // STEP
    padded = np.pad(low, (0, window + last))
    parts = np.lib.stride_tricks.sliding_window_view(padded, window + last)[::hop][:frames]
    parts = parts - parts[:, :window].mean(1, keepdims=True)
    here = parts[:, :window]
    products = np.stack(
        [np.einsum("fw,fw->f", here, parts[:, n : n + window]) for n in range(first, last + 1)], 1
    )
    total = np.pad(np.cumsum(parts**2, axis=1), ((0, 0), (1, 0)))
    lag = np.arange(first, last + 1)
    return products, total[:, [window]] * (total[:, lag + window] - total[:, lag])


def _reach() -> tuple[int, int]:
    """First and last lag, in samples at 4 kHz, that the interpolation between lags needs."""
    return int(np.ceil(RATE / HIGHEST - WIDTH / 2)), int(np.floor(RATE / LOWEST + WIDTH / 2))


@lru_cache
def _grid() -> tuple[Floats, Floats]:
    """Lags of the search in seconds, and the filter from counted lags to them [counted, lags]."""
    steps = int(np.log(HIGHEST / LOWEST) / np.log1p(FINENESS))
    lags = (1 + FINENESS) ** np.arange(steps + 1) / HIGHEST
    first, last = _reach()
    distance = lags * RATE - np.arange(first, last + 1)[:, None]
    window = np.where(
        np.abs(distance) < WIDTH / 2, (1 + np.cos(2 * np.pi * distance / WIDTH)) / 2, 0.0
    )
    return lags, np.sinc(distance) * window


def _ratio(products: Floats, squares: Floats) -> Floats:
    return np.asarray(products / np.sqrt(np.maximum(squares, 1e-10)))


def _track(correlation: Floats, lags: Floats) -> NDArray[np.int64]:
    """The cheapest path (Viterbi): one of the lags per frame."""
    local = 1 - correlation * (1 - SOFT_LOWEST * lags)
    at = np.log(lags)
    steps = PENALTY * np.square(at[:, None] - at)  # [to, from]
    back = np.empty(local.shape, np.int64)
    total = local[0]
    for frame in range(1, len(local)):
        routes = steps + total
        back[frame] = routes.argmin(1)
        total = routes[np.arange(len(lags)), back[frame]] + local[frame]
    path = np.empty(len(local), np.int64)
    path[-1] = total.argmin()
    for frame in range(len(local) - 1, 0, -1):
        path[frame - 1] = back[frame, path[frame]]
    return path
