"""Kaldi's normalised cross-correlation at the lag that its pitch tracker chooses.

It is the first column of torchaudio's `compute_kaldi_pitch`. This implementation follows Ghahremani
et al., ICASSP 2014, with Kaldi's constants, filters and search. One thing is simpler: the ballast
is relative to the power of the whole clip, as in Kaldi's first version, not to the power so far.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench.contracts.feature import SAMPLE_RATE
from bench.features.signal import at_least
from bench.features.viterbi import Floats, cheapest_path

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

LOWEST = 50.0  # Hz
HIGHEST = 400.0  # Hz
WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
RATE = 4000.0  # Hz, the rate to which the clip is reduced, and at which lags are counted
STEP = 4  # samples of the clip per sample at that rate
CUTOFF = 1000.0  # Hz, of the low-pass filter before it
FINENESS = 0.005  # relative difference between neighbouring lags of the search
WIDTH = 5  # zero crossings of the filter that interpolates between lags
# Added to the product of two windows' energies while the lag is chosen, in a clip of unit power.
BALLAST = 7000.0
SOFT_LOWEST = 10.0  # Hz: a lag of s seconds loses this share times s of its correlation
PENALTY = 0.1  # per squared change of log lag between neighbouring frames


def nccf(samples: "Waveform") -> "Array":
    """(frames,), -1 to 1: near 1 in a periodic frame, near 0 in noise, 0 in silence.

    Frame k starts at k * 10 ms and is 25 ms long: 1 + (samples - 400) // 160 frames. A clip shorter
    than one window is continued with silence.
    """
    samples = at_least(samples, WINDOW)
    frames = 1 + (len(samples) - WINDOW) // HOP
    products, norms = _correlations(_low_passed(samples), frames)
    lags, interpolation = _lag_grid()

    with_ballast = _ratio(products, norms + BALLAST)
    chosen = _track(with_ballast @ interpolation, lags)

    correlation = _ratio(products, norms) @ interpolation
    rows = np.arange(len(correlation))
    values = correlation[rows, chosen]
    return np.clip(values, -1.0, 1.0).astype(np.float32)


def _low_passed(samples: "Waveform") -> Floats:
    """The clip below 1 kHz, at 4 kHz, of unit power."""
    filtered = np.convolve(samples.astype(np.float64), _low_pass(), "same")
    low = filtered[::STEP]
    power = float(np.mean(low**2))
    deviation = np.sqrt(max(power, 1e-20))
    return np.asarray(low / deviation)


def _low_pass() -> Floats:
    """The taps of a windowed sinc."""
    reach = int(SAMPLE_RATE / (2 * CUTOFF))
    seconds = np.arange(-reach, reach + 1) / SAMPLE_RATE
    gain = 2 * CUTOFF / SAMPLE_RATE
    sinc = np.sinc(2 * CUTOFF * seconds)
    phase = 2 * np.pi * CUTOFF * seconds
    hann = 1 + np.cos(phase)
    return np.asarray(gain * sinc * hann / 2)


def _correlations(low: Floats, frames: int) -> tuple[Floats, Floats]:
    """Products of each window with the later ones, and of their energies, (frames, lags) each."""
    first, last = _counted_lags()
    window = WINDOW // STEP
    parts = _parts(low, frames, window, last)
    here = parts[:, :window]
    products: list[Floats] = []
    for lag in range(first, last + 1):
        later = parts[:, lag : lag + window]
        products.append(np.einsum("fw,fw->f", here, later))

    # energy of the first n samples of each part
    energy = np.cumsum(parts**2, axis=1)
    energy = np.pad(energy, ((0, 0), (1, 0)))
    lags = np.arange(first, last + 1)
    later_energy = energy[:, lags + window] - energy[:, lags]
    own_energy = energy[:, [window]]
    return np.stack(products, 1), own_energy * later_energy


def _parts(low: Floats, frames: int, window: int, last: int) -> Floats:
    """(frames, window + last): each frame with what follows, minus the mean of its window."""
    size = window + last
    padded = np.pad(low, (0, size))
    views = sliding_window_view(padded, size)
    hop = HOP // STEP
    parts = views[::hop][:frames]
    mean = parts[:, :window].mean(1, keepdims=True)
    return np.asarray(parts - mean)


def _counted_lags() -> tuple[int, int]:
    """First and last lag, in samples at 4 kHz, that the interpolation between lags needs."""
    first = np.ceil(RATE / HIGHEST - WIDTH / 2)
    last = np.floor(RATE / LOWEST + WIDTH / 2)
    return int(first), int(last)


@lru_cache
def _lag_grid() -> tuple[Floats, Floats]:
    """Lags of the search in seconds, and the filter from counted lags to them, (counted, lags)."""
    steps = int(np.log(HIGHEST / LOWEST) / np.log1p(FINENESS))
    exponents = np.arange(steps + 1)
    lags = (1 + FINENESS) ** exponents / HIGHEST

    first, last = _counted_lags()
    counted = np.arange(first, last + 1)
    distance = lags * RATE - counted[:, None]

    phase = 2 * np.pi * distance / WIDTH
    hann = (1 + np.cos(phase)) / 2
    is_near = np.abs(distance) < WIDTH / 2
    window = np.where(is_near, hann, 0.0)
    return lags, np.sinc(distance) * window


def _ratio(products: Floats, squares: Floats) -> Floats:
    norms = np.sqrt(np.maximum(squares, 1e-10))
    return np.asarray(products / norms)


def _track(correlation: Floats, lags: Floats) -> NDArray[np.int64]:
    """(frames,): the index of each frame's lag on the cheapest path."""
    discount = 1 - SOFT_LOWEST * lags
    local = 1 - correlation * discount
    log_lags = np.log(lags)
    jumps = PENALTY * np.square(log_lags[:, None] - log_lags)
    transitions = np.broadcast_to(jumps, (len(local), *jumps.shape))
    return cheapest_path(local, transitions)
