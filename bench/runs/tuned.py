"""Pairings with the recipes and options that a search chose."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from bench.fingerprint import digest
from bench.runs.pairing import Pairing, Ready, Run, fingerprint
from bench.runs.records import PairingRecord, Tuned
from bench.runs.system import System, altered

# a task's name, the key of a pairing -> what its search chose, None if no search is recorded
Search = Callable[[str, str], Tuned | None]


def tuned(pairing: Pairing, search: Search) -> Pairing:
    """The pairing with what a search chose for each fold; failed if there is no such search."""
    ready = pairing.ready
    if ready is None:
        return pairing
    found = search(pairing.task.name, pairing.key)
    if found is None:
        return _untuned(pairing, _not_searched(pairing))
    systems = {
        fold: altered(pairing.backbone, ready.system, values)
        for fold, values in found.choices.items()
    }
    lacking = _folds_without(systems, ready)
    if lacking:
        reason = (
            f"its search covers the folds {', '.join(systems)}, not {', '.join(lacking)}: "
            f"search more"
        )
        return _untuned(pairing, reason)
    runs = tuple(_tuned_run(pairing, run, systems, found.study) for run in ready.runs)
    return dataclasses.replace(
        pairing,
        key=digest([pairing.key, found.study]),
        ready=dataclasses.replace(ready, runs=runs),
        record=_tuned_record(pairing.record, found),
    )


def _not_searched(pairing: Pairing) -> str:
    command = f"bench tune -b {pairing.backbone.name} -t {pairing.task.name}"
    return f"no search of it is recorded: `{command}`, with the same options, first"


def _untuned(pairing: Pairing, reason: str) -> Pairing:
    record = dataclasses.replace(pairing.record, recipe="tuned")
    return dataclasses.replace(pairing, ready=None, failed=reason, record=record)


def _folds_without(systems: Mapping[str, System], ready: Ready) -> Iterable[str]:
    """The folds for which a search chose nothing, each once; "" stands for all of them."""
    if "" in systems:
        return []
    folds = dict.fromkeys(run.fold.name for run in ready.runs)
    return [fold for fold in folds if fold not in systems]


def _tuned_run(
    pairing: Pairing, run: Run, systems: Mapping[str, System], study: str
) -> Run:
    system = systems.get(run.fold.name) or systems[""]
    mark = fingerprint(pairing, system, run.fold, run.seed, study)
    return Run(run.fold, run.seed, system, mark)


def _tuned_record(record: PairingRecord, found: Tuned) -> PairingRecord:
    recipe = f"tuned ({found.trials} trials)"
    return dataclasses.replace(
        record, recipe=recipe, notes=(*record.notes, *found.notes)
    )
