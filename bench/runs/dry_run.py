"""The plan that `--dry-run` prints."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tabulate import tabulate

from bench import terminal
from bench.runs.reasons import shared

if TYPE_CHECKING:
    from bench.data.cache import Cache
    from bench.runs.pairing import Pairing, Ready
    from bench.runs.store import Store


@dataclass(frozen=True)
class Planned:
    """What would become of a pairing."""

    task: str
    backbone: str  # with its variant
    mode: str
    protocol: str
    runs: int
    recorded: int  # of these runs
    state: str  # the likely cost, or `skipped`, or `cannot run`
    reason: str = ""  # why it is skipped or cannot run

    @property
    def to_run(self) -> int:
        return self.runs - self.recorded


STATE = "estimated cost"
COLUMNS: dict[str, Callable[[Planned], object]] = {
    "task": lambda plan: plan.task,
    "backbone": lambda plan: plan.backbone,
    "mode": lambda plan: plan.mode,
    "protocol": lambda plan: plan.protocol,
    "runs": lambda plan: plan.runs,
    "recorded": lambda plan: plan.recorded,
    "to run": lambda plan: plan.to_run,
    STATE: lambda plan: plan.state,
}
DISPENSABLE = ("mode", "protocol", "runs", "recorded")  # the least needed column first


def planned(
    pairings: "Iterable[Pairing]", store: "Store", cache: "Cache"
) -> list[Planned]:
    """What would become of each pairing."""
    return [_planned(pairing, store, cache) for pairing in pairings]


def show_plan(plan: Sequence[Planned], width: int | None = None) -> str:
    """One line per pairing; below, why pairings are skipped or cannot run, each reason once.

    `width`: columns to fit into; None: those of the terminal. Where they do not hold the table,
    the least needed columns are left out.
    """
    width = width or terminal.width()
    lines = _table(plan, width)
    reasons = [
        (f"{p.backbone} on {p.task}", f"{p.state}: {p.reason}")
        for p in plan
        if p.reason
    ]
    if reasons:
        lines.append("")
    for reason in shared(reasons):
        lines += terminal.wrapped(reason, width)
    return "\n".join(lines)


def _table(plan: Sequence[Planned], width: int) -> list[str]:
    """The table's lines, none wider than `width`."""
    shown = list(COLUMNS)
    lines = _lines(plan, shown)
    for column in DISPENSABLE:
        if _widest(lines) <= width:
            return lines
        shown.remove(column)
        lines = _lines(plan, shown)
    excess = _widest(lines) - width
    if excess <= 0:
        return lines
    # the last column is the widest by far
    room = max(terminal.display_width(p.state) for p in plan) - excess
    shortened = [replace(p, state=terminal.shortened(p.state, room)) for p in plan]
    return [terminal.shortened(line, width) for line in _lines(shortened, shown)]


def _lines(plan: Sequence[Planned], columns: Sequence[str]) -> list[str]:
    rows = [[COLUMNS[column](each) for column in columns] for each in plan]
    return tabulate(rows, columns).splitlines()


def _widest(lines: Iterable[str]) -> int:
    return max(terminal.display_width(line) for line in lines)


def _planned(pairing: "Pairing", store: "Store", cache: "Cache") -> Planned:
    record, ready = pairing.record, pairing.ready
    plan = Planned(
        task=record.task,
        backbone=record.backbone,
        mode=record.mode,
        protocol=record.protocol,
        runs=0,
        recorded=0,
        state="",
    )
    if record.skipped:
        return replace(plan, state="skipped", reason=record.skipped)
    if ready is None:
        return replace(plan, state="cannot run", reason=pairing.failed)
    asked = {run.fingerprint for run in ready.runs}
    recorded = store.recorded(record.task, among=asked)
    plan = replace(plan, runs=len(ready.runs), recorded=len(recorded))
    return replace(plan, state=_cost(pairing, ready, store, cache, plan.to_run))


def _cost(
    pairing: "Pairing", ready: "Ready", store: "Store", cache: "Cache", to_run: int
) -> str:
    """The likely cost of the runs that are left, from recorded runs of the same kind."""
    if not to_run:
        return "nothing"
    missing = _missing_features(ready, cache)
    features = f"{missing} features to compute" if missing else "features cached"
    seconds = _recorded_seconds(pairing, store)
    if not seconds:
        return f"{to_run} trainings of unknown length, {features}"
    total = to_run * sum(seconds) / len(seconds)
    return f"about {total:.0f} s, {features}"


def _missing_features(ready: "Ready", cache: "Cache") -> int:
    """How many arrays of the runs' features are not in the cache."""
    features = {}
    for run in ready.runs:
        for feature in run.system.features.values():
            if feature.cached:
                features[feature.fingerprint] = feature
    contents = set(ready.division.corpus.content.values())
    return sum(len(cache.lacking(fingerprint, contents)) for fingerprint in features)


def _recorded_seconds(pairing: "Pairing", store: "Store") -> list[float]:
    """Training times of recorded runs of this backbone on this task, in the same mode and scale."""
    wanted = pairing.record
    seconds: list[float] = []
    for record in store.records([wanted.task]):
        same = (record.backbone, record.mode, record.scale)
        if same == (wanted.backbone, wanted.mode, wanted.scale):
            seconds += [run.train_seconds for run in record.runs if run.status == "ok"]
    return seconds
