"""Any recording as the harness hears it: 16 kHz, mono, float32."""

import hashlib
import io
import os
import stat
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import soundfile
import soxr

from bench.contracts.clip import Recording
from bench.contracts.feature import SAMPLE_RATE
from bench.data.truncation import fault
from bench.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.contracts.feature import Waveform

# what the same bytes may decode differently by
DECODER = f"1/{soundfile.__libsndfile_version__}/{soxr.__libsoxr_version__}"
# s; a segment may end this far beyond its recording (times rounded to centiseconds), and is cut
# there
SLACK = 0.01

_UNKNOWN = 2**62  # frames; from here on the decoder means "not told"
_MP3_FRAME = (
    1152  # samples; without an index the decoder's count is a guess that may be one frame too many
)
_EXACT = {
    "PCM_S8",
    "PCM_U8",
    "PCM_16",
    "PCM_24",
    "PCM_32",
    "FLOAT",
    "DOUBLE",
    "ULAW",
    "ALAW",
}  # seeking hits the sample
_opening = threading.Lock()  # the library's text for a failed open is one global variable


class AudioError(BenchError):
    """A recording that cannot be used. `reason` is a short phrase that holds no path: "missing
    file".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(recording: Recording) -> "Waveform":
    """The mean of the recording's channels at 16 kHz, between its start and end.

    Reads WAV, FLAC, Ogg (Vorbis, Opus) and MP3, at any rate. Raises AudioError if the file is
    missing, empty, truncated or unreadable, if the segment lies outside it, or if its samples are
    none or not finite.
    """
    _require_bytes(recording)
    samples, rate = _read(recording)
    if not np.isfinite(samples).all():
        raise AudioError("non-finite samples")
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    if not len(samples):
        raise AudioError("no samples")
    return np.ascontiguousarray(samples, dtype=np.float32)


def source_key(recording: Recording) -> str:
    """32 hex digits over the encoded bytes, the segment and the decoder; neither name nor time of
    the file counts.
    """
    found = _require_bytes(recording)
    if recording.path is None or found is None:
        encoded = hashlib.sha256(recording.data or b"").hexdigest()
    else:
        encoded = _file_digest(recording.path, found.st_size, found.st_mtime_ns)
    return hashlib.sha256(
        f"{encoded} {recording.start} {recording.end} {DECODER}".encode()
    ).hexdigest()[:32]


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, changed: int) -> str:
    """Hash of a file, read once for all segments of it; size and time only tell that it changed
    meanwhile.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"unreadable: {error.strerror}") from None


def _require_bytes(recording: Recording) -> os.stat_result | None:
    """The file's status, or None for a recording in memory."""
    if recording.path is None:
        if not recording.data:
            raise AudioError("empty file")
        return None
    try:
        found = recording.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError("missing file") from None
    except OSError as error:
        raise AudioError(f"unreadable: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise AudioError("unreadable: not a file")
    if found.st_size == 0:
        raise AudioError("empty file")
    return found


def _read(recording: Recording) -> "tuple[NDArray[np.float32], int]":
    """(samples,) at the file's own rate, and that rate in Hz."""
    with _open(recording) as file:
        if file.frames >= _UNKNOWN:
            raise AudioError("unreadable: a stream that does not tell its length")
        with _encoded(recording) as encoded:
            if problem := fault(encoded, file.format, file.frames, file.samplerate):
                raise AudioError(problem)
        first, last = _segment(recording, file.frames, file.samplerate)
        return _frames(file, first, last), file.samplerate


def _open(recording: Recording) -> Any:
    try:
        with _opening:
            return soundfile.SoundFile(recording.path or _Memory(recording.data or b""))
    except soundfile.LibsndfileError as error:
        raise AudioError(f"unreadable: {error.error_string.strip(' .')}") from None
    except (
        OSError,
        TypeError,
    ) as error:  # TypeError: named `.raw`, for which nothing tells the rate
        raise AudioError(
            f"unreadable: {getattr(error, 'strerror', None) or 'samples without a header'}"
        ) from None


def _encoded(recording: Recording) -> BinaryIO:
    return recording.path.open("rb") if recording.path else io.BytesIO(recording.data or b"")


class _Memory(io.BytesIO):
    """Bytes for a decoder, which may seek before their start when they are damaged."""

    def seek(self, offset: int, whence: int = 0) -> int:
        start = (0, self.tell(), len(self.getbuffer()))[whence]
        return super().seek(max(0, start + offset))


def _segment(recording: Recording, frames: int, rate: int) -> tuple[int, int]:
    """First and one past last frame."""
    if frames == 0:
        raise AudioError("no samples")
    length = frames / rate
    start = recording.start or 0.0
    end = length if recording.end is None else recording.end
    if not (0 <= start < end <= length + SLACK and start < length):
        raise AudioError(f"segment {start:.2f}-{end:.2f} s is not within the file's {length:.2f} s")
    return round(start * rate), min(round(end * rate), frames)


def _frames(file: Any, first: int, last: int) -> "NDArray[np.float32]":
    """The mean of the channels from frame `first` to `last`, read in one call: between calls the
    library seeks.
    """
    begin = first if file.subtype in _EXACT else 0
    try:
        file.seek(begin)
        block = file.read(last - begin, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"truncated or damaged: {error.error_string.removeprefix('Error : ').strip(' .')}"
        ) from None
    if len(block) < last - begin - (_MP3_FRAME if file.format == "MP3" else 0):
        raise AudioError(
            f"truncated: {(begin + len(block)) / file.samplerate:.2f} s of {last / file.samplerate:.2f} s"
        )
    return np.asarray(block[first - begin :].mean(axis=1))
