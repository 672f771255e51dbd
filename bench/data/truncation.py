"""Encoded audio that ends too soon: the length that a container's headers state, against the bytes
that are present.

The decoder returns the samples that are present and reports no error, so that a recording cut in
half would pass as a short one.
"""

import os
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple

from bench.data.containers import FORMATS, ends, locate

# bytes by which a writer may state too much, as one that counts the header of a WAV file does
_MISCOUNTED = 44
_JUDGED = ("OGG", "FLAC", "HTK")  # above, or by the decoder itself
_OGG_PAGE = 65_307  # bytes of the longest page
_LAYER_3_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
# Hz, by MPEG version
_RATES = {
    0b11: (44_100, 48_000, 32_000),
    0b10: (22_050, 24_000, 16_000),
    0b00: (11_025, 12_000, 8_000),
}
_MPEG_1 = 0b11
_RESERVED = 0b01  # MPEG version
_LAYER_3 = 0b01
_NO_BIT_RATE = (0, 15)  # free and forbidden
_TAG_FAULT = "unreadable: its ID3 tag claims bytes that are audio"
_CHAIN = 8  # consecutive frames that are no coincidence
_SYNC = 0x7FF  # the eleven bits that begin an MP3 frame
_ID3_HEADER = 10  # bytes
_OGG_HEADER = 27  # bytes, before the sizes of the page's segments
_OGG_LAST = 4  # flag of the page that ends a stream


def fault(file: BinaryIO, format: str, frames: int, rate: int) -> str | None:
    """Why the recording cannot be complete, in a few words, or None.

    `format`, `frames` and `rate` (Hz) are the decoder's. A format of which this cannot be judged
    is refused by its name.
    """
    if format in FORMATS:
        return _size_fault(file, format, frames, rate)
    if format == "OGG" and not _ogg_ends(file):
        return f"truncated: the stream breaks off after {frames / rate:.2f} s"
    if format == "MP3":
        data = file.read()
        hidden = _tag_hides_audio(data)
        return _TAG_FAULT if hidden else _mp3_fault(data, frames)
    if format in _JUDGED:
        return None
    return f"unreadable: {format} files cannot be checked for completeness: convert to WAV or FLAC"


def _size_fault(file: BinaryIO, format: str, frames: int, rate: int) -> str | None:
    """How the size that the header states differs from the bytes that are present."""
    data = locate(file, format)
    if data is None or frames == data.size == 0:
        return None
    present = file.seek(0, os.SEEK_END) - data.start
    per_second = data.per_second
    if per_second == 0 and frames:
        per_second = round(min(present, data.size) * rate / frames)
    if present >= data.size:
        if ends(file, format, data):
            return None
        return _shortfall(
            data.size, present, per_second, "unreadable: the header states"
        )
    undivided = data.block > 0 and present % data.block == 0
    if undivided and frames and data.size - present <= _MISCOUNTED:
        return None
    return _shortfall(present, data.size, per_second)


def _shortfall(
    part: int, whole: int, per_second: int, problem: str = "truncated:"
) -> str:
    if per_second == 0:
        return f"{problem} {part} of {whole} bytes"
    seconds = part / per_second
    whole_seconds = whole / per_second
    return f"{problem} {seconds:.2f} s of {whole_seconds:.2f} s"


def _ogg_ends(file: BinaryIO) -> bool:
    """Whether the last page is complete and marked as the end of its stream."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _OGG_PAGE))
    tail = file.read()
    start = tail.rfind(b"OggS\0")
    page = tail[start:]
    if len(page) < _OGG_HEADER:
        return False
    segments = page[_OGG_HEADER - 1]
    header = _OGG_HEADER + segments
    if len(page) < header:
        return False
    sizes = page[_OGG_HEADER:header]
    marked = bool(page[5] & _OGG_LAST)
    return marked and len(page) >= header + sum(sizes)


class _Mp3Frame(NamedTuple):
    start: int  # byte
    end: int
    samples: int
    rate: int  # Hz


def _mp3_fault(data: bytes, decoded: int) -> str | None:
    frames = list(_mp3_frames(data, _after_id3(data)))
    if not frames:
        return None
    first = frames[0]
    last = frames[-1]
    broken = last.end > len(data)
    whole = len(frames) - broken
    promised = _mp3_index(data[first.start : first.end])
    if promised is not None:
        present = whole - 1  # the index is a frame itself
        if present >= promised:
            return None
        samples = first.samples
        return _shortfall(present * samples, promised * samples, first.rate)
    present = whole * first.samples
    if broken:
        return (
            f"truncated: the last frame breaks off after {present / first.rate:.2f} s"
        )
    # without an index the decoder guesses the length from the first frame's bit rate, and stops
    # there
    if abs(present - decoded) > 2 * first.samples:
        return "unreadable: an MP3 of variable bit rate without an index"
    return None


def _mp3_index(frame: bytes) -> int | None:
    """The number of audio frames that follow, if the first frame is an index (Xing's or
    Fraunhofer's) without audio.
    """
    for name in (b"Xing", b"Info"):
        at = frame.find(name, 4, 48)
        count = frame[at + 8 : at + 12]
        if at > 0 and len(count) == 4 and frame[at + 7] & 1:
            return int.from_bytes(count, "big")
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big")
    return None


def _tag_hides_audio(data: bytes) -> bool:
    """Whether frames follow one another within the ID3 tag, which the decoder skips."""
    end = min(_after_id3(data), len(data))
    at = data.find(b"\xff", _ID3_HEADER, end)
    while at >= 0:
        chain = list(islice(_mp3_frames(data, at), _CHAIN))
        if len(chain) == _CHAIN:
            return True
        at = data.find(b"\xff", at + 1, end)
    return False


def _mp3_frames(data: bytes, at: int) -> Iterator[_Mp3Frame]:
    """The consecutive frames from this byte on; the last may end after the data."""
    while at < len(data):
        frame = _mp3_frame(data, at)
        if frame is None:
            return
        yield frame
        at = frame.end


def _after_id3(data: bytes) -> int:
    """The length of the ID3 tag at the start, in bytes; 0 if there is none."""
    if not data.startswith(b"ID3") or len(data) < _ID3_HEADER:
        return 0
    size = 0
    for byte in data[6:_ID3_HEADER]:  # seven bits each
        size = (size << 7) + (byte & 0x7F)
    return _ID3_HEADER + size


def _mp3_frame(data: bytes, at: int) -> _Mp3Frame | None:
    """The frame of layer 3 whose header is at this byte, or None."""
    header = int.from_bytes(data[at : at + 4], "big")
    if header >> 21 != _SYNC:
        return None
    version = header >> 19 & 3
    layer = header >> 17 & 3
    if version == _RESERVED or layer != _LAYER_3:
        return None
    bit_rate = header >> 12 & 15
    sample_rate = header >> 10 & 3
    padding = header >> 9 & 1
    if bit_rate in _NO_BIT_RATE or sample_rate == 3:
        return None
    generation = 1 if version == _MPEG_1 else 2
    kbps = _LAYER_3_KBPS[generation][bit_rate]
    rate = _RATES[version][sample_rate]
    length = 144_000 // generation * kbps // rate + padding
    samples = 1152 // generation
    return _Mp3Frame(at, at + length, samples, rate)
