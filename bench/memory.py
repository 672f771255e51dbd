"""Memory: whether an error says that it ran out, and how what is free is given back."""

import ctypes
import gc
import re
import sys
import traceback
from typing import Any

# How the libraries below torch word it. That oneDNN lacks a primitive for an operation is worded
# "could not create a primitive descriptor", and is no lack of memory.
RAN_OUT = re.compile(
    r"out of memory"  # CUDA, ROCm, XPU, Apple's Metal
    r"|DefaultCPUAllocator: not enough memory"
    r"|std::bad_alloc|bad allocation"
    r"|could not (create|execute) a primitive(?! desc)|could not create a memory"  # oneDNN
    r"|can(not|'t) allocate memory|failed to map segment"  # the system, and its linker
    r"|(CUBLAS|CUDNN|CUFFT)_(STATUS_)?ALLOC_FAILED"
    r"|CUDNN_STATUS_NOT_SUPPORTED",  # cuDNN, of a workspace that is too large
    re.IGNORECASE,
)
FROM_ONEDNN = re.compile("could not create a (primitive|memory)")


def ran_out(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on any device, even for a library."""
    if isinstance(error, MemoryError):  # Python's own, and NumPy's
        return True
    torch = sys.modules.get("torch")
    if torch and isinstance(error, torch.OutOfMemoryError):  # of a GPU
        return True
    # an ImportError of a library that cannot be loaded
    if not isinstance(error, RuntimeError | OSError | ImportError):
        return False
    return bool(RAN_OUT.search(str(error)))


def recover(error: BaseException) -> None:
    """Make ready to try again with less, after memory ran out with this error.

    A thread in which oneDNN has once lacked memory for the code that it generates gets no new code
    from it ever after (its error flag is never cleared), so torch goes on without it.
    """
    import torch

    if FROM_ONEDNN.search(str(error)):
        disable: Any = torch.backends.mkldnn.set_flags
        disable(_enabled=False)
    # the frames that failed hold what filled the memory
    traceback.clear_frames(error.__traceback__)
    release()


def release() -> None:
    """Give back what nothing refers to: to the system, and to the GPU's other users."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Have glibc give free pages back to the system; other C libraries do so themselves.

    What it keeps (`bench.training.devices.keep_memory`) falls into pieces, and grows.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        trim = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return
    trim(0)
