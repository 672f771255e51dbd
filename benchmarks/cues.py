"""Which cues each system hears: a grid of backbones and the demo's variants, the table of
results/reference/cues.md.

On `demo:pitch`, systems that read pitch run beside the same systems without it, with three training
seeds; on the other cues, one seed of fewer. Two copies of this command share the work, and what is
recorded is not run again:

    OMP_NUM_THREADS=1 python benchmarks/cues.py --results /tmp/cues
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from bench.runs.store import Store
from bench.scoring.intervals import ua_difference_interval
from bench.scoring.predictions import Predictions
from bench.scoring.scores import concatenate, scores
from bench.tables.collect import rows
from bench.tables.row import Row

# of the fusions, whose recipe at tiny scale is for a demonstration; chosen on validation speakers
EPOCHS = 12
CONTROLS = ("pitch-fusion:constant-pitch", "pitch-fusion:shuffled-pitch", "pitch-fusion:released")
FUSIONS = ("pitch-fusion", *CONTROLS, "feature-fusion")
SYSTEMS = ("mfcc-stats", "wav2vec2", "pitch-fusion", "feature-fusion")  # on every cue
COMPARED = (
    "pitch-fusion",
    "feature-fusion",
    "pitch-fusion:released",
)  # with each of the first two controls
PITCH = (*SYSTEMS, *CONTROLS)
CUES = ("demo:pitch", "demo:energy", "demo:timbre", "demo:tempo", "demo")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results/cues"))
    parser.add_argument("--seeds", type=int, default=3, help="training seeds on demo:pitch [3]")
    parser.add_argument("--folds", type=int, default=3, help="the first so many folds [3]")
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
    systems: Sequence[str], cue: str, seeds: int, folds: int, results: Path, epochs: int = EPOCHS
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
    """Markdown: a line per system, a column per cue, UA in % with its 95 % interval over speakers."""
    cell = {(row.backbone, row.task): _cell(row) for row in found}
    systems = list(dict.fromkeys((*PITCH, *(row.backbone for row in found))))
    head = ["UA in %, chance 25", *CUES]
    body = [[f"`{name}`", *(cell.get((name, cue), "") for cue in CUES)] for name in systems]
    lines = [head, ["---", *("---:" for _ in CUES)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def gains(results: Path) -> str:
    """Markdown: what separates the fusions from their controls on `demo:pitch`, on the same draws
    of speakers.
    """
    tested: dict[str, list[Predictions]] = {}
    for record in Store(None, results).records(["demo:pitch"]):
        by_seed: dict[int, list[Predictions]] = {}
        for run in record.runs:
            if run.predictions:
                by_seed.setdefault(run.seed, []).append(run.predictions())
        tested[record.backbone] = [concatenate(folds) for folds in by_seed.values()]
    lines = ["| UA in points, demo:pitch | over | is |", "| --- | --- | ---: |"]
    for one, other in (
        (a, b) for a in COMPARED for b in CONTROLS[:2] if a in tested and b in tested
    ):
        gain = fmean(scores(p)["UA"] for p in tested[one]) - fmean(
            scores(p)["UA"] for p in tested[other]
        )
        low, high = ua_difference_interval(tested[one], tested[other])
        lines.append(
            f"| `{one}` | `{other}` | {100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] |"
        )
    return "\n".join(lines)


def _cell(row: Row) -> str:
    low, high = row.interval or (float("nan"), float("nan"))
    return f"{100 * row.scores['UA']:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


if __name__ == "__main__":
    main()
