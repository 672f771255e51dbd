"""Encoded audio that ends too soon: what a container's own headers promise, against the bytes that
are there.

The decoder gives the samples it finds and reports no fault, so a recording cut in half would pass
as a short one.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

# bytes; a data size from here on is a writer's "unknown" (or too long to have been checked)
_STREAMED = 0x7FFFF000
_OGG_PAGE = 65_307  # bytes of the longest page
_LAYER_3_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
_RATES = {
    0b11: (44_100, 48_000, 32_000),
    0b10: (22_050, 24_000, 16_000),
    0b00: (11_025, 12_000, 8_000),
}  # Hz


def fault(file: BinaryIO, format: str, frames: int, rate: int) -> str | None:
    """Why the recording cannot be whole, in a few words, or None.

    `format`, `frames` and `rate` (Hz) are what the decoder makes of the file. WAV, Ogg and MP3 are
    judged here; a FLAC decoder notices by itself.
    """
    if format in ("WAV", "WAVEX"):
        return _wav_fault(file)
    if format == "OGG":
        return (
            None
            if _ogg_ends(file)
            else f"truncated: the stream breaks off after {frames / rate:.2f} s"
        )
    if format == "MP3":
        return _mp3_fault(file.read(), frames)
    return None


def _wav_fault(file: BinaryIO) -> str | None:
    order = ">" if file.read(12).startswith(b"RIFX") else "<"
    bytes_per_second = 0
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", header)
        start = file.tell()
        if name == b"fmt ":
            (bytes_per_second,) = struct.unpack(f"{order}8xI", file.read(12).ljust(12, b"\0"))
        if name == b"data":
            present = file.seek(0, 2) - start
            return (
                None
                if size >= _STREAMED or present >= size
                else _shortfall(present, size, bytes_per_second)
            )
        file.seek(start + size + size % 2)
    return None


def _shortfall(present: int, promised: int, per_second: int) -> str:
    if per_second == 0:
        return f"truncated: {present} of {promised} bytes"
    return f"truncated: {present / per_second:.2f} s of {promised / per_second:.2f} s"


def _ogg_ends(file: BinaryIO) -> bool:
    """True if the last page is whole and marked as the end of its stream."""
    file.seek(max(0, file.seek(0, 2) - _OGG_PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS\0") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    whole = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return bool(page[5] & 4) and len(page) >= whole


class _Mp3Frame(NamedTuple):
    start: int  # byte
    end: int
    samples: int
    rate: int  # Hz


def _mp3_fault(data: bytes, decoded: int) -> str | None:
    frames = list(_mp3_frames(data))
    if not frames:
        return None
    first, last = frames[0], frames[-1]
    whole = len(frames) - (last.end > len(data))
    promised = _mp3_index(data[first.start : first.end])
    if promised is not None:
        return (
            None
            if whole > promised
            else _shortfall((whole - 1) * first.samples, promised * first.samples, first.rate)
        )
    if whole < len(frames):
        return (
            f"truncated: the last frame breaks off after {whole * first.samples / first.rate:.2f} s"
        )
    # without an index the decoder guesses the length, from the first frame's bit rate, and stops
    # there
    if abs(whole * first.samples - decoded) > 2 * first.samples:
        return "unreadable: an MP3 of variable bit rate without an index"
    return None


def _mp3_index(frame: bytes) -> int | None:
    """Audio frames that follow, where the first frame is an index (Xing's or Fraunhofer's) and no
    audio.
    """
    for name in (b"Xing", b"Info"):
        at = frame.find(name, 4, 48)
        if at > 0 and len(frame) >= at + 12 and frame[at + 7] & 1:
            return int.from_bytes(frame[at + 8 : at + 12], "big")
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big")
    return None


def _mp3_frames(data: bytes) -> Iterator[_Mp3Frame]:
    """The frames in a row from the first one on; the last may end beyond the data."""
    at = 0
    if data.startswith(b"ID3") and len(data) >= 10:
        at = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)
        )
    while at < len(data) and (frame := _mp3_frame(data, at)):
        yield frame
        at = frame.end


def _mp3_frame(data: bytes, at: int) -> _Mp3Frame | None:
    head = int.from_bytes(data[at : at + 4], "big")
    version, layer, kbps, rate = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 0b01 or layer != 0b01 or kbps in (0, 15) or rate == 3:
        return None
    generation = 1 if version == 0b11 else 2
    hertz = _RATES[version][rate]
    length = 144_000 // generation * _LAYER_3_KBPS[generation][kbps] // hertz + (head >> 9 & 1)
    return _Mp3Frame(at, at + length, 1152 // generation, hertz)
