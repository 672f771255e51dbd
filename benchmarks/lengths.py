"""What batches of similar length are worth: `python benchmarks/lengths.py`.

Padded over true frames of one epoch, for clip lengths like a hotline's (log-normal, mean 7.2 s) and
like read speech.
"""

import random

from bench.training.batching import LengthBatches

CLIPS, RATE = 4000, 50  # clips; frames per second


def padded(batches: list[list[int]], lengths: list[int]) -> float:
    return sum(len(b) * max(lengths[i] for i in b) for b in batches) / sum(lengths)


def main() -> None:
    draw = random.Random(0)
    print("| lengths | batch | fixed 10 s | random | by length |\n|---|---|---|---|---|")
    for name, mu, sigma in (
        ("log-normal, mean 7.2 s", 1.72, 0.7),
        ("log-normal, mean 2.2 s", 0.66, 0.5),
    ):
        lengths = [max(10, round(RATE * draw.lognormvariate(mu, sigma))) for _ in range(CLIPS)]
        for size in (4, 16, 32):
            order = list(range(CLIPS))
            draw.shuffle(order)
            mixed = [order[i : i + size] for i in range(0, CLIPS, size)]
            ours = list(LengthBatches(lengths, size, seed=0))
            fixed = CLIPS * 10 * RATE / sum(min(n, 10 * RATE) for n in lengths)
            print(
                f"| {name} | {size} | {fixed:.2f} | {padded(mixed, lengths):.2f} | {padded(ours, lengths):.2f} |"
            )


if __name__ == "__main__":
    main()
