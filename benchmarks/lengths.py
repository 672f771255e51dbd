"""How much padding batches of similar length avoid: `python benchmarks/lengths.py`.

Prints the ratio of padded to true frames in one epoch, for clip lengths like those of a hotline
(log-normal, mean 7.2 s) and of read speech.
"""

import random

from bench.training.batching import LengthBatches

CLIPS = 4000
RATE = 50  # frames per second
FIXED = 10 * RATE  # frames that every clip is cut or padded to, for comparison
DISTRIBUTIONS = (  # name, mu and sigma of the log-normal
    ("log-normal, mean 7.2 s", 1.72, 0.7),
    ("log-normal, mean 2.2 s", 0.66, 0.5),
)


def ratio(batches: list[list[int]], lengths: list[int]) -> float:
    """Padded over true frames."""
    padded = 0
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        padded += len(batch) * longest
    return padded / sum(lengths)


def measure(lengths: list[int], size: int, draw: random.Random) -> list[float]:
    """The ratios of fixed length, of batches in random order and of batches by length."""
    order = list(range(len(lengths)))
    draw.shuffle(order)
    starts = range(0, len(lengths), size)
    mixed = [order[start : start + size] for start in starts]
    by_length = list(LengthBatches(lengths, size, seed=0))
    true = sum(min(length, FIXED) for length in lengths)
    fixed = len(lengths) * FIXED / true
    return [fixed, ratio(mixed, lengths), ratio(by_length, lengths)]


def main() -> None:
    draw = random.Random(0)
    print(
        "| lengths | batch | fixed 10 s | random | by length |\n|---|---|---|---|---|"
    )
    for name, mu, sigma in DISTRIBUTIONS:
        seconds = [draw.lognormvariate(mu, sigma) for _ in range(CLIPS)]
        lengths = [max(10, round(RATE * value)) for value in seconds]
        for size in (4, 16, 32):
            ratios = measure(lengths, size, draw)
            cells = " | ".join(f"{value:.2f}" for value in ratios)
            print(f"| {name} | {size} | {cells} |")


if __name__ == "__main__":
    main()
