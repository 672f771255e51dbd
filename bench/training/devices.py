"""Which device a run uses, and in which number format."""

import ctypes
import sys

import torch

from bench.errors import UsageError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def choose(name: str) -> torch.device:
    """The device called `name` (auto, cpu, cuda, cuda:1, mps). Raises UsageError if this machine
    has none such.
    """
    if name == "auto":
        found = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
        return torch.device(found)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"there is no device called {name}: use auto, cpu, cuda, cuda:1 or mps"
        ) from None
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        raise UsageError(f"this machine has no device {name}: `bench doctor` lists what it has")
    return device


def precision(asked: str, device: torch.device) -> str:
    """The number format a recipe gets on this device: `auto` is bf16 where a GPU computes in it,
    else fp32; fp16, which a recipe may publish, is fp32 where there is no GPU for it.
    """
    if asked == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return "fp32" if asked == "fp16" and device.type != "cuda" else asked


def keep_memory() -> bool:
    """Have glibc keep freed memory for the next allocation; False where the C library is another
    one.

    By default the buffers of a training step on the CPU go back to the system and are mapped and
    cleared again, step by step: `benchmarks/memory.py` shows what that costs.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
