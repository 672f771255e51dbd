"""Which cues each system uses: a grid of backbones and variants of the demo.

It makes the table of results/reference/cues.md. On `demo:pitch`, systems that read pitch run beside
the same systems without it, with three training seeds; on the other cues, fewer systems run with
one seed. Two copies of this command share the work, and what is recorded is not run again:

    OMP_NUM_THREADS=1 python benchmarks/cues.py --results /tmp/cues
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.runs.store import Store
from bench.scoring.jackknife import difference
from bench.scoring.predictions import Predictions
from bench.scoring.sample import Sample
from bench.scoring.scores import concatenate
from bench.tables.collect import rows
from bench.tables.row import Row

EPOCHS = (
    12  # chosen on validation speakers; the default at tiny scale is for demonstrations
)
CONTROLS = (
    "pitch-fusion:constant-pitch",
    "pitch-fusion:shuffled-pitch",
    "pitch-fusion:released",
)
FUSIONS = ("pitch-fusion", *CONTROLS, "feature-fusion")
SYSTEMS = ("mfcc-stats", "wav2vec2", "pitch-fusion", "feature-fusion")  # on every cue
# with each of the first two controls
COMPARED = ("pitch-fusion", "feature-fusion", "pitch-fusion:released")
PITCH = (*SYSTEMS, *CONTROLS)
CUES = ("demo:pitch", "demo:energy", "demo:timbre", "demo:tempo", "demo")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results/cues"))
    parser.add_argument(
        "--seeds", type=int, default=3, help="training seeds on demo:pitch [3]"
    )
    parser.add_argument(
        "--folds", type=int, default=3, help="the first so many folds [3]"
    )
    chosen = parser.parse_args()
    for cue in CUES:
        first = cue == "demo:pitch"
        run(
            PITCH if first else SYSTEMS,
            cue,
            chosen.seeds if first else 1,
            chosen.folds,
            chosen.results,
        )
    print(table(measured(chosen.results)))
    print(f"\n{gains(chosen.results)}")


def run(
    systems: Sequence[str],
    cue: str,
    seeds: int,
    folds: int,
    results: Path,
    epochs: int = EPOCHS,
) -> None:
    """Record the systems on a cue. Raises CalledProcessError if a run fails."""
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "-b",
        ",".join(systems),
        "-t",
        cue,
        "--scale",
        "tiny",
    ]
    command += ["--seeds", str(seeds), "--folds", str(folds), "--results", str(results)]
    for name in ("pitch-fusion", "feature-fusion", "wav2vec2"):
        command += ["--set", f"{name}.epochs={epochs}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measured(results: Path) -> list[Row]:
    """The rows of what is recorded, pooled over folds, averaged over seeds."""
    return rows(Store(None, results).records(), {})


def table(found: Sequence[Row]) -> str:
    """Markdown: a line per system, a column per cue; UA in % with its 95 % interval."""
    cells = {(row.backbone, row.task): _cell(row) for row in found}
    systems = [*PITCH, *(row.backbone for row in found)]
    lines = [["UA in %, chance 25", *CUES], ["---"] + ["---:"] * len(CUES)]
    for name in dict.fromkeys(systems):
        line = [cells.get((name, cue), "") for cue in CUES]
        lines.append([f"`{name}`", *line])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def gains(results: Path) -> str:
    """Markdown: the differences of the fusions to their controls on `demo:pitch`.

    Each interval is over the same speakers.
    """
    tested = _tested(results)
    lines = ["| UA in points, demo:pitch | over | is |", "| --- | --- | ---: |"]
    for one in COMPARED:
        for other in CONTROLS[:2]:
            if one in tested and other in tested:
                gain = _gain(tested[one], tested[other])
                lines.append(f"| `{one}` | `{other}` | {gain} |")
    return "\n".join(lines)


def _tested(results: Path) -> dict[str, list[Predictions]]:
    """Backbone -> the predictions of each seed, pooled over folds."""
    tested: dict[str, list[Predictions]] = {}
    for record in Store(None, results).records(["demo:pitch"]):
        by_seed: dict[int, list[Predictions]] = {}
        for run in record.runs:
            if run.predictions:
                by_seed.setdefault(run.seed, []).append(run.predictions())
        tested[record.backbone] = [concatenate(folds) for folds in by_seed.values()]
    return tested


def _gain(one: Sequence[Predictions], other: Sequence[Predictions]) -> str:
    found = difference(Sample(one), Sample(other), "UA")
    assert found, "several speakers were tested"
    low, high = found.bounds
    return f"{100 * found.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _cell(row: Row) -> str:
    low, high = row.intervals.get("UA", (float("nan"), float("nan")))
    return f"{100 * row.scores['UA']:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


if __name__ == "__main__":
    main()
