"""Where a container's header says that its samples are: the data's first byte and its size.

WAV (RIFF, RIFX), RF64, W64, AIFF, CAF, AU and NIST SPHERE. Their decoder reads what is present and
reports no error if that is less or more.
"""

import os
import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

# bytes; from here on a data size means that the writer did not know it
_STREAMED = 0x7FFFF000
_IN_DS64 = 0xFFFFFFFF  # a size that RF64 states in its ds64 chunk
_W64_CHUNK = 24  # bytes of a name and a size
_W64_FIRST = 40  # byte of the first chunk, after the file's name, size and `wave`
_NIST_FIRST = 16  # bytes of the first two lines
_NIST_LONGEST = 1 << 20  # bytes
_NIST_SIZES = (b"sample_count", b"sample_n_bytes", b"channel_count")
_TAGS = (b"ID3", b"TAG")  # what players append to any file
_LONG = ("RF64", "W64", "CAF")  # sizes of 64 bits
_CHUNKED = ("WAV", "WAVEX", "RF64", "AIFF")  # chunks of a four-letter name and a size


class Data(NamedTuple):
    start: int  # byte
    size: int  # bytes, as the header states it
    # bytes that cannot be divided (a frame of all channels, or a codec's block); 0 if unknown
    block: int = 0
    per_second: int = 0  # bytes; 0 if the header does not say


def locate(file: BinaryIO, format: str) -> Data | None:
    """The data of a file of one of `FORMATS`, or None where the header does not say."""
    data = FORMATS[format](file)
    if data is None:
        return None
    unbounded = format in _LONG
    if data.size >= _STREAMED and not unbounded:
        return None
    return data


def ends(file: BinaryIO, format: str, data: Data) -> bool:
    """Whether what follows the data, if anything does, is no audio."""
    end = data.start + data.size
    file.seek(end)
    rest = file.read(_W64_CHUNK)
    if len(rest) < 8 or not any(rest) or rest.startswith(_TAGS):
        return True
    if format not in _CHUNKED:
        return format in ("W64", "CAF")
    order = _order(file, format)
    room = file.seek(0, os.SEEK_END) - end
    if _is_chunk(rest, order, room):
        return True
    # some writers leave the padding of an odd size out
    return data.size % 2 == 1 and _is_chunk(rest[1:], order, room)


def _order(file: BinaryIO, format: str) -> str:
    file.seek(0)
    big = format == "AIFF" or file.read(4) == b"RIFX"
    return ">" if big else "<"


def _is_chunk(header: bytes, order: str, room: int) -> bool:
    name, size = struct.unpack_from(f"{order}4sI", header.ljust(8, b"\0"))
    printable = all(32 <= byte < 127 for byte in name)
    return printable and size <= room


def _riff(file: BinaryIO) -> Data | None:
    order = _order(file, "WAV")
    block = 0
    per_second = 0
    long_size = 0
    file.seek(12)
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", header)
        start = file.tell()
        if name == b"ds64":
            (long_size,) = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))
        if name == b"fmt ":
            content = file.read(14).ljust(14, b"\0")
            per_second, block = struct.unpack(f"{order}8xIH", content)
        if name == b"data":
            stated = long_size if size == _IN_DS64 else size
            unknown = stated == 0 and size > 0
            return None if unknown else Data(start, stated, block, per_second)
        file.seek(start + size + size % 2)
    return None


def _w64(file: BinaryIO) -> Data | None:
    file.seek(_W64_FIRST)
    while len(header := file.read(_W64_CHUNK)) == _W64_CHUNK:
        name, size = struct.unpack("<4s12xQ", header)
        start = file.tell()
        content = size - _W64_CHUNK
        if content < 0:
            return None
        if name == b"data":
            return Data(start, content)
        file.seek(start + content + -content % 8)
    return None


def _aiff(file: BinaryIO) -> Data | None:
    file.seek(12)
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack(">4sI", header)
        start = file.tell()
        if name == b"SSND":
            return Data(
                start + 8, max(0, size - 8)
            )  # the chunk begins with two numbers
        file.seek(start + size + size % 2)
    return None


def _caf(file: BinaryIO) -> Data | None:
    file.seek(8)
    while len(header := file.read(12)) == 12:
        name, size = struct.unpack(">4sq", header)
        start = file.tell()
        if size < 0:  # the writer did not know it
            return None
        if name == b"data":
            return Data(start + 4, max(0, size - 4))  # the chunk begins with a number
        file.seek(start + size)
    return None


def _au(file: BinaryIO) -> Data | None:
    file.seek(0)
    header = file.read(12).ljust(12, b"\0")
    order = ">" if header.startswith(b".snd") else "<"
    start, size = struct.unpack(f"{order}4xII", header)
    return Data(start, size)


def _nist(file: BinaryIO) -> Data | None:
    """The sizes are lines of text: `sample_count -i 16000`."""
    file.seek(0)
    text = file.read(_NIST_FIRST)[8:].strip()
    length = int(text) if text.isdigit() else 0
    if not _NIST_FIRST < length <= _NIST_LONGEST:
        return None
    fields = {}
    for line in file.read(length - _NIST_FIRST).splitlines():
        words = line.split()
        if len(words) == 3:
            fields[words[0]] = words[2]
    size = 1
    for name in _NIST_SIZES:
        number = fields.get(name, b"")
        if not number.isdigit():
            return None
        size *= int(number)
    return Data(length, size)


FORMATS: dict[str, Callable[[BinaryIO], Data | None]] = {
    "WAV": _riff,
    "WAVEX": _riff,
    "RF64": _riff,
    "W64": _w64,
    "AIFF": _aiff,
    "CAF": _caf,
    "AU": _au,
    "NIST": _nist,
}
