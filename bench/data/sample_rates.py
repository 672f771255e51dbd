"""The sample rates of the files behind a corpus."""

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import soundfile

from bench.contracts.clip import Recording
from bench.contracts.feature import SAMPLE_RATE


def sample_rates(recordings: Iterable[Recording]) -> Counter[int]:
    """Hz -> source files of that rate; a file of several clips counts once, and one whose head
    cannot be read not at all.
    """
    sources: dict[Any, Recording] = {}
    for recording in recordings:
        key = recording.path or id(recording)
        sources[key] = recording
    rates: Counter[int] = Counter()
    for source in sources.values():
        encoded = source.path or io.BytesIO(source.data or b"")
        try:
            info = soundfile.info(encoded)
        except (soundfile.LibsndfileError, OSError):
            continue
        rates[int(info.samplerate)] += 1
    return rates


def too_low(rates: Mapping[int, int], published: int) -> dict[int, int]:
    """Those at which something is lost of what was published and is read here.

    Args:
        rates: Hz -> files.
        published: Hz of the published files.
    """
    enough = min(published, SAMPLE_RATE)
    lower = {}
    for rate, files in rates.items():
        if rate < enough:
            lower[rate] = files
    return lower
