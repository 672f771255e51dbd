"""The most memory that each backbone takes on clips of very unequal length (Linux):

    python benchmarks/peaks.py [--backbone NAME ...] [CHECKOUT ...]

40 clips of 0.01 to 35 s by 4 speakers, at scale tiny; every backbone in a process of its own, and
all in one. Printed per checkout of the harness (by default, this one): MiB of all processes of a
command together, of them those that no file backs, and CPU seconds.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

CLIPS, SPEAKERS, LABELS = 40, 4, ("high", "low")
SHORTEST, LONGEST = 0.01, 35.0  # s
RATE = 16_000  # Hz
PAUSE = 0.02  # s between two looks at a process
BACKBONES = (  # one of each kind of network
    "byol-s",
    "mfcc-stats",
    "multistream",
    "strl",
    "feature-fusion",
    "pitch-fusion",
    "hubert",
    "wav2vec2",
    "wavlm",
    "xls-r",
    "whisper-small",
)
HERE = Path(__file__).resolve().parents[1]


@dataclass
class Peak:
    """MiB, and CPU seconds."""

    resident: float = 0.0
    anonymous: float = 0.0
    seconds: float = 0.0


def write_corpus(folder: Path) -> Path:
    """Tones in noise: lengths spread evenly on a logarithmic scale. Returns the manifest."""
    draw = np.random.default_rng(0)
    lengths = np.geomspace(SHORTEST, LONGEST, CLIPS)
    lines = ["path,label,speaker"]
    for number, seconds in enumerate(draw.permutation(lengths)):
        label = LABELS[number % len(LABELS)]
        speaker = number // len(LABELS) % SPEAKERS
        pitch = 300 if label == "high" else 120
        times = np.arange(round(seconds * RATE)) / RATE
        noise = draw.normal(0, 0.02, len(times))
        tone = 0.3 * np.sin(2 * np.pi * pitch * times)
        soundfile.write(folder / f"{number}.wav", tone + noise, RATE)
        lines.append(f"{number}.wav,{label},s{speaker}")
    manifest = folder / "unequal.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def measure(checkout: Path, backbones: list[str], manifest: Path) -> Peak:
    """What `bench run` of these backbones takes."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "bench", "run", "-b", *backbones]
        command += ["-t", str(manifest), "--scale", "tiny", "--quiet"]
        command += ["--results", f"{name}/results", "--cache", f"{name}/cache"]
        path = {"PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
        before = _children_seconds()
        running = subprocess.Popen(
            command, env={**os.environ, **path}, cwd=name, stdout=subprocess.DEVNULL
        )
        peak = _watch(running)
        peak.seconds = _children_seconds() - before
    if running.returncode:
        print(f"{' '.join(backbones)}: exit status {running.returncode}")
    return peak


def _watch(running: "subprocess.Popen[bytes]") -> Peak:
    peak = Peak()
    while running.poll() is None:
        resident = anonymous = 0.0
        for pid in _tree(running.pid):
            one = _status(pid)
            resident += one.get("VmRSS", 0.0)
            anonymous += one.get("RssAnon", 0.0)
        peak.resident = max(peak.resident, resident)
        peak.anonymous = max(peak.anonymous, anonymous)
        time.sleep(PAUSE)
    return peak


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:  # it has ended
            continue
        for child in children:
            found += _tree(int(child))
    return found


def _status(pid: int) -> dict[str, float]:
    """The sizes of a process, MiB."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return {}
    sizes = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith("kB"):
            sizes[name] = float(value.split()[0]) / 1024
    return sizes


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkouts", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--backbone", action="append")
    asked = parser.parse_args()
    groups = [[name] for name in asked.backbone or [*BACKBONES, "all"]]
    print(
        "| backbone | checkout | MiB | without files | CPU s |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_corpus(Path(folder))
        for group in groups:
            for checkout in asked.checkouts:
                peak = measure(checkout.resolve(), group, manifest)
                cells = (
                    f"{peak.resident:.0f} | {peak.anonymous:.0f} | {peak.seconds:.0f}"
                )
                print(f"| {' '.join(group)} | {checkout.name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
