"""The plan that `--dry-run` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from bench.data.cache import Cache
    from bench.runs.pairing import Pairing
    from bench.runs.store import Store


def show_plan(pairings: "Sequence[Pairing]", store: "Store", cache: "Cache") -> str:
    """One line per pairing: runs, what is recorded, what is skipped or cannot run and why, and the
    likely cost.
    """
    rows, reasons = [], []
    for pairing in pairings:
        record, runs = pairing.record, pairing.ready.runs if pairing.ready else ()
        recorded = store.recorded(record.task) & {r.fingerprint for r in runs} if runs else set()
        todo = len(runs) - len(recorded)
        if reason := record.skipped or pairing.failed:
            state = "skipped" if record.skipped else "cannot run"
            reasons.append(f"{record.backbone} on {record.task}: {state}: {reason}")
        else:
            state = _cost(pairing, store, cache, todo)
        rows.append(
            [
                record.task,
                record.backbone,
                record.mode,
                record.protocol,
                len(runs),
                len(recorded),
                todo,
                state,
            ]
        )
    head = ["task", "backbone", "mode", "protocol", "runs", "recorded", "to run", "estimated cost"]
    return "\n".join([tabulate(rows, head), *([""] if reasons else []), *reasons])


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
        contents = set(pairing.ready.corpus.content.values())
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
