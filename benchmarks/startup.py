"""What the command line costs before it does anything: `python benchmarks/startup.py`.

Whole processes, in turn, as ratios to an empty one. The last row is what a command line that
imported everything at once would cost.
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 7
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "bench --help": ["-m", "bench", "--help"],
    "bench list": ["-m", "bench", "list"],
    "bench run -b hubret (a usage error)": ["-m", "bench", "run", "-b", "hubret"],
    "import torch, transformers' models, mlflow": [
        "-c",
        "import torch, mlflow; from transformers import Wav2Vec2Model, WhisperModel",
    ],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    return time.perf_counter() - started


def main() -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    empty = medians["python -c pass"]
    print("| command | median s | ratio |\n|---|---|---|")
    for name, value in medians.items():
        print(f"| `{name}` | {value:.2f} | {value / empty:.0f} |")


if __name__ == "__main__":
    main()
