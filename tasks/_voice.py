"""A source-filter voice: pulses and noise, shaped frame by frame by a glottal spectrum and five
formants.

Glottal spectrum: a glottal formant and a tilt at fixed frequencies (Doval, d'Alessandro and
Henrich, Acta Acustica 92, 2006), so that pitch moves no part of the spectral envelope. Cascaded
formants and aspiration noise: Klatt and Klatt, JASA 87, 1990. The truth about pitch is known,
because it is what drives the pulses.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz
F0_HOP = 0.01  # s between values of the F0 track

_HOP = 80  # samples, 5 ms: one filter per hop
_WINDOW = np.hanning(2 * _HOP + 1)[:-1]  # two hops: neighbours sum to one
_FFT = 512  # samples: a window and 22 ms for the formants to ring out
_HZ = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)  # [bins]

# silence before and after, in syllables: a change of tempo stretches a clip as a whole
_LEAD = 0.2
_TAIL = 0.3
_JITTER = 0.007  # deviation of a pulse's time, as a share of its period
_SHIMMER = 0.05  # deviation of a pulse's height
# dB relative to the voice: the room's noise under the speech; hides the 16-bit steps
_FLOOR = -45.0
_VOICED = 0.15  # share of full voicing above which a frame counts as voiced

_VOWELS = {  # first three formants, Hz, of a 17.5 cm vocal tract
    "a": (800, 1300, 2600),
    "e": (480, 1950, 2600),
    "i": (290, 2250, 3000),
    "o": (480, 900, 2500),
    "u": (330, 800, 2350),
}
_LOCI = {  # where the formants start after each consonant, Hz; h takes its vowel's
    "m": (250, 1100, 2200),
    "n": (250, 1500, 2500),
    "l": (350, 1100, 2600),
    "t": (350, 1750, 2650),
    "k": (350, 1900, 2300),
    "s": (350, 1700, 2600),
}
_HIGHER = (3500.0, 4500.0)  # Hz, fourth and fifth formant
_BANDWIDTHS = (60.0, 90.0, 130.0, 200.0, 300.0)  # Hz
_SONORANTS = "mnl"
_NOISES = {  # centre Hz, width Hz, level, and onset as a share of a syllable
    "s": (5500, 1500, 0.30, 0.03),
    "t": (4000, 1800, 0.45, 0.17),
    "k": (1800, 700, 0.40, 0.17),
    "h": (1500, 1500, 0.10, 0.05),
}
_TONES = {  # semitones at the start, middle and end of a syllable's voiced part
    "1": (1.5, 1.5, 1.5),  # level
    "2": (-1.5, -0.5, 2.5),  # rising
    "3": (-0.5, -3.0, -0.5),  # dipping
    "4": (2.5, 0.5, -3.0),  # falling
}
_DECLINATION = -1.0  # semitones from the start of a sentence to its end

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Reading:
    """A sentence and how it is spoken.

    Syllables are a consonant (h k l m n s t), a vowel (a e i o u) and a tone (1 level, 2 rising, 3
    dipping, 4 falling): `ma1 ti2 su4`.
    """

    name: str  # seeds the noise, the jitter and the shimmer
    syllables: tuple[str, ...]
    f0: float  # Hz, the speaker's middle pitch
    pitch_range: float  # factor on every tone's excursion
    rate: float  # syllables per second
    tract: (
        float  # factor on all formants: above 1 for a vocal tract shorter than 17.5 cm
    )
    tilt: float  # dB per octave by which the voice falls off above 600 Hz
    breath: float  # dB of aspiration noise relative to the pulses
    level: float  # dB relative to full scale, RMS of the whole clip


@dataclass(frozen=True)
class Rendered:
    """A spoken sentence: int16 samples [n] at 16 kHz, and F0 [1 + n // 160].

    F0 is in Hz at 0, 10, 20 ... ms (frames centred on these times, as librosa's), 0 where the voice
    is silent.
    """

    samples: NDArray[np.int16]
    f0: Array


def render(reading: Reading) -> Rendered:
    """The sentence as sound, with its true F0; the same samples for the same reading."""
    random = generator(reading.name)
    syllables = len(reading.syllables) + _LEAD + _TAIL
    length = round(syllables / reading.rate * SAMPLE_RATE)
    seconds = np.arange(length) / SAMPLE_RATE
    pulses = _pulses(_f0(reading, seconds), random)
    noise = random.standard_normal(length)
    speech = _speak(reading, pulses, noise)
    speech /= _rms(speech)
    speech += _decibels(_FLOOR) * random.standard_normal(length)
    scaled = np.rint(speech * _decibels(reading.level) * 32767)
    samples = np.clip(scaled, -32768, 32767)
    return Rendered(samples.astype(np.int16), f0_track(reading, length))


def f0_track(reading: Reading, length: int) -> Array:
    """True F0 in Hz every 10 ms of a clip of `length` samples [1 + length // 160]; 0 where the
    voice is silent.
    """
    hop = round(F0_HOP * SAMPLE_RATE)
    seconds = np.arange(1 + length // hop) * F0_HOP
    voiced = _voicing(reading, seconds) > _VOICED
    return np.where(voiced, _f0(reading, seconds), 0.0)


def generator(name: str) -> np.random.Generator:
    """A random generator that depends on `name` alone, on any machine."""
    digest = hashlib.sha256(name.encode()).digest()
    seed = int.from_bytes(digest[:8], "big")
    bits = np.random.PCG64(seed)
    return np.random.Generator(bits)


def _speak(reading: Reading, pulses: Array, noise: Array) -> Array:
    """Pulses and noise [n] through the moving vocal tract."""
    pulse_frames = _spectra(pulses)
    noise_frames = _spectra(noise)
    seconds = (np.arange(len(pulse_frames)) * _HOP) / SAMPLE_RATE
    glottis = _glottis(reading.tilt)
    aspiration = _decibels(reading.breath) * _HZ / (_HZ + 1000)
    source = pulse_frames * glottis + noise_frames * aspiration
    voiced = _voicing(reading, seconds)[:, None] * source
    voice = _overlap_add(voiced * _tract_response(reading, seconds), len(pulses))
    fricatives = _overlap_add(noise_frames * _consonants(reading, seconds), len(pulses))
    return voice / _rms(voice) + fricatives


def _glottis(tilt: float) -> NDArray[np.complex128]:
    """Spectrum of the glottal pulses: a glottal formant at 150 Hz, and a tilt in dB per octave
    above 600 Hz [bins].
    """
    imaginary = 1j * _HZ
    resonance = (1 + imaginary / 150) ** 2
    formant = imaginary / 150 / resonance
    exponent = -tilt / 6.02
    slope = (1 + imaginary / 600) ** exponent
    return np.asarray(formant * slope)


def _decibels(level: float) -> float:
    """A level in dB as a factor on amplitudes."""
    return 10 ** (level / 20)


def _rms(signal: Array) -> float:
    power = np.mean(signal**2)
    return float(np.sqrt(power))


def _spectra(signal: Array) -> NDArray[np.complex128]:
    """Windowed spectra of a signal [n]: [frames, bins], frame k centred on sample k * 80."""
    count = len(signal) // _HOP + 2
    padded = np.pad(signal, (_HOP, 2 * _HOP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HOP)
    frames = windows[::_HOP][:count]
    return np.fft.rfft(frames * _WINDOW, _FFT)


def _overlap_add(spectra: NDArray[np.complex128], length: int) -> Array:
    """The signal [length] of which these are the windowed spectra."""
    hops = math.ceil(_FFT / _HOP)
    frames = np.fft.irfft(spectra, _FFT)
    count = len(frames)
    padded = np.pad(frames, ((0, 0), (0, hops * _HOP - _FFT)))
    parts = padded.reshape(count, hops, _HOP)
    out = np.zeros((count + hops, _HOP))
    for hop in range(hops):
        out[hop : hop + count] += parts[:, hop]
    signal = out.reshape(-1)
    return signal[_HOP : _HOP + length]


def _pulses(f0: Array, random: np.random.Generator) -> Array:
    """A band-limited pulse per glottal period, of unit power at any pitch [n]."""
    samples = np.arange(len(f0))
    phase = np.cumsum(f0) / SAMPLE_RATE
    cycles = np.arange(1, int(phase[-1]))
    times = np.interp(cycles, phase, samples)  # samples, fractional
    period = SAMPLE_RATE / np.interp(times, samples, f0)
    times = times + _JITTER * period * random.standard_normal(len(times))
    shimmer = 1 + _SHIMMER * random.standard_normal(len(times))
    height = np.sqrt(period) * shimmer
    index, taps = _band_limited(times, height)
    inside = (index >= 0) & (index < len(f0))
    signal = np.bincount(index[inside], taps[inside], minlength=len(f0))
    return np.asarray(signal, float)


def _band_limited(times: Array, height: Array) -> tuple[NDArray[np.int_], Array]:
    """The 16 samples around each pulse: their indices, and windowed sincs of the pulse's height
    [pulses, 16].
    """
    nearest = np.floor(times).astype(int)
    index = nearest[:, None] + np.arange(-7, 9)
    distance = index - times[:, None]
    window = np.cos(np.pi * distance / 18) ** 2
    taps = height[:, None] * np.sinc(distance) * window
    return index, taps


def _f0(reading: Reading, seconds: Array) -> Array:
    """F0 in Hz, running on through the voiceless consonants."""
    starts = _starts(reading)
    times = _times(reading, 0.3, 0.6, 0.92)
    tones = np.array([_TONES[syllable[2]] for syllable in reading.syllables])
    progress = (times - starts[0]) * reading.rate / len(starts)
    contour = tones.ravel() + _DECLINATION * progress
    semitones = np.interp(seconds, times, reading.pitch_range * contour)
    return np.asarray(reading.f0 * 2 ** (semitones / 12))


def _voicing(reading: Reading, seconds: Array) -> Array:
    """Strength of the voice, 0 to 1."""
    starts = _starts(reading)
    times = _times(reading, 0.0, 0.25, 0.35, 0.85)
    strengths: list[float] = []
    for syllable in reading.syllables:
        onset = 0.35 if syllable[0] in _SONORANTS else 0.0
        strengths += [onset, onset, 1.0, 0.8]
    first = starts[0] - 0.1 / reading.rate
    last = starts[-1] + 1 / reading.rate
    times = np.concatenate([[first], times, [last]])
    strength = np.interp(seconds, times, [0.0, *strengths, 0.0])
    return np.asarray(strength)


def _tract_response(reading: Reading, seconds: Array) -> NDArray[np.complex128]:
    """Five formants in cascade, moving from each consonant's locus to its vowel [frames, bins]."""
    lower: list[Any] = _lower_formants(reading, seconds)
    numerator = np.ones((len(seconds), 1))
    denominator = np.ones((len(seconds), len(_HZ)), complex)
    for formant, bandwidth in zip([*lower, *_HIGHER], _BANDWIDTHS, strict=True):
        scaled = np.reshape(reading.tract * formant, (-1, 1))
        square = scaled**2
        numerator *= square
        denominator *= square - _HZ**2 + 1j * bandwidth * _HZ
    return np.asarray(numerator / denominator)


def _lower_formants(reading: Reading, seconds: Array) -> list[Array]:
    """The first three formants in Hz, each [frames]."""
    times = _times(reading, 0.05, 0.25, 0.45, 0.85)
    targets: list[tuple[int, int, int]] = []
    for syllable in reading.syllables:
        vowel = _VOWELS[syllable[1]]
        locus = _LOCI.get(syllable[0], vowel)
        targets += [locus, locus, vowel, vowel]
    tracks = np.array(targets, float).T
    return [np.interp(seconds, times, track) for track in tracks]


def _consonants(reading: Reading, seconds: Array) -> Array:
    """Gain on the noise of bursts, fricatives and breaths [frames, bins]."""
    gain = np.zeros((len(seconds), len(_HZ)))
    for start, syllable in zip(_starts(reading), reading.syllables, strict=True):
        if syllable[0] not in _NOISES:
            continue
        centre, width, level, onset = _NOISES[syllable[0]]
        times = start + np.array([onset, onset + 0.04, 0.24, 0.32]) / reading.rate
        envelope = np.interp(seconds, times, [0.0, level, level, 0.0])
        deviation = (_HZ / reading.tract - centre) / width
        shape = np.exp(-(deviation**2) / 2)
        gain += np.outer(envelope, shape)
    return gain


def _times(reading: Reading, *shares: float) -> Array:
    """These points of every syllable, as shares of its length, in seconds and in order."""
    offsets = np.array(shares) / reading.rate
    times = np.add.outer(_starts(reading), offsets)
    return np.asarray(times.ravel())


def _starts(reading: Reading) -> Array:
    """Start of each syllable in seconds."""
    number = np.arange(len(reading.syllables))
    return np.asarray((_LEAD + number) / reading.rate)
