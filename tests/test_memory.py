"""Errors that say that memory ran out, and those that do not; memory that is given back."""

import platform
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB"),
        RuntimeError("CUDA error: out of memory\nCompile with ..."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("could not create a primitive"),
        RuntimeError("could not execute a primitive"),
        RuntimeError("could not create a memory object"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you ..."),
        OSError(12, "Cannot allocate memory"),
        RuntimeError(
            "unable to mmap 8 bytes from file <a>: Cannot allocate memory (12)"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ..."),
    ],
    ids=str,
)
def test_memory_ran_out(error: Exception) -> None:
    assert memory.ran_out(error)


def test_what_torch_and_numpy_raise() -> None:
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(2**50, dtype=torch.uint8)
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(2**55, dtype=np.uint8)
    assert memory.ran_out(of_torch.value)
    assert memory.ran_out(of_numpy.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes cannot be multiplied"),
        RuntimeError("could not create a primitive descriptor for a convolution"),
        OSError(28, "No space left on device"),
        ValueError("out of memory"),
    ],
    ids=str,
)
def test_other_errors(error: Exception) -> None:
    assert not memory.ran_out(error)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's alone is told")
def test_what_is_free_between_what_is_used_is_given_back() -> None:
    blocks = [bytearray(1_000) for _ in range(100_000)]
    del blocks[:-1]  # the last one is at the end of the heap
    before = resident()
    memory.release()
    assert before - resident() > 50
    assert len(blocks) == 1


def resident() -> float:
    """MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found[1]) / 1024
