"""An array in a file: NumPy's format, and behind it a checksum of all that stands before.

Any reader of NumPy's format can read such a file. Files of earlier versions have no checksum.
"""

import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from bench.contracts.feature import Array

MARK = b"crc:"
CHECKSUM = len(MARK) + 4  # bytes at the end of a file


def write(file: BinaryIO, array: "Array") -> None:
    """Write the array as float32, and its checksum."""
    buffer = io.BytesIO()
    np.save(buffer, plain(array))
    content = buffer.getbuffer()
    file.write(content)
    file.write(_checksum(content))


def plain(array: "Array") -> "Array":
    """The array as files hold it: float32, little-endian, row by row."""
    return np.ascontiguousarray(array, dtype="<f4")


def mapped(path: Path) -> "Array | None":
    """The array of a file, memory-mapped and read-only; its values are not looked at.

    None if there is no such file, or its size is not what its header says.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        size = path.stat().st_size
    except Exception:  # of many kinds, for a damaged header
        return None
    end = array.offset + array.nbytes
    complete = size in (end, end + CHECKSUM)
    if not complete or array.dtype != np.float32:
        return None
    return array.view(np.ndarray)


def is_sound(path: Path) -> bool:
    """Whether the file is as it was written: its checksum says so.

    Without one, whether all its values are finite.
    """
    array = mapped(path)
    if array is None:
        return False
    content = np.memmap(path, np.uint8, "r")
    body = content[:-CHECKSUM]
    end = content[-CHECKSUM:].tobytes()
    if end.startswith(MARK):
        return end == _checksum(body.data)
    # two passes, and no array of truth values beside a large one
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _checksum(content: memoryview) -> bytes:
    """The last bytes of a file with this content."""
    value = zlib.crc32(content)
    return MARK + value.to_bytes(4, "little")
