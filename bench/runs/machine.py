"""The machine under a run: the version of the code, the hardware, and the peak of memory."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.version import __version__

if TYPE_CHECKING:
    import torch

STATUS = Path("/proc/self/status")  # Linux: holds the process's peak of memory, VmHWM
RESET = Path("/proc/self/clear_refs")  # Linux: writing 5 to it sets that peak back


@lru_cache(maxsize=1)
def code_version() -> str:
    """The version, with the commit where the harness runs from a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return __version__
    command = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--exclude",
        "*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return __version__
    return (
        f"{__version__}+{done.stdout.strip()}" if done.returncode == 0 else __version__
    )


def commit() -> str:
    """The commit of the harness where it runs from a checkout; empty elsewhere."""
    _, _, described = code_version().partition("+")
    return described.removesuffix("-dirty")


def hardware(device: "torch.device") -> str:
    """The processor, its cores, and the device that trains."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{platform.machine()}, {os.cpu_count()} cores, {name}"


@dataclass
class Peak:
    """A peak of memory in MiB, known once its block has ended."""

    mib: float = 0.0


@contextmanager
def peak_memory(device: "torch.device") -> Iterator[Peak]:
    """The peak of memory of a block: of the GPU, else of this process.

    Where the process's peak cannot be set back, it is that since the process started; where the
    system does not report it, it is 0.
    """
    import torch

    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif RESET.exists():
        RESET.write_text("5", encoding="ascii")
    yield peak
    if device.type == "cuda":
        peak.mib = torch.cuda.max_memory_allocated(device) / 2**20
    elif STATUS.exists():
        peak.mib = _process_peak()


def _process_peak() -> float:
    """VmHWM of this process, MiB."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return float(line.split()[1]) / 1024
    return 0.0
