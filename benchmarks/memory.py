"""How much keeping freed memory saves on the CPU: `python benchmarks/memory.py` (Linux, glibc).

Training steps of convolutions on spectrograms, each run in its own process: CPU seconds, seconds
of them in the system, page faults.
"""

import resource
import subprocess
import sys
import time

ROUNDS = 3
STEPS = 4


def train(keep: bool) -> str:
    """CPU seconds, system seconds and page faults, separated by spaces."""
    import torch
    from torch import nn

    from bench.training.devices import keep_memory

    torch.set_num_threads(1)
    if keep:
        assert keep_memory()
    network = nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
    )
    optimizer = torch.optim.AdamW(network.parameters())
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.process_time()
    for step in range(STEPS):
        spectrograms = torch.randn(16, 1, 360 + 4 * step, 64)
        network(spectrograms).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.process_time() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    system = after.ru_stime - before.ru_stime
    faults = after.ru_minflt - before.ru_minflt
    return f"{seconds:.2f} {system:.2f} {faults}"


def main() -> None:
    print("| freed memory | CPU s | of it system | page faults |\n|---|---|---|---|")
    for _ in range(ROUNDS):
        for name in ("given back", "kept"):
            command = [sys.executable, __file__, name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            cells = " | ".join(done.stdout.split())
            print(f"| {name} | {cells} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(train(keep=sys.argv[1] == "kept"))
    else:
        main()
