"""How often the intervals of tables hold what they should: `python benchmarks/coverage.py`.

Systems are simulated whose recall of a class differs from speaker to speaker: its logit is
mu(class) + N(0, .5^2) per speaker + N(0, .5^2) per speaker and class; errors are uniform over the
other classes. The truth is the score in the limit of many speakers. `--simulations 3000` makes
results/reference/coverage.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.scoring.best import as_good_as_best
from bench.scoring.jackknife import difference, interval
from bench.scoring.predictions import Predictions
from bench.scoring.sample import Sample
from bench.scoring.tally import Tally, score

SCORES = ("UA", "WA", "F1 macro")
SIZES = ((4, 300), (5, 100), (10, 54), (24, 60))  # speakers, clips of each
SPREAD = 0.5  # of a recall's logit, over speakers and over speakers and classes
EQUAL = 14  # systems of one table
MANY = 2_000_000  # draws behind the truth
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """The shares of the classes, and the mean logits of their recalls."""

    priors: tuple[float, ...]
    logits: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple("abcdefg"[: len(self.priors)])


DESIGNS = {
    "4 classes, balanced": Design((0.25,) * 4, (0.8, 0.4, 0.2, 0.0)),
    "4 classes, unbalanced": Design((0.55, 0.30, 0.10, 0.05), (1.2, 0.4, -0.2, -0.8)),
    "2 classes, unbalanced": Design((0.85, 0.15), (1.5, 0.2)),
    "7 classes, balanced": Design((1 / 7,) * 7, (2.8, 2.6, 2.4, 2.2, 2.0, 2.5, 2.3)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--tables", type=int, default=300)
    asked = parser.parse_args()
    print(
        "| design | speakers x clips | " + " | ".join(SCORES) + " | null difference |"
    )
    print("|---|---|" + "---:|" * (len(SCORES) + 1))
    for name, design in DESIGNS.items():
        for size in SIZES:
            covered, excluded = cell(design, size, asked.simulations)
            shares = [f"{100 * share:.1f}" for share in (*covered, excluded)]
            print(
                f"| {name} | {size[0]} x {size[1]} | {' | '.join(shares)} |", flush=True
            )
    print(f"\nTables of {EQUAL} equal systems in which a row is without a star:\n")
    design = DESIGNS["4 classes, balanced"]
    for size in SIZES:
        share = unstarred(design, size, asked.tables)
        print(f"- {size[0]} x {size[1]}: {100 * share:.1f} %", flush=True)


def cell(
    design: Design, size: tuple[int, int], simulations: int, seed: int = 0
) -> tuple[list[float], float]:
    """The share of simulations whose interval holds the truth, by score; and the share in which two
    equal systems are called different by UA.
    """
    random = np.random.default_rng([seed, *size, len(design.priors)])
    true = truth(design)
    covered = dict.fromkeys(SCORES, 0)
    excluded = 0
    for _ in range(simulations):
        one, other = systems(design, size, 2, random)
        for name in SCORES:
            covered[name] += holds(one, name, true[name])
        found = difference(one, other, "UA")
        assert found
        low, high = found.bounds
        excluded += not low <= 0 <= high
    return [covered[name] / simulations for name in SCORES], excluded / simulations


def holds(sample: Sample, name: str, true: float) -> bool:
    bounds = interval(sample, name).bounds
    return bounds is not None and bounds[0] <= true <= bounds[1]


def unstarred(design: Design, size: tuple[int, int], tables: int) -> float:
    """The share of tables of equal systems in which at least one is told from the best."""
    random = np.random.default_rng([1, *size])
    wrong = 0
    for _ in range(tables):
        samples = systems(design, size, EQUAL, random)
        wrong += not all(as_good_as_best(samples, "UA"))
    return wrong / tables


def systems(
    design: Design, size: tuple[int, int], number: int, random: np.random.Generator
) -> list[Sample]:
    """Equal systems, tested on the same clips."""
    speakers, clips = size
    classes = len(design.priors)
    speaker = np.repeat(np.arange(speakers), clips)
    true = random.choice(classes, size=len(speaker), p=design.priors)
    ids = tuple(f"{i:05d}" for i in range(len(speaker)))
    who = tuple(map(str, speaker))
    made = []
    for _ in range(number):
        recalls = drawn_recalls(design, speakers, random)
        decided = decide(true, recalls[speaker, true], classes, random)
        predictions = Predictions(
            design.labels,
            ids,
            who,
            one_hot(true, classes) > 0,
            one_hot(decided, classes),
        )
        made.append(Sample([predictions]))
    return made


def drawn_recalls(design: Design, speakers: int, random: np.random.Generator) -> Array:
    """(speakers, classes)"""
    of_speaker = random.normal(0, SPREAD, (speakers, 1))
    of_both = random.normal(0, SPREAD, (speakers, len(design.priors)))
    logits = np.array(design.logits) + of_speaker + of_both
    return np.asarray(1 / (1 + np.exp(-logits)))


def decide(
    true: NDArray[np.intp],
    recalls: Array,
    classes: int,
    random: np.random.Generator,
) -> NDArray[np.intp]:
    """The class of each clip: the true one with this probability, else any other."""
    shift = random.integers(1, classes, size=len(true))
    is_right = random.random(len(true)) < recalls
    return np.where(is_right, true, (true + shift) % classes)


def truth(design: Design) -> dict[str, float]:
    """Each score in the limit of many speakers."""
    random = np.random.default_rng(7)
    recalls = drawn_recalls(design, MANY // len(design.priors), random).mean(0)
    priors = np.array(design.priors)
    hits = priors * recalls
    misses = priors - hits
    spread = misses / (len(priors) - 1)
    false_alarms = spread.sum() - spread
    counts = np.stack([hits, false_alarms, misses])
    whole = Tally(counts, hits.sum(), np.float64(1))  # type: ignore[arg-type]
    return {name: float(score(name, design.labels)(whole, whole)) for name in SCORES}


def one_hot(classes: Sequence[int] | NDArray[np.intp], number: int) -> Array:
    return np.asarray(np.eye(number)[np.asarray(classes)])


if __name__ == "__main__":
    main()
