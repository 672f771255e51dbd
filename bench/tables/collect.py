"""The rows of comparison tables: what recorded runs add up to, beside what others have published.

The scores of a row are those of the pooled test predictions of all its folds, computed for each
seed and averaged over seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import stdev

from bench.contracts.task import Published
from bench.errors import BenchError
from bench.runs.records import PairingRecord, RunRecord
from bench.scoring.pooling import mean_scores, pooled
from bench.scoring.predictions import Predictions
from bench.scoring.sample import Sample
from bench.scoring.scores import scores
from bench.tables import caveats
from bench.tables.identity import located, pairing, with_versions
from bench.tables.row import AVERAGES, TAKEN_OVER, Row
from bench.tables.uncertainty import Measured, with_gains, with_intervals, with_stars

Tested = dict[int, dict[str, Predictions]]  # seed -> fold -> predictions


def rows(
    records: Sequence[PairingRecord],
    published: Mapping[str, Sequence[Published]],
    versions: Mapping[str, int] | None = None,
) -> list[Row]:
    """Every row, table by table, each from its best to its failed and skipped ones. A table is of a
    task and a protocol, of one corpus and one division of it into folds; the newest comes first.

    `records` come oldest first; of several records of one pairing the newest is taken. `published`
    is by task name; each figure comes once: in the newest table of its protocol, or behind the
    task's last table where nothing was measured under that protocol. `versions`: those that the
    backbones have now, by name.
    """
    known = with_versions(measured(records), versions or {})
    found = with_stars(with_gains(known))
    order = _Order(found)
    every = list(found)
    for task, ranked_by in order.tasks.items():
        for figure in published.get(task, ()):
            row = _cited(task, figure, ranked_by)
            every.append(order.in_newest(row))
    return sorted(every, key=order.place)


def measured(records: Sequence[PairingRecord]) -> list[Measured]:
    """The rows of the newest record of each pairing, with the predictions behind them."""
    newest = _newest(located(records))
    return [_measured(pairing) for pairing in newest]


class _Order:
    """The order of all rows; a tuned row and its default one stay side by side."""

    def __init__(self, measured: Sequence[Row]) -> None:
        self.tasks: dict[str, str] = {}  # with the score that ranks
        # task and protocol -> corpora and divisions, oldest first
        self._tables: dict[tuple[str, str], list[tuple[str, str]]] = {}
        # the highest rank of a default row and its tuned one
        self._best: dict[object, float] = {}
        for row in measured:
            self.tasks.setdefault(row.task, row.ranked_by)
            tables = self._tables.setdefault((row.task, row.protocol), [])
            if row.table[2:] not in tables:
                tables.append(row.table[2:])
            best = self._best.get(row.system, -inf)
            self._best[row.system] = max(best, row.rank)

    def place(self, row: Row) -> tuple[object, ...]:
        """What to sort by: the table, the block within it, the system, the row."""
        wa = row.scores.get("WA", -inf)
        best = row.rank
        if row.scores:
            best = max(best, self._best.get(row.system, -inf))
        return (
            list(self.tasks).index(row.task),
            *self._table(row),
            _block(row),
            -best,
            row.backbone,
            -row.rank,
            -wa,
            row.label,
        )

    def in_newest(self, row: Row) -> Row:
        """A published row in the newest table of its protocol."""
        tables = self._tables.get((row.task, row.protocol))
        if not tables:
            return row
        corpus, split = tables[-1]
        return replace(row, corpus=corpus, split=split)

    def _table(self, row: Row) -> tuple[int, int]:
        protocol = (row.task, row.protocol)
        if protocol not in self._tables:
            return len(self._tables), 0
        place = list(self._tables).index(protocol)
        age = self._tables[protocol].index(row.table[2:])
        return place, -age


def _block(row: Row) -> int:
    """0 for a row with scores, 1 for one at tiny scale, 2 for one without scores."""
    if not row.scores:
        return 2
    if row.scale == "tiny":
        return 1
    return 0


def _cited(task: str, figure: Published, ranked_by: str) -> Row:
    return Row(
        task=task,
        ranked_by=ranked_by,
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
    later: PairingRecord | None = None  # a later attempt at it that gave no result


def _newest(records: Iterable[PairingRecord]) -> list[_Newest]:
    """One record per pairing.

    A result is not hidden by a later failure, nor by a later look at some of its own runs.
    """
    newest: dict[object, _Newest] = {}
    for new in records:
        identity = pairing(new)
        old = newest.get(identity, _Newest(new)).pairing
        done_before = _done(old)
        done_now = _done(new)
        if done_before and not done_now:
            newest[identity] = _Newest(old, new)
        elif not done_now < done_before:
            newest[identity] = _Newest(new)
    return list(newest.values())


def _failure(pairing: PairingRecord) -> str:
    """Why a pairing gave no result."""
    failed = caveats.failures(pairing.runs)
    return pairing.skipped or caveats.reasons(failed)


def _done(pairing: PairingRecord) -> set[str]:
    """The fingerprints of its finished runs."""
    fingerprints = set()
    for run in pairing.runs:
        if run.status == "ok":
            fingerprints.add(run.fingerprint)
    return fingerprints


# --- a measured row ---


def _measured(newest: _Newest) -> Measured:
    pairing = newest.pairing
    about = {name: getattr(pairing, name) for name in TAKEN_OVER}
    row = Row(**about, source="measured", status="skipped", reason=pairing.skipped)
    if pairing.skipped:
        return Measured(row)
    read = _latest([_read(run) for run in pairing.runs])
    latest = [each.run for each in read]
    row = replace(row, lost=_is_lost(newest, latest))
    tested = _by_seed(read)
    if not tested:
        return Measured(_without_result(row, caveats.failures(latest)))
    return _with_result(row, newest, latest, tested)


def _with_result(
    row: Row, newest: _Newest, latest: Sequence[RunRecord], tested: Tested
) -> Measured:
    pairing = newest.pairing
    by_seed = [pooled(folds) for folds in tested.values()]
    done = [run for run in latest if run.fold in tested.get(run.seed, {})]
    later_failure = _failure(newest.later) if newest.later else ""
    reason = caveats.shortfall(pairing, done, caveats.failures(latest))
    scored = replace(
        _scored(row, done, tested, by_seed),
        status="partial" if reason else "ok",
        reason=reason,
        notes=caveats.notes(pairing, done, by_seed[0].clips, later_failure),
    )
    sample = Sample.of(by_seed)
    if sample is None:
        return Measured(scored)
    return Measured(with_intervals(scored, sample), sample)


def _without_result(row: Row, failed: Sequence[RunRecord]) -> Row:
    if not failed:
        return replace(row, status="partial", reason="no run is recorded")
    reason = caveats.reasons(failed)
    return replace(row, status="failed", reason=reason or "no run is recorded")


@dataclass(frozen=True)
class _Read:
    run: RunRecord
    predictions: Predictions | None = None  # None of a failed run


def _read(run: RunRecord) -> _Read:
    """A run with its predictions; a failed one if they cannot be read."""
    if run.status != "ok" or run.predictions is None:
        return _Read(run)
    try:
        return _Read(run, run.predictions())
    except (BenchError, OSError) as error:
        reason = f"its predictions cannot be read: {error}"
        return _Read(replace(run, status="failed", reason=reason, lost=True))


def _latest(runs: Iterable[_Read]) -> list[_Read]:
    """The last run of each seed and fold, by seed and fold. `runs` come oldest first.

    Of runs of one fingerprint a finished one counts, whatever failed before or after it.
    """
    same: dict[tuple[str, int, str], _Read] = {}
    for read in runs:
        run = (read.run.fingerprint, read.run.seed, read.run.fold)
        old = same.pop(run, None)  # popped, so that the dictionary's order is by age
        if old and old.predictions and not read.predictions:
            same[run] = old
        else:
            same[run] = read
    latest = {}
    for read in same.values():
        latest[read.run.seed, read.run.fold] = read
    return [latest[place] for place in sorted(latest)]


def _by_seed(runs: Iterable[_Read]) -> Tested:
    tested: Tested = {}
    for read in runs:
        if read.predictions:
            tested.setdefault(read.run.seed, {})[read.run.fold] = read.predictions
    return tested


def _is_lost(newest: _Newest, latest: Sequence[RunRecord]) -> bool:
    """Whether something that was recorded for a row cannot be read."""
    runs = [*newest.pairing.runs, *latest]
    if newest.later:
        runs += newest.later.runs
    return any(run.lost for run in runs)


def _scored(
    row: Row, done: Sequence[RunRecord], tested: Tested, by_seed: Sequence[Predictions]
) -> Row:
    """The row with its scores and costs, from its finished runs."""
    clips: set[str] = set()
    for predictions in by_seed:
        clips.update(predictions.clips)
    mean, deviation = _over_folds(tested)
    of_seeds = [scores(predictions) for predictions in by_seed]
    return replace(
        row,
        folds=len({run.fold for run in done}),
        seeds=len(tested),
        clips=len(clips),
        scores=mean_scores(of_seeds),
        seed_sd=_deviation(of_seeds),
        fold_mean=mean,
        fold_sd=deviation,
        parameters=max(run.parameters for run in done),
        trainable_parameters=max(run.trainable_parameters for run in done),
        train_seconds=sum(run.train_seconds for run in done),
        peak_memory_mb=max(run.peak_memory_mb for run in done),
        fingerprints=tuple(run.fingerprint for run in done),
    )


def _over_folds(tested: Tested) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation over folds of the scores of each fold, which are means over
    seeds.
    """
    of_fold: dict[str, list[Mapping[str, float]]] = {}
    for folds in tested.values():
        for name, predictions in folds.items():
            of_fold.setdefault(name, []).append(scores(predictions))
    names = sorted(of_fold)
    each = [mean_scores(of_fold[name]) for name in names]
    means = mean_scores(each)
    averages = {name: means[name] for name in AVERAGES}
    return averages, _deviation(each)


def _deviation(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The standard deviation of each average; empty for a single value."""
    deviations: dict[str, float] = {}
    if len(each) < 2:
        return deviations
    for name in AVERAGES:
        values = [scored[name] for scored in each]
        deviations[name] = stdev(values)
    return deviations
