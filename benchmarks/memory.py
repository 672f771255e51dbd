"""What keeping freed memory is worth on the CPU: `python benchmarks/memory.py` (Linux with glibc).

Training steps of convolutions on spectrograms, each in a process of its own: CPU seconds, system
seconds, page faults.
"""

import resource
import subprocess
import sys
import time

ROUNDS, STEPS = 3, 4


def train(keep: bool) -> str:
    import torch
    from torch import nn

    from bench.training.devices import keep_memory

    torch.set_num_threads(1)
    if keep:
        assert keep_memory()
    block = [nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1), *block, nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()
    )
    optimizer = torch.optim.AdamW(network.parameters())
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    for step in range(STEPS):
        network(torch.randn(16, 1, 360 + 4 * step, 64)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    after = resource.getrusage(resource.RUSAGE_SELF)
    faults = after.ru_minflt - before.ru_minflt
    return f"{time.process_time() - started:.2f} {after.ru_stime - before.ru_stime:.2f} {faults}"


def main() -> None:
    print("| freed memory | CPU s | of it system | page faults |\n|---|---|---|---|")
    for _ in range(ROUNDS):
        for name in ("given back", "kept"):
            done = subprocess.run(
                [sys.executable, __file__, name], capture_output=True, text=True, check=True
            )
            print(f"| {name} | {' | '.join(done.stdout.split())} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(train(keep=sys.argv[1] == "kept"))
    else:
        main()
