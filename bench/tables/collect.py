"""What recorded runs add up to, beside what others have published.

A row's scores are those of the pooled test predictions of all its folds, worked out per seed and
averaged over seeds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from statistics import fmean, stdev

from bench.contracts.task import Published
from bench.errors import BenchError
from bench.runs.records import PairingRecord, RunRecord, Status
from bench.scoring.intervals import ua_difference_interval, ua_interval
from bench.scoring.predictions import Predictions
from bench.scoring.scores import concatenate, scores
from bench.tables.row import AVERAGES, Row

DRAWS, DRAW_SEED = 2000, 0  # of the bootstrap behind UA's interval
REASONS_SHOWN = 3  # failed runs whose reasons a row gives one by one

TINY = "tiny scale: toy sizes and random weights; shows that the pairing runs, nothing about how good the system is"
RANDOM = "random weights in place of pre-trained ones"

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
    measured = _beside_default([_row(pairing, newer) for pairing, newer in _newest(records)])
    tasks = list(dict.fromkeys(row.task for row in measured))
    tables = list(dict.fromkeys((row.task, row.protocol) for row in measured))
    cited = [_cited(task, figure) for task in tasks for figure in published.get(task, ())]
    peak: dict[
        object, float
    ] = {}  # the higher UA of a default row and a tuned one, which stay side by side
    for row in measured:
        peak[row.system] = max(peak.get(row.system, -inf), row.scores.get("UA", -inf))

    def place(row: Row) -> tuple[object, ...]:
        table = (row.task, row.protocol)
        place_of_table = tables.index(table) if table in tables else len(tables)
        block = 2 if not row.scores else 1 if row.scale == "tiny" else 0
        ua, wa = row.scores.get("UA", -inf), row.scores.get("WA", -inf)
        best = max(ua, peak.get(row.system, -inf)) if row.scores else ua
        return (
            tasks.index(row.task),
            place_of_table,
            block,
            -best,
            row.backbone,
            -ua,
            -wa,
            row.label,
        )

    return sorted([*measured, *cited], key=place)


def _newest(records: Iterable[PairingRecord]) -> list[tuple[PairingRecord, str]]:
    """One record per pairing, with the reason why a newer attempt at it gave no result.

    A result is not hidden by a later failure, nor by a later look at some of its own runs.
    """
    found: dict[object, tuple[PairingRecord, str]] = {}
    for new in records:
        settings = tuple(sorted(new.settings.items()))
        pairing = (
            new.task,
            new.protocol,
            new.mode,
            new.scale,
            new.backbone,
            new.weights,
            settings,
            bool(new.recipe),
        )
        old = found[pairing][0] if pairing in found else new
        if _done(old) and not _done(new):
            found[pairing] = old, new.skipped or _reasons(_failures(new.runs))
        elif not _done(new) < _done(old):
            found[pairing] = new, ""
    return list(found.values())


def _done(pairing: PairingRecord) -> set[str]:
    return {run.fingerprint for run in pairing.runs if run.status == "ok"}


def _row(pairing: PairingRecord, newer: str) -> tuple[Row, list[Predictions]]:
    """The row, and its predictions pooled over folds, by seed."""
    names = (
        "task",
        "backbone",
        "protocol",
        "mode",
        "scale",
        "weights",
        "settings",
        "recipe",
        "labels",
    )
    named = {name: getattr(pairing, name) for name in (*names, "folds_expected", "clips_missing")}
    row = Row(**named, source="measured", status="skipped", reason=pairing.skipped)
    if pairing.skipped:
        return row, []
    latest = [run for _, run in sorted({(run.seed, run.fold): run for run in pairing.runs}.items())]
    tested, unreadable = _read(latest)
    failures = [*_failures(latest), *unreadable]
    if tested:
        pooled = [concatenate([folds[name] for name in sorted(folds)]) for folds in tested.values()]
        return _scored(row, pairing, latest, tested, pooled, failures, newer), pooled
    status: Status = "failed" if failures else "partial"
    return replace(row, status=status, reason=_reasons(failures) or "no run is recorded"), []


def _beside_default(found: Sequence[tuple[Row, list[Predictions]]]) -> list[Row]:
    """The rows, each tuned one with what it gained over the usual recipe on the same clips."""
    usual = {row.system: (row, pooled) for row, pooled in found if not row.recipe and pooled}

    def gained(row: Row, pooled: list[Predictions]) -> Row:
        if not (row.recipe and pooled and row.system in usual):
            return row
        default, before = usual[row.system]
        if not _same_clips([*pooled, *before]):
            return row
        interval = ua_difference_interval(pooled, before, DRAWS, DRAW_SEED)
        return replace(row, gain=row.scores["UA"] - default.scores["UA"], gain_interval=interval)

    return [gained(row, pooled) for row, pooled in found]


def _read(runs: Iterable[RunRecord]) -> tuple[Tested, list[RunRecord]]:
    """The predictions there are, and the finished runs whose predictions cannot be read."""
    tested: Tested = {}
    lost = []
    for run in runs:
        if run.status == "ok" and run.predictions:
            try:
                tested.setdefault(run.seed, {})[run.fold] = run.predictions()
            except (BenchError, OSError) as error:
                lost.append(
                    replace(run, status="failed", reason=f"its predictions cannot be read: {error}")
                )
    return dict(sorted(tested.items())), lost


def _failures(runs: Iterable[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.status == "failed"]


def _scored(
    row: Row,
    pairing: PairingRecord,
    runs: Sequence[RunRecord],
    tested: Tested,
    pooled: Sequence[Predictions],
    failures: Sequence[RunRecord],
    newer: str,
) -> Row:
    done = [run for run in runs if run.fold in tested.get(run.seed, {})]
    reason = _shortfall(pairing, done, failures)
    mean, sd = _over_folds(tested)
    return replace(
        row,
        status="partial" if reason else "ok",
        reason=reason,
        folds=len({run.fold for run in done}),
        seeds=len(tested),
        clips=len({clip for p in pooled for clip in p.clips}),
        scores=_mean([scores(p) for p in pooled]),
        interval=_interval(pooled),
        fold_mean=mean,
        fold_sd=sd,
        parameters=max(run.parameters for run in done),
        trainable_parameters=max(run.trainable_parameters for run in done),
        train_seconds=sum(run.train_seconds for run in done),
        peak_memory_mb=max(run.peak_memory_mb for run in done),
        fingerprints=tuple(run.fingerprint for run in done),
        notes=tuple(dict.fromkeys(_notes(pairing, done, pooled, newer))),
    )


def _shortfall(
    pairing: PairingRecord, done: Sequence[RunRecord], failures: Sequence[RunRecord]
) -> str:
    """What keeps a row from covering its protocol; empty if nothing does.

    A pairing may hold more than its last command asked for.
    """
    said = []
    folds = max(pairing.folds_asked, len({run.fold for run in done}))
    asked = folds * max(pairing.seeds, len({run.seed for run in done}))
    if folds < pairing.folds_expected:
        said.append(f"first {folds} of {pairing.folds_expected} folds, not the full protocol")
    within = [
        run for run in failures if run.fold
    ]  # without a fold: a later attempt that could not start
    if within:
        said.append(f"{len(within)} of {asked} runs failed: {_reasons(within)}")
    if (absent := asked - len(done) - len(within)) > 0:
        said.append(f"{absent} of {asked} runs are not recorded yet")
    return "; ".join(said)


def _notes(
    pairing: PairingRecord, done: Sequence[RunRecord], pooled: Sequence[Predictions], newer: str
) -> Iterable[str]:
    if pairing.scale == "tiny":
        yield TINY
    elif pairing.weights == "random":
        yield RANDOM
    if pairing.clips_missing:
        yield f"{pairing.clips_missing} unreadable clips are left out"
    if repeated := sum(times > 1 for times in Counter(pooled[0].clips).values()):
        yield f"{repeated} clips are in the test parts of several folds; each of their predictions counts"
    yield from pairing.notes
    for note, times in Counter(note for run in done for note in run.notes).items():
        yield note if times == len(done) else f"{note} ({times} of {len(done)} runs)"
    for reason in filter(
        None, [newer, *(run.reason for run in _failures(pairing.runs) if not run.fold)]
    ):
        yield f"a later attempt failed: {reason}"


def _reasons(failures: Sequence[RunRecord]) -> str:
    """Why runs failed; a reason that all of them share is given once, without their names."""
    if len({run.reason for run in failures}) <= 1:
        return next((run.reason for run in failures), "")
    shown = [f"fold {run.fold}, seed {run.seed}: {run.reason}" for run in failures[:REASONS_SHOWN]]
    return "; ".join(
        [*shown, *([f"{len(failures) - len(shown)} more"] if len(failures) > len(shown) else [])]
    )


def _interval(pooled: Sequence[Predictions]) -> tuple[float, float] | None:
    """None where seeds were tested on different clips: some of their folds are missing."""
    return ua_interval(pooled, DRAWS, DRAW_SEED) if _same_clips(pooled) else None


def _same_clips(pooled: Sequence[Predictions]) -> bool:
    return len({tuple(sorted(p.clips)) for p in pooled}) == 1


def _over_folds(tested: Tested) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation over folds of each fold's scores, which are means over seeds."""
    names = sorted({fold for folds in tested.values() for fold in folds})
    each = [
        _mean([scores(folds[name]) for folds in tested.values() if name in folds]) for name in names
    ]
    columns = {name: [fold[name] for fold in each] for name in AVERAGES}
    deviations = {name: stdev(values) for name, values in columns.items() if len(values) > 1}
    return {name: fmean(values) for name, values in columns.items()}, deviations


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(scored[name] for scored in each) for name in each[0]}


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
