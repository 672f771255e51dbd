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
RATE = (
    4000.0  # Hz, the rate to which the clip is reduced, and at which lags are counted
)
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
    low = _low_passed(samples)
    products, norms = _correlations(low, frames)
    lags, interpolation = _lag_grid()

    with_ballast = _ratio(products, norms + BALLAST)
    searched = with_ballast @ interpolation
    chosen = _track(searched, lags)

    without_ballast = _ratio(products, norms)
    correlation = without_ballast @ interpolation
    rows = np.arange(len(correlation))
    values = correlation[rows, chosen]
    limited = np.clip(values, -1.0, 1.0)
    return limited.astype(np.float32)


def _low_passed(samples: "Waveform") -> Floats:
    """The clip below 1 kHz, at 4 kHz, of unit power."""
    exact = samples.astype(np.float64)
    taps = _low_pass()
    filtered = np.convolve(exact, taps, "same")
    low = filtered[::STEP]

    squares = low**2
    power = float(np.mean(squares))
    floored = max(power, 1e-20)
    deviation = np.sqrt(floored)
    return np.asarray(low / deviation)


def _low_pass() -> Floats:
    """The taps of a windowed sinc."""
    bandwidth = 2 * CUTOFF
    reach = int(SAMPLE_RATE / bandwidth)
    samples = np.arange(-reach, reach + 1)
    seconds = samples / SAMPLE_RATE

    gain = bandwidth / SAMPLE_RATE
    sinc = np.sinc(bandwidth * seconds)
    ideal = gain * sinc

    angular_frequency = 2 * np.pi * CUTOFF
    phase = angular_frequency * seconds
    hann = 1 + np.cos(phase)
    taps = ideal * hann / 2
    return np.asarray(taps)


def _correlations(low: Floats, frames: int) -> tuple[Floats, Floats]:
    """Products of each window with the later ones, and of their energies, (frames, lags) each."""
    window = WINDOW // STEP
    first, last = _counted_lags()
    lags = np.arange(first, last + 1)
    parts = _parts(low, frames, window, last)
    products = _products(parts, lags, window)
    energies = _energies(parts, lags, window)
    return products, energies


def _products(parts: Floats, lags: NDArray[np.int64], window: int) -> Floats:
    """(frames, lags): the product of each window with the one that starts a lag later."""
    here = parts[:, :window]
    products: list[Floats] = []
    for lag in lags:
        end = lag + window
        later = parts[:, lag:end]
        product = np.einsum("fw,fw->f", here, later)
        products.append(product)

    return np.stack(products, 1)


def _energies(parts: Floats, lags: NDArray[np.int64], window: int) -> Floats:
    """(frames, lags): the energy of each window times that of the one a lag later."""
    # energy of the first n samples of each part
    energy = np.cumsum(parts**2, axis=1)
    energy = np.pad(energy, ((0, 0), (1, 0)))

    own = energy[:, [window]]
    up_to_start = energy[:, lags]
    up_to_end = energy[:, lags + window]
    later = up_to_end - up_to_start
    return np.asarray(own * later)


def _parts(low: Floats, frames: int, window: int, last: int) -> Floats:
    """(frames, window + last): each frame with what follows, minus the mean of its window."""
    size = window + last
    padded = np.pad(low, (0, size))
    views = sliding_window_view(padded, size)
    hop = HOP // STEP
    every_hop = views[::hop]
    parts = every_hop[:frames]

    windows = parts[:, :window]
    mean = windows.mean(1, keepdims=True)
    return np.asarray(parts - mean)


def _counted_lags() -> tuple[int, int]:
    """First and last lag, in samples at 4 kHz, that the interpolation between lags needs."""
    reach = WIDTH / 2
    shortest = RATE / HIGHEST
    first = np.ceil(shortest - reach)

    longest = RATE / LOWEST
    last = np.floor(longest + reach)
    return int(first), int(last)


@lru_cache
def _lag_grid() -> tuple[Floats, Floats]:
    """Lags of the search in seconds, and the filter from counted lags to them, (counted, lags)."""
    lags = _searched_lags()
    first, last = _counted_lags()
    counted = np.arange(first, last + 1)
    searched = lags * RATE
    distance = searched - counted[:, None]
    return lags, _interpolation(distance)


def _searched_lags() -> Floats:
    """Lags in seconds, each longer than the one before by the same factor."""
    lag_ratio = HIGHEST / LOWEST
    whole_range = np.log(lag_ratio)
    step = np.log1p(FINENESS)
    steps = int(whole_range / step)

    exponents = np.arange(steps + 1)
    factors = (1 + FINENESS) ** exponents
    return np.asarray(factors / HIGHEST)


def _interpolation(distance: Floats) -> Floats:
    """A windowed sinc at distances in samples at 4 kHz."""
    phase = 2 * np.pi * distance / WIDTH
    raised_cosine = 1 + np.cos(phase)
    hann = raised_cosine / 2

    reach = WIDTH / 2
    is_near = np.abs(distance) < reach
    window = np.where(is_near, hann, 0.0)

    sinc = np.sinc(distance)
    return np.asarray(sinc * window)


def _ratio(products: Floats, squares: Floats) -> Floats:
    floored = np.maximum(squares, 1e-10)
    norms = np.sqrt(floored)
    return np.asarray(products / norms)


def _track(correlation: Floats, lags: Floats) -> NDArray[np.int64]:
    """(frames,): the index of each frame's lag on the cheapest path."""
    discount = 1 - SOFT_LOWEST * lags
    local = 1 - correlation * discount

    log_lags = np.log(lags)
    changes = log_lags[:, None] - log_lags
    jumps = PENALTY * np.square(changes)
    shape = (len(local), *jumps.shape)
    transitions = np.broadcast_to(jumps, shape)
    return cheapest_path(local, transitions)
