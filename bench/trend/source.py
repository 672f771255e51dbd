"""Where the probabilities of the segments come from: the test predictions of a recorded run."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bench.data.csv_table import unusable
from bench.data.manifest_file import recording
from bench.data.privacy import pseudonym, pseudonymous
from bench.errors import CorpusError, UsageError, suggest
from bench.runs.lookup import Recorded
from bench.runs.records import RunRecord
from bench.scoring.predictions import Predictions
from bench.trend.calls import Call, Segment

NEGATIVE = "negative"  # the class that is counted, where neither task nor user names another


@dataclass(frozen=True)
class Tested:
    """What a recorded run says of the clips it was tested on: one probability of `label` per clip."""

    title: str  # the pairing, as tables call it
    label: str
    probability: Mapping[str, float]  # clip -> mean over the runs that were tested on it
    truth: Mapping[str, bool]
    recall: float  # of the label, over all test clips; a fraction
    private: bool
    partial: bool  # whether test clips of the protocol have no predictions
    notes: tuple[str, ...]  # caveats, as in the run's own table


@dataclass(frozen=True)
class Scored:
    """Calls whose every segment has a probability."""

    calls: list[Call]
    missing: int  # segments without a prediction, left out
    incomplete: int  # calls that they are of and that have others
    lost: int  # calls that have no others, left out, too
    idle: int  # clips of the run that are in no call


def tested(recorded: Recorded, label: str | None, private: bool) -> Tested:
    """The test predictions of all folds together, averaged over seeds (and folds that share their
    test clips).

    `label` is the class that is counted: by default the task's positive class, else `negative`.
    `private` treats a task as private that does not say so itself. Raises UsageError for a task of
    more than two classes, and for a label that it does not have.
    """
    from bench.tables.collect import rows

    runs = [
        _read_once(run) for run in {(run.fold, run.seed): run for run in recorded.runs}.values()
    ]
    pairing = replace(recorded.pairing, runs=tuple(runs))
    if len(pairing.labels) != 2 or pairing.multilabel:
        raise UsageError(
            f"a trend needs a task of two classes, one per clip, and {pairing.task} has {len(pairing.labels)}"
        )
    label = _label(label or pairing.positive or NEGATIVE, pairing.labels)
    row = rows([pairing], {})[0]
    alone = _alone(recorded)
    by_clip: dict[str, list[float]] = {}
    truth: dict[str, bool] = {}
    for predictions in map(_predictions, runs):
        at = predictions.labels.index(label)
        for clip, p, true in zip(
            predictions.clips,
            predictions.probabilities[:, at],
            predictions.truth[:, at],
            strict=True,
        ):
            by_clip.setdefault(clip, []).append(float(p))
            truth[clip] = bool(true)
    short = alone or (f"{row.status}: {row.reason}" if row.reason else "")
    return Tested(
        title=f"{row.label} on {pairing.task}, protocol {pairing.protocol}",
        label=label,
        probability={clip: sum(values) / len(values) for clip, values in by_clip.items()},
        truth=truth,
        recall=row.scores[f"recall ({label})"],
        private=private or _private(pairing.task) or pseudonymous(by_clip),
        partial=bool(short),
        notes=(*filter(None, [short]), *row.notes, *_averages(runs, by_clip)),
    )


def score(calls: Sequence[Call], run: Tested, skip_missing: bool = False) -> Scored:
    """The calls with a probability for each segment, found by the clip's id.

    A segment of a manifest's task is named as in the manifest: by its path, and where the manifest
    gives times, by `path@start-end` or by `start` and `end` columns of the same value. Of a private
    task, calls, segments and groups come back as pseudonyms. Raises CorpusError for a segment that
    is in two rows, and unless `skip_missing` for one without a prediction; the rows are named, and
    of a task that is not private the segments.
    """
    found = {segment.row: _clip(segment, run) for call in calls for segment in call.segments}
    named = {segment.row: segment.name for call in calls for segment in call.segments}
    faults = list(_twice(found))
    if faults:
        raise unusable("the table of calls", faults)
    missing = [row for row, clip in found.items() if clip is None]
    if len(missing) == len(found):
        raise CorpusError(_strangers(run))
    if missing and not skip_missing:
        texts = [f"row {row}{'' if run.private else f' ({named[row]})'}" for row in missing[:10]]
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise CorpusError(
            f"{len(missing)} of {len(found)} segments have no prediction in {run.title}: {', '.join(texts)}{more}; "
            f"{_remedy(run)}or go on without them by --skip-missing"
        )
    kept = [replace(call, segments=tuple(_scored(call, found, run))) for call in calls]
    return _counted(
        calls,
        hidden(kept) if run.private else kept,
        len(run.probability.keys() - set(found.values())),
    )


def complete(calls: Sequence[Call], skip_missing: bool = False, private: bool = False) -> Scored:
    """The calls of a table of probabilities; of a `private` one under pseudonyms.

    Raises CorpusError for segments without a probability, unless `skip_missing`.
    """
    missing = [s.row for call in calls for s in call.segments if s.probability is None]
    if missing and (not skip_missing or len(missing) == sum(len(call.segments) for call in calls)):
        raise CorpusError(
            f"{len(missing)} segments have no probability, the first in row {missing[0]} of the table: add them, or "
            "go on without them by --skip-missing"
        )
    kept = [
        replace(c, segments=tuple(s for s in c.segments if s.probability is not None))
        for c in calls
    ]
    return _counted(calls, hidden(_anonymous(kept)) if private else kept)


def hidden(calls: Sequence[Call]) -> list[Call]:
    """Calls under pseudonyms, groups numbered in the order of the table."""
    groups = {
        group: f"group {n}"
        for n, group in enumerate(dict.fromkeys(call.group for call in calls), start=1)
    }
    return [
        replace(call, name=pseudonym(call.name, "call"), group=groups[call.group]) for call in calls
    ]


def _anonymous(calls: Sequence[Call]) -> list[Call]:
    return [
        replace(
            call,
            segments=tuple(
                replace(s, name=s.name and pseudonym(s.name, "clip")) for s in call.segments
            ),
        )
        for call in calls
    ]


def _counted(calls: Sequence[Call], kept: Sequence[Call], idle: int = 0) -> Scored:
    """What is kept of the calls, without those of which nothing is, and how much is not."""
    left = [len(call.segments) - len(own.segments) for call, own in zip(calls, kept, strict=True)]
    lost = sum(not call.segments for call in kept)
    return Scored(
        [call for call in kept if call.segments], sum(left), sum(map(bool, left)) - lost, lost, idle
    )


def _read_once(run: RunRecord) -> RunRecord:
    reading: Callable[[], Predictions] | None = cache(run.predictions) if run.predictions else None
    return replace(run, predictions=reading)


def _predictions(run: RunRecord) -> Predictions:
    assert run.predictions, "found runs are finished"
    return run.predictions()


def _label(label: str, labels: Sequence[str]) -> str:
    if label not in labels:
        raise UsageError(
            f"the task has no class {label}{suggest(label, labels)}: name {' or '.join(labels)} by --class"
        )
    return label


def _private(task: str) -> bool:
    """What a task that is no manifest says of itself."""
    from bench import registry

    known = task.partition(":")[0] in registry.entries("task")
    return known and registry.tasks([task])[0].private


def _alone(recorded: Recorded) -> str:
    """What is said of a run that was named without the other runs of its pairing."""
    every = {(run.fold, run.seed) for run in recorded.pairing.runs if run.status == "ok"}
    named = sorted({(run.fold, run.seed) for run in recorded.runs})
    if len(named) == len(every):
        return ""
    runs = ", ".join(f"fold {fold}, seed {seed}" for fold, seed in named)
    return f"{runs} alone, of {len(every)} recorded runs of the pairing"


def _averages(runs: Sequence[RunRecord], by_clip: Mapping[str, Sequence[float]]) -> Iterator[str]:
    if (most := max(map(len, by_clip.values()))) > 1:
        seeds, folds = len({run.seed for run in runs}), len({run.fold for run in runs})
        several = (
            f"{seeds} seeds"
            if most <= seeds
            else f"{folds} folds and {seeds} seeds"
            if seeds > 1
            else f"{folds} folds"
        )
        yield f"probabilities are means over {several}, which change less from segment to segment than one network's"
    if fewer := sum(len(values) < most for values in by_clip.values()):
        yield f"{fewer} clips have fewer predictions to average than the others"


def _clip(segment: Segment, run: Tested) -> str | None:
    """The run's clip that a segment names."""
    plain = Path(segment.name).as_posix()
    names = [segment.name, plain, recording(segment.name, segment.start, segment.end)]
    secrets = [pseudonym(name, "clip") for name in names] if run.private else []
    return next((name for name in [*names, *secrets] if name in run.probability), None)


def _twice(found: Mapping[int, str | None]) -> Iterator[str]:
    uses = Counter(found.values())
    first: dict[str, int] = {}
    for row, clip in found.items():
        if clip is not None and uses[clip] > 1 and first.setdefault(clip, row) != row:
            yield f"row {row}: the same segment as row {first[clip]}"


def _scored(call: Call, found: Mapping[int, str | None], run: Tested) -> Iterator[Segment]:
    for segment in call.segments:
        if (clip := found[segment.row]) is not None:
            yield replace(
                segment,
                name=_secret(clip) if run.private else segment.name,
                probability=run.probability[clip],
                truth=run.truth[clip],
            )


def _secret(clip: str) -> str:
    """A private manifest's clip has a pseudonym already."""
    return clip if pseudonymous([clip]) else pseudonym(clip, "clip")


def _strangers(run: Tested) -> str:
    if run.private:
        return (
            f"no segment of the calls is a test clip of {run.title}: name segments as its manifest does, on the "
            "machine whose key made its pseudonyms"
        )
    example = next(iter(run.probability))
    return f"no segment of the calls is a test clip of {run.title}, whose clips are called like {example}"


def _remedy(run: Tested) -> str:
    return (
        "name the whole pairing, or record what it lacks with `bench run`, " if run.partial else ""
    )
