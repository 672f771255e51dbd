"""F0 by YIN (de Cheveigné and Kawahara, JASA 111, 2002), with a cheapest path over all frames.

Three changes to the published method:

- The clip is smoothed over 2 ms, so that formants and the jitter of high harmonics do not outweigh
  the period.
- The difference function is symmetric about the frame's centre (both halves of the product shrink
  with the lag, as in McLeod and Wyvill, ICMC 2005), so that F0 belongs to the time it is given for.
- The lag is not the first dip below a threshold but lies on the cheapest path through the dips of
  all frames, which makes octave jumps rare and decides voicing in context.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench.contracts.feature import SAMPLE_RATE
from bench.features.viterbi import Floats, cheapest_path

if TYPE_CHECKING:
    from bench.contracts.feature import Waveform

HOP = 160  # samples, 10 ms
FRAME = 512  # samples, 32 ms: two periods of the lowest voice
SMOOTHING = 33  # samples of a Hann window: half of the amplitude is left at 470 Hz
CANDIDATES = 6  # dips per frame that the path may take
# Costs, chosen on sentences 1 to 4 of the demo and by agreement with Praat on 60 clips of RAVDESS,
# where they matter little. A dip costs its depth: 0 in a periodic frame, about 1 in noise.
UNVOICED = 0.4  # of a frame without voice
OCTAVE = 0.02  # per octave of lag: of two equally deep dips, the shorter lag is cheaper
JUMP = 0.35  # per octave between neighbouring frames
SWITCH = 0.3  # from voiced to unvoiced and back
# Share of the loudest frame's power that is added to every difference: a frame 30 dB below it is
# not voiced.
FLOOR = 1e-3
BLOCK = 4096  # frames processed at once: 40 MB


def yin(
    samples: "Waveform", low: float, high: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """F0 in Hz (0 where unvoiced) and voicing, (1 + samples // 160,) each.

    Frame k is centred on sample 160 * k; F0 lies between `low` and `high` Hz.
    """
    longest = int(SAMPLE_RATE / low) + 2
    shortest = int(SAMPLE_RATE / high)
    differences = _differences(samples, longest)
    costs, lags = _dips(differences, shortest)

    local = _local_costs(costs)
    octaves = np.log2(lags)
    transitions = _transitions(octaves)
    path = cheapest_path(local, transitions)
    voiced = path < CANDIDATES

    frames = np.arange(len(lags))
    candidate = np.minimum(path, CANDIDATES - 1)
    lag = lags[frames, candidate]
    frequency = SAMPLE_RATE / lag
    f0 = np.where(voiced, frequency, 0.0)
    return f0, voiced


def _differences(samples: "Waveform", lags: int) -> Floats:
    """The cumulative-mean-normalised difference function, (frames, lags); 1 at lag 0."""
    frames = _frames(samples)
    power = np.square(frames).mean(1)
    loudest = power.max()
    floor = FLOOR * 2 * loudest + 1e-12

    blocks: list[Floats] = []
    for start in range(0, len(frames), BLOCK):
        end = start + BLOCK
        block = frames[start:end]
        normalised = _normalised(block, lags, floor)
        blocks.append(normalised)
    return np.concatenate(blocks)


def _frames(samples: "Waveform") -> Floats:
    """(frames, FRAME): windows of the smoothed clip."""
    hann = np.hanning(SMOOTHING + 2)
    taps = hann[1:-1]
    taps /= taps.sum()
    smooth = np.convolve(samples, taps, "same")

    # the first window is centred on the first sample
    padded = np.pad(smooth, (FRAME // 2, FRAME))
    windows = sliding_window_view(padded, FRAME)
    every_hop = windows[::HOP]
    count = 1 + len(samples) // HOP
    return every_hop[:count]


def _normalised(frames: Floats, lags: int, floor: float) -> Floats:
    """The normalised difference function of some frames (equation 8 of the paper)."""
    difference = _difference(frames, lags) + floor
    at_lag_zero = difference[:, :1]
    cumulative = np.cumsum(difference, axis=1)
    sum_so_far = cumulative - at_lag_zero + floor

    lag = np.arange(lags)
    count = np.maximum(lag, 1)
    normalised = difference / sum_so_far * count
    normalised[:, 0] = 1.0  # by definition
    return np.asarray(normalised)


def _difference(frames: Floats, lags: int) -> Floats:
    """(frames, lags): mean squared difference between the two parts that a lag compares."""
    mean = frames.mean(1, keepdims=True)
    centred = frames - mean
    products = _autocorrelation(centred, lags)

    # energy of the first n samples of each frame, (frames, FRAME + 1)
    energy = np.cumsum(centred**2, axis=1)
    energy = np.pad(energy, ((0, 0), (1, 0)))

    lag = np.arange(lags)
    overlap = FRAME - lag
    total = energy[:, -1:]
    first_part = energy[:, overlap]
    skipped = energy[:, lag]
    both_parts = first_part + total - skipped

    squared = both_parts - 2 * products
    mean_squared = squared / overlap
    limited = np.maximum(mean_squared, 0.0)
    return np.asarray(limited)


def _autocorrelation(frames: Floats, lags: int) -> Floats:
    longest = FRAME + lags - 1
    size = 1 << longest.bit_length()

    spectrum = np.fft.rfft(frames, size)
    magnitude = np.abs(spectrum)
    power = magnitude**2

    products = np.fft.irfft(power, size)
    return np.asarray(products[:, :lags])


def _dips(normalised: Floats, shortest: int) -> tuple[Floats, Floats]:
    """Costs and lags (in samples) of the deepest local minima, (frames, CANDIDATES) each.

    Where a frame has fewer minima, the missing ones cost infinity.
    """
    before = normalised[:, shortest - 1 : -2]
    here = normalised[:, shortest:-1]
    after = normalised[:, shortest + 1 :]
    falls = here < before
    rises = here <= after
    is_minimum = falls & rises
    shift, depth = _vertex(before, here, after)

    offset = np.arange(here.shape[1])
    counted = shortest + offset
    lag = np.asarray(counted + shift, float)
    octaves = np.log2(lag / shortest)
    cost = depth + OCTAVE * octaves
    cost = np.where(is_minimum, cost, np.inf)
    return _cheapest(cost, lag)


def _cheapest(cost: Floats, lag: Floats) -> tuple[Floats, Floats]:
    """Costs and lags of the cheapest minima of each frame, (frames, CANDIDATES) each."""
    order = np.argpartition(cost, CANDIDATES, axis=1)
    columns = order[:, :CANDIDATES]
    frames = np.arange(len(cost))
    rows = frames[:, None]
    return cost[rows, columns], lag[rows, columns]


def _vertex(before: Floats, here: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Position (relative to `here`) and value of the vertex of a parabola through three points."""
    slope = before - after
    curvature = before - 2 * here + after
    curvature = np.maximum(curvature, 1e-9)

    shift = 0.5 * slope / curvature
    shift = np.clip(shift, -0.5, 0.5)
    drop = 0.25 * slope * shift
    value = here - drop
    return shift, value


def _local_costs(dips: Floats) -> Floats:
    """(frames, CANDIDATES + 1): the costs of the dips, and of the choice that there is no voice."""
    shape = (len(dips), 1)
    unvoiced = np.full(shape, UNVOICED)
    return np.concatenate([dips, unvoiced], axis=1)


def _transitions(octaves: Floats) -> Floats:
    """(frames, to, from): what the step from one frame's choice to the next one's costs."""
    choices = CANDIDATES + 1
    shape = (len(octaves), choices, choices)
    costs = np.full(shape, SWITCH)

    # the last choice is "no voice": to stay there costs nothing
    costs[:, -1, -1] = 0.0

    after = octaves[1:, :, None]
    before = octaves[:-1, None, :]
    jump = np.abs(after - before)
    costs[1:, :-1, :-1] = JUMP * jump
    return costs
