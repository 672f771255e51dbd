"""Where the probabilities of the segments come from: the test predictions of a recorded run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from bench.data.privacy import pseudonymous
from bench.errors import UsageError, suggest
from bench.options import stem
from bench.runs.lookup import Recorded
from bench.runs.records import PairingRecord, RunRecord
from bench.scoring.predictions import Predictions

if TYPE_CHECKING:
    from bench.tables.row import Row

NEGATIVE = (
    "negative"  # the class that is counted, where neither task nor user names another
)


@dataclass(frozen=True)
class Tested:
    """What a recorded run says of its test clips: one probability of `label` per clip."""

    title: str  # the pairing, as tables call it
    label: str
    probability: Mapping[
        str, float
    ]  # clip -> mean over the runs that were tested on it
    truth: Mapping[str, bool]
    recall: float  # of the label, over all test clips; a fraction
    private: bool
    partial: bool  # whether test clips of the protocol have no predictions
    notes: tuple[str, ...]  # caveats, as in the run's own table


def tested(recorded: Recorded, label: str | None, private: bool) -> Tested:
    """The test predictions of all folds together, averaged over seeds (and over folds that share
    test clips).

    `label` is the class that is counted: by default the positive class of the task, else
    `negative`. `private` treats a task as private that does not declare it itself.

    Raises:
        UsageError: the task has more than two classes, or not this one.
    """
    runs = _read_once(recorded.runs)
    pairing = replace(recorded.pairing, runs=tuple(runs))
    _require_two_classes(pairing)
    counted = _known_label(label or pairing.positive or NEGATIVE, pairing.labels)
    row = _row(pairing)
    clips = _by_clip(runs, counted)
    shortfall = _shortfall(recorded, row)
    return Tested(
        title=f"{row.label} on {pairing.task}, protocol {pairing.protocol}",
        label=counted,
        probability=clips.means(),
        truth=clips.truth,
        recall=row.scores[f"recall ({counted})"],
        private=private or _declared_private(pairing.task) or pseudonymous(clips.truth),
        partial=bool(shortfall),
        notes=(*shortfall, *row.notes, *_averaging(runs, clips)),
    )


# --- the run and its task ---


def _read_once(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The last run of each fold and seed; its predictions are read once and kept."""
    latest = {(run.fold, run.seed): run for run in runs}
    kept = []
    for run in latest.values():
        reading: Callable[[], Predictions] | None = None
        if run.predictions:
            reading = cache(run.predictions)
        kept.append(replace(run, predictions=reading))
    return kept


def _require_two_classes(pairing: PairingRecord) -> None:
    classes = len(pairing.labels)
    if classes != 2 or pairing.multilabel:
        raise UsageError(
            f"a trend needs a task of two classes, one per clip, and {pairing.task} has {classes}"
        )


def _known_label(label: str, labels: Sequence[str]) -> str:
    if label in labels:
        return label
    hint = suggest(label, labels)
    choices = " or ".join(labels)
    raise UsageError(
        f"the task has no class {label}{hint}: name {choices} by --class",
    )


def _row(pairing: PairingRecord) -> "Row":
    """The pairing's row in a comparison table."""
    from bench.tables.collect import rows

    [row] = rows([pairing], {})
    return row


def _declared_private(task: str) -> bool:
    """Whether a task that is not a manifest declares itself private."""
    from bench import registry

    if stem(task) not in registry.entries("task"):
        return False
    [known] = registry.tasks([task])
    return known.private


def _shortfall(recorded: Recorded, row: "Row") -> list[str]:
    """Why the run does not cover its protocol, as one footnote or none."""
    every = _folds_and_seeds(recorded.pairing.runs)
    named = _folds_and_seeds(recorded.runs)
    if len(named) < len(every):
        runs = [f"fold {fold}, seed {seed}" for fold, seed in named]
        listed = ", ".join(runs)
        return [f"{listed} alone, of {len(every)} recorded runs of the pairing"]
    if not row.reason:
        return []
    return [f"{row.status}: {row.reason}"]


def _folds_and_seeds(runs: Iterable[RunRecord]) -> list[tuple[str, int]]:
    """Those that are recorded, in order."""
    places = set()
    for run in runs:
        if run.status == "ok":
            places.add((run.fold, run.seed))
    return sorted(places)


# --- its clips ---


@dataclass(frozen=True)
class _Clips:
    probabilities: dict[str, list[float]] = field(
        default_factory=dict
    )  # one of each run
    truth: dict[str, bool] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        means = {}
        for clip, each in self.probabilities.items():
            means[clip] = sum(each) / len(each)
        return means


def _by_clip(runs: Iterable[RunRecord], label: str) -> _Clips:
    clips = _Clips()
    for run in runs:
        assert run.predictions, "recorded runs are finished"
        predictions = run.predictions()
        place = predictions.labels.index(label)
        probabilities = predictions.probabilities[:, place]
        truths = predictions.truth[:, place]
        for clip, probability, truth in zip(
            predictions.clips, probabilities, truths, strict=True
        ):
            clips.probabilities.setdefault(clip, []).append(float(probability))
            clips.truth[clip] = bool(truth)
    return clips


def _averaging(runs: Sequence[RunRecord], clips: _Clips) -> list[str]:
    """Footnotes about probabilities that are means over several runs."""
    numbers = [len(each) for each in clips.probabilities.values()]
    most = max(numbers)
    said = []
    if most > 1:
        several = _averaged_over(runs, most)
        said.append(
            f"probabilities are means over {several}, "
            "which vary less from segment to segment than those of one network"
        )
    fewer = len(numbers) - numbers.count(most)
    if fewer:
        said.append(f"{fewer} clips have fewer predictions to average than the others")
    return said


def _averaged_over(runs: Sequence[RunRecord], most: int) -> str:
    """Over what the clip with the most predictions is averaged."""
    seeds = len({run.seed for run in runs})
    folds = len({run.fold for run in runs})
    if most <= seeds:
        return f"{seeds} seeds"
    if seeds == 1:
        return f"{folds} folds"
    return f"{folds} folds and {seeds} seeds"
