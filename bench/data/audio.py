"""Any recording as the harness reads it: 16 kHz, mono, float32."""

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

# the versions that decoded samples depend on; the first also rises when more is refused
DECODER = f"2/{soundfile.__libsndfile_version__}/{soxr.__libsoxr_version__}"
# s; a segment may end this far after its recording (times are rounded), and is cut at its end
SLACK = 0.01

NO_HEADER = "samples without a header"

_UNKNOWN = 2**62  # frames; from here on the decoder does not know the length
# samples; without an index the decoder's count is a guess that may be one frame too high
_MP3_FRAME = 1152
# subtypes in which seeking hits the sample
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
}
_opening = (
    threading.Lock()
)  # the library's text for a failed open is one global variable


class AudioError(BenchError):
    """A recording that cannot be used. `reason` is a short phrase that holds no path: "missing
    file".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(recording: Recording) -> "Waveform":
    """The mean of the recording's channels at 16 kHz, between its start and end.

    Reads WAV, RF64, W64, AIFF, AU, NIST SPHERE, CAF, FLAC, Ogg (Vorbis, Opus) and MP3, at any
    rate.

    Raises:
        AudioError: the file is missing, empty, truncated or unreadable, the segment lies outside
            it, or there are no samples or some that are not finite.
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
    """32 hex digits over the encoded bytes, the segment and the decoder; the file's name and time
    do not count.
    """
    status = _require_bytes(recording)
    if recording.path is None or status is None:
        encoded = hashlib.sha256(recording.data or b"").hexdigest()
    else:
        encoded = _file_digest(recording.path, status.st_size, status.st_mtime_ns)
    content = f"{encoded} {recording.start} {recording.end} {DECODER}"
    digest = hashlib.sha256(content.encode())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, changed: int) -> str:
    """Hash of a file, which is read once for all its segments; a new size or time shows that it
    has changed.
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
        status = recording.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError(_missing(recording.path)) from None
    except OSError as error:
        raise AudioError(f"unreadable: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("unreadable: not a file")
    if status.st_size == 0:
        raise AudioError("empty file")
    return status


def _missing(path: Path) -> str:
    from_windows = os.sep == "/" and "\\" in str(path)
    return (
        "missing file: write / for \\ in its path" if from_windows else "missing file"
    )


def _read(recording: Recording) -> "tuple[NDArray[np.float32], int]":
    """(samples,) at the file's own rate, and that rate in Hz."""
    with _open(recording) as file:
        if file.frames >= _UNKNOWN:
            raise AudioError("unreadable: a stream that does not state its length")
        _require_whole(recording, file)
        first, last = _segment(recording, file.frames, file.samplerate)
        samples = _frames(file, first, last)
        return samples, file.samplerate


def _open(recording: Recording) -> Any:
    source = recording.path or _Memory(recording.data or b"")
    try:
        with _opening:
            return _File(source)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .")
    except OSError as error:
        reason = error.strerror or NO_HEADER
    except TypeError:  # a file named `.raw`, whose rate is unknown
        reason = NO_HEADER
    raise AudioError(f"unreadable: {reason}")


class _File(soundfile.SoundFile):  # type: ignore[misc] # it has no types
    """A file after whose `read` the library does not seek, which some codecs (GSM) cannot do."""

    can_seek = soundfile.SoundFile.seekable

    def seekable(self) -> bool:
        return False


def _require_whole(recording: Recording, file: Any) -> None:
    if recording.path:
        encoded: BinaryIO = recording.path.open("rb")
    else:
        encoded = io.BytesIO(recording.data or b"")
    with encoded:
        problem = fault(encoded, file.format, file.frames, file.samplerate)
    if problem:
        raise AudioError(problem)


class _Memory(io.BytesIO):
    """Bytes for a decoder, which may seek before their start if they are damaged."""

    def seek(self, offset: int, whence: int = 0) -> int:
        starts = {
            os.SEEK_SET: 0,
            os.SEEK_CUR: self.tell(),
            os.SEEK_END: len(self.getbuffer()),
        }
        position = starts[whence] + offset
        return super().seek(max(0, position))


def _segment(recording: Recording, frames: int, rate: int) -> tuple[int, int]:
    """First and one past last frame."""
    if frames == 0:
        raise AudioError("no samples")
    length = frames / rate
    start = recording.start or 0.0
    end = length if recording.end is None else recording.end
    ordered = 0 <= start < end
    inside = start < length and end <= length + SLACK
    if not (ordered and inside):
        raise AudioError(
            f"segment {start:.2f}-{end:.2f} s is not within the file's {length:.2f} s"
        )
    first = round(start * rate)
    last = round(end * rate)
    return first, min(last, frames)


def _frames(file: Any, first: int, last: int) -> "NDArray[np.float32]":
    """The mean of the channels from frame `first` to `last`, read in one call: between calls the
    library seeks.
    """
    begin = first if file.subtype in _EXACT else 0
    try:
        if file.can_seek():
            file.seek(begin)
        block = file.read(last - begin, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.removeprefix("Error : ")
        raise AudioError(f"truncated or damaged: {reason.strip(' .')}") from None
    tolerance = _MP3_FRAME if file.format == "MP3" else 0
    reached = begin + len(block)
    if reached < last - tolerance:
        seconds = reached / file.samplerate
        promised = last / file.samplerate
        raise AudioError(f"truncated: {seconds:.2f} s of {promised:.2f} s")
    segment = block[first - begin :]
    return np.asarray(segment.mean(axis=1))
