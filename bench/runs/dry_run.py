"""The plan that `--dry-run` prints."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from bench.data.cache import Cache
    from bench.runs.pairing import Pairing
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


def planned(pairings: "Iterable[Pairing]", store: "Store", cache: "Cache") -> list[Planned]:
    """What would become of each pairing."""
    return [_planned(pairing, store, cache) for pairing in pairings]


def show_plan(plan: "Sequence[Planned]") -> str:
    """One line per pairing; below, why pairings are skipped or cannot run."""
    head = ["task", "backbone", "mode", "protocol", "runs", "recorded", "to run", "estimated cost"]
    rows = [
        [p.task, p.backbone, p.mode, p.protocol, p.runs, p.recorded, p.to_run, p.state]
        for p in plan
    ]
    reasons = [f"{p.backbone} on {p.task}: {p.state}: {p.reason}" for p in plan if p.reason]
    if reasons:
        reasons.insert(0, "")
    return "\n".join([tabulate(rows, head), *reasons])


def _planned(pairing: "Pairing", store: "Store", cache: "Cache") -> Planned:
    record = pairing.record
    runs = pairing.ready.runs if pairing.ready else ()
    recorded = store.recorded(record.task) & {run.fingerprint for run in runs} if runs else ()
    plan = Planned(
        record.task,
        record.backbone,
        record.mode,
        record.protocol,
        runs=len(runs),
        recorded=len(recorded),
        state="",
    )
    if record.skipped:
        return replace(plan, state="skipped", reason=record.skipped)
    if pairing.failed:
        return replace(plan, state="cannot run", reason=pairing.failed)
    return replace(plan, state=_cost(pairing, store, cache, plan.to_run))


def _cost(pairing: "Pairing", store: "Store", cache: "Cache", todo: int) -> str:
    """From runs of the same pairing where there are any, else what is not known is said."""
    if not todo:
        return "nothing"
    assert pairing.ready
    missing = 0
    features = {
        f.fingerprint: f for run in pairing.ready.runs for f in run.system.features.values()
    }
    for feature in features.values():
        contents = set(pairing.ready.division.corpus.content.values())
        missing += (
            sum(cache.open(feature.fingerprint, c) is None for c in contents)
            if feature.cached
            else 0
        )
    about = f", {missing} features to compute" if missing else ", features cached"
    label = (pairing.record.backbone, pairing.record.mode, pairing.record.scale)
    known = [
        run.train_seconds
        for record in store.records([pairing.record.task])
        if (record.backbone, record.mode, record.scale) == label
        for run in record.runs
        if run.status == "ok"
    ]
    if not known:
        return f"{todo} trainings of unknown length{about}"
    return f"about {todo * sum(known) / len(known):.0f} s{about}"
