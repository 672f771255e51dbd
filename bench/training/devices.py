"""Which device a run uses, and in which number format."""

import ctypes
import sys

import torch

from bench.errors import UsageError

# of glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
LARGEST_INT = 2**31 - 1


def choose(name: str) -> torch.device:
    """The device called `name`: auto, cpu, cuda, cuda:1, mps.

    Raises:
        UsageError: There is no device of this name, or not on this machine.
    """
    if name == "auto":
        return _best()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"there is no device called {name}: use auto, cpu, cuda, cuda:1 or mps"
        ) from None
    if not _is_present(device):
        raise UsageError(
            f"this machine has no device {name}: `bench doctor` lists what it has"
        )
    return device


def precision(asked: str, device: torch.device) -> str:
    """The number format of a recipe on this device.

    `auto` is bf16 on a GPU that computes in it, otherwise fp32. fp16, which some recipes publish,
    becomes fp32 without a GPU.
    """
    on_gpu = device.type == "cuda"
    if asked == "auto":
        computes_in_bf16 = on_gpu and torch.cuda.is_bf16_supported()
        return "bf16" if computes_in_bf16 else "fp32"
    if asked == "fp16" and not on_gpu:
        return "fp32"
    return asked


def keep_memory() -> bool:
    """Have glibc keep freed memory for the next allocation; False with another C library.

    By default, the buffers of a training step on the CPU are returned to the system, and mapped and
    cleared again for the next step: `benchmarks/memory.py` measures the cost.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    never_maps = mallopt(M_MMAP_MAX, 0)
    return bool(never_maps and mallopt(M_TRIM_THRESHOLD, LARGEST_INT))


def _best() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _is_present(device: torch.device) -> bool:
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return False
        index = device.index or 0
        return index < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"
