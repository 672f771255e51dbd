"""The rows of comparison tables: what recorded runs add up to, beside what others have published.

The scores of a row are those of the pooled test predictions of all its folds, computed for each
seed and averaged over seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from statistics import fmean, stdev

from bench.contracts.task import Published
from bench.errors import BenchError
from bench.runs.records import PairingRecord, RunRecord, Status
from bench.scoring.intervals import ua_difference_interval, ua_interval
from bench.scoring.predictions import Predictions
from bench.scoring.scores import concatenate, scores
from bench.tables import caveats
from bench.tables.row import AVERAGES, Row

DRAWS = 2000  # of the bootstrap behind the intervals of UA
DRAW_SEED = 0
SAME_NAME = (  # fields that a row takes over from its pairing
    "task",
    "backbone",
    "protocol",
    "mode",
    "scale",
    "weights",
    "settings",
    "recipe",
    "labels",
    "folds_expected",
    "clips_missing",
)

Tested = dict[int, dict[str, Predictions]]  # seed -> fold -> predictions


def rows(
    records: Sequence[PairingRecord], published: Mapping[str, Sequence[Published]]
) -> list[Row]:
    """Every row, table by table (a task and a protocol), each from its highest UA to its failed and
    skipped ones.

    `records` come oldest first; of several records of one pairing the newest is taken. `published`
    is by task name; each figure comes once: in the table of its protocol, or behind the task's last
    table where nothing was measured under that protocol.
    """
    measured = _with_gains([_measured(pairing) for pairing in _newest(records)])
    cited = []
    for task in dict.fromkeys(row.task for row in measured):
        cited += [_cited(task, figure) for figure in published.get(task, ())]
    return sorted([*measured, *cited], key=_Order(measured).place)


class _Order:
    """The order of all rows; a tuned row and its default one stay side by side."""

    def __init__(self, measured: Sequence[Row]) -> None:
        self._tasks = list(dict.fromkeys(row.task for row in measured))
        self._tables = list(dict.fromkeys((row.task, row.protocol) for row in measured))
        self._best: dict[object, float] = {}  # the highest UA of a default row and its tuned one
        for row in measured:
            best = self._best.get(row.system, -inf)
            self._best[row.system] = max(best, _ua(row))

    def place(self, row: Row) -> tuple[object, ...]:
        """What to sort by: the table, the block within it, the system, the row."""
        best = max(_ua(row), self._best.get(row.system, -inf)) if row.scores else -inf
        system = (-best, row.backbone)
        within = (-_ua(row), -row.scores.get("WA", -inf), row.label)
        return (self._tasks.index(row.task), self._table(row), _block(row), *system, *within)

    def _table(self, row: Row) -> int:
        table = (row.task, row.protocol)
        return self._tables.index(table) if table in self._tables else len(self._tables)


def _block(row: Row) -> int:
    """0 for a row with scores, 1 for one at tiny scale, 2 for one without scores."""
    if not row.scores:
        return 2
    return 1 if row.scale == "tiny" else 0


def _ua(row: Row) -> float:
    return row.scores.get("UA", -inf)


def _cited(task: str, figure: Published) -> Row:
    return Row(
        task=task,
        backbone=figure.system,
        protocol=figure.protocol,
        source="published",
        status="ok",
        scores=figure.scores,
        citation=figure.source,
        notes=(figure.note,) if figure.note else (),
    )


# --- the newest record of each pairing ---


@dataclass(frozen=True)
class _Newest:
    pairing: PairingRecord
    later_failure: str = ""  # why a later attempt at it gave no result


def _newest(records: Iterable[PairingRecord]) -> list[_Newest]:
    """One record per pairing.

    A result is not hidden by a later failure, nor by a later look at some of its own runs.
    """
    newest: dict[object, _Newest] = {}
    for new in records:
        identity = _identity(new)
        old = newest[identity].pairing if identity in newest else new
        if _done(old) and not _done(new):
            reason = new.skipped or caveats.reasons(caveats.failures(new.runs))
            newest[identity] = _Newest(old, reason)
        elif not _done(new) < _done(old):
            newest[identity] = _Newest(new)
    return list(newest.values())


def _identity(pairing: PairingRecord) -> tuple[object, ...]:
    """What two records of one pairing share; the default and the tuned recipe are two pairings."""
    settings = tuple(sorted(pairing.settings.items()))
    about = (pairing.task, pairing.protocol, pairing.mode, pairing.scale, pairing.backbone)
    return (*about, pairing.weights, settings, bool(pairing.recipe))


def _done(pairing: PairingRecord) -> set[str]:
    return {run.fingerprint for run in pairing.runs if run.status == "ok"}


# --- a measured row ---


@dataclass(frozen=True)
class _Measured:
    row: Row
    pooled: list[Predictions] = field(default_factory=list)  # of all folds, one per seed


def _measured(newest: _Newest) -> _Measured:
    pairing = newest.pairing
    about = {name: getattr(pairing, name) for name in SAME_NAME}
    row = Row(**about, source="measured", status="skipped", reason=pairing.skipped)
    if pairing.skipped:
        return _Measured(row)
    latest = _latest(pairing.runs)
    tested, unreadable = _read(latest)
    failed = [*caveats.failures(latest), *unreadable]
    if tested:
        pooled = [_pooled(folds) for folds in tested.values()]
        done = [run for run in latest if run.fold in tested.get(run.seed, {})]
        reason = caveats.shortfall(pairing, done, failed)
        notes = caveats.notes(pairing, done, pooled[0].clips, newest.later_failure)
        scored = _scored(row, done, tested, pooled)
        status: Status = "partial" if reason else "ok"
        return _Measured(replace(scored, status=status, reason=reason, notes=notes), pooled)
    status = "failed" if failed else "partial"
    reason = caveats.reasons(failed) or "no run is recorded"
    return _Measured(replace(row, status=status, reason=reason))


def _latest(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The last run of each seed and fold, by seed and fold."""
    latest = {(run.seed, run.fold): run for run in runs}
    return [latest[place] for place in sorted(latest)]


def _read(runs: Iterable[RunRecord]) -> tuple[Tested, list[RunRecord]]:
    """The predictions of finished runs, and as failures the runs whose predictions cannot be
    read.
    """
    tested: Tested = {}
    unreadable = []
    for run in runs:
        if run.status != "ok" or run.predictions is None:
            continue
        try:
            predictions = run.predictions()
        except (BenchError, OSError) as error:
            reason = f"its predictions cannot be read: {error}"
            unreadable.append(replace(run, status="failed", reason=reason))
        else:
            tested.setdefault(run.seed, {})[run.fold] = predictions
    return dict(sorted(tested.items())), unreadable


def _pooled(folds: Mapping[str, Predictions]) -> Predictions:
    return concatenate([folds[name] for name in sorted(folds)])


def _scored(
    row: Row, done: Sequence[RunRecord], tested: Tested, pooled: Sequence[Predictions]
) -> Row:
    """The row with its scores and costs, from its finished runs."""
    clips = {clip for predictions in pooled for clip in predictions.clips}
    mean, deviation = _over_folds(tested)
    return replace(
        row,
        folds=len({run.fold for run in done}),
        seeds=len(tested),
        clips=len(clips),
        scores=_mean([scores(predictions) for predictions in pooled]),
        interval=_interval(pooled),
        fold_mean=mean,
        fold_sd=deviation,
        parameters=max(run.parameters for run in done),
        trainable_parameters=max(run.trainable_parameters for run in done),
        train_seconds=sum(run.train_seconds for run in done),
        peak_memory_mb=max(run.peak_memory_mb for run in done),
        fingerprints=tuple(run.fingerprint for run in done),
    )


def _interval(pooled: Sequence[Predictions]) -> tuple[float, float] | None:
    """None where seeds were tested on different clips: some of their folds are missing."""
    return ua_interval(pooled, DRAWS, DRAW_SEED) if _same_clips(pooled) else None


def _same_clips(pooled: Iterable[Predictions]) -> bool:
    return len({tuple(sorted(predictions.clips)) for predictions in pooled}) == 1


def _over_folds(tested: Tested) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation over folds of the scores of each fold, which are means over
    seeds.
    """
    of_fold: dict[str, list[Mapping[str, float]]] = {}
    for folds in tested.values():
        for name, predictions in folds.items():
            of_fold.setdefault(name, []).append(scores(predictions))
    each = [_mean(of_fold[name]) for name in sorted(of_fold)]
    columns = {name: [fold[name] for fold in each] for name in AVERAGES}
    means = {name: fmean(values) for name, values in columns.items()}
    if len(each) < 2:
        return means, {}
    return means, {name: stdev(values) for name, values in columns.items()}


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(scored[name] for scored in each) for name in each[0]}


# --- tuned rows beside default ones ---


def _with_gains(found: Sequence[_Measured]) -> list[Row]:
    """The rows, each tuned one with its gain in UA over the default recipe on the same clips."""
    default = {m.row.system: m for m in found if m.pooled and not m.row.recipe}
    return [_with_gain(measured, default.get(measured.row.system)) for measured in found]


def _with_gain(tuned: _Measured, default: _Measured | None) -> Row:
    if default is None or not tuned.row.recipe or not tuned.pooled:
        return tuned.row
    if not _same_clips([*tuned.pooled, *default.pooled]):
        return tuned.row
    gain = tuned.row.scores["UA"] - default.row.scores["UA"]
    interval = ua_difference_interval(tuned.pooled, default.pooled, DRAWS, DRAW_SEED)
    return replace(tuned.row, gain=gain, gain_interval=interval)
