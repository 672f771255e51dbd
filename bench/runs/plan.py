"""What a command will run: pairings of backbones and tasks, their folds and seeds, and the
fingerprint of each run.

A fingerprint covers everything a run's predictions depend on. It is the unit of resume,
distribution and tracking.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.contracts.backbone import Backbone, Setup
from bench.contracts.task import Fold, Task
from bench.errors import BenchError, UsageError, suggest
from bench.fingerprint import content, digest
from bench.options import stem
from bench.runs.pairing import Pairing, Ready, Run, _content, fingerprint
from bench.runs.records import PairingRecord, Tuned
from bench.runs.system import (
    Precision,
    System,
    altered,
    check_options,
    chosen,
    recipe_of,
    setup_of,
)
from bench.settings import Settings, check_task_named

if TYPE_CHECKING:
    from bench.data.corpus import Corpus


Load = Callable[[Task], "Corpus"]
Search = Callable[
    [str, str], Tuned | None
]  # a task's name, the key of a pairing -> what its search chose


@dataclass(frozen=True)
class Division:
    """A task's corpus under one protocol, checked."""

    corpus: "Corpus"
    protocol: str
    folds: tuple[Fold, ...]
    split: str  # their hash
    hashes: Mapping[
        str, str
        # of each alone, by name: hashing thousands of clips for each run would cost more than all else
    ]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """The plugins that a command names, with every name and option checked."""

    backbones: Sequence[Backbone]
    tasks: Sequence[Task]


def select(settings: Settings, own: Selection | None = None) -> Selection:
    """Check all that needs no data: names, variants, options. Imports nothing heavy.

    `own`: what the user passed as objects; the settings name them beside registered plugins.
    Raises UsageError.
    """
    check_task_named(settings)
    own = own or Selection((), ())
    own_backbones = {backbone.name for backbone in own.backbones}
    own_tasks = {task.name for task in own.tasks}
    backbone_names = [name for name in settings.backbone if name not in own_backbones]
    task_names = [name for name in settings.task if name not in own_tasks]
    registry.check(backbone_names, task_names)
    backbones = [*registry.backbones(backbone_names, settings.variants), *own.backbones]
    tasks = [*registry.tasks(task_names), *own.tasks]
    check_options(settings, backbones)
    _check_names("--data", settings.data, [n for t in tasks for n in t.names], "task")
    _check_names(
        "--weights",
        settings.weights,
        [n for b in backbones for n in b.names],
        "backbone",
    )
    for backbone in backbones:
        for task in tasks:
            recipe_of(settings, backbone, setup_of(settings, backbone, task), str)
    if all(_no_protocol(task, settings.protocol) for task in tasks):
        raise UsageError("; ".join(_no_protocol(task, settings.protocol) for task in tasks))
    return Selection(backbones, tasks)


def plan(
    selection: Selection,
    settings: Settings,
    load: Load,
    precision: Precision,
    search: Search | None = None,
) -> list[Pairing]:
    """Every pairing of the selection. A corpus that cannot be used fails its own pairings alone.

    `search` finds what `bench tune` chose, for settings that ask for tuned recipes.
    """
    divisions = {task.name: _divide(task, settings, load) for task in selection.tasks}
    pairings = [
        _pairing(settings, backbone, task, divisions[task.name], precision)
        for task in selection.tasks
        for backbone in selection.backbones
    ]
    return [tuned(p, search) for p in pairings] if search else pairings


def tuned(pairing: Pairing, search: Search) -> Pairing:
    """The pairing with the recipe and options that a search chose for each fold; failed if there
    was no search.
    """
    name, ready = pairing.backbone.name, pairing.ready
    if ready is None:
        return pairing
    found = search(pairing.task.name, pairing.key)
    if found is None:
        reason = f"no search of it is recorded: `bench tune -b {name} -t {pairing.task.name}`, with the same options, first"
        return dataclasses.replace(
            pairing, ready=None, failed=reason, record=_as_tuned(pairing.record, None)
        )
    systems = {
        fold: altered(pairing.backbone, ready.system, values)
        for fold, values in found.choices.items()
    }
    if lacking := [
        run.fold.name for run in ready.runs if "" not in systems and run.fold.name not in systems
    ]:
        reason = f"its search covers the folds {', '.join(systems)}, not {', '.join(dict.fromkeys(lacking))}: search more"
        return dataclasses.replace(
            pairing, ready=None, failed=reason, record=_as_tuned(pairing.record, None)
        )
    runs = []
    for run in ready.runs:
        system = systems.get(run.fold.name) or systems[""]
        runs.append(
            Run(
                run.fold,
                run.seed,
                system,
                fingerprint(pairing, system, run.fold, run.seed, found.study),
            )
        )
    return dataclasses.replace(
        pairing,
        key=digest([pairing.key, found.study]),
        ready=dataclasses.replace(ready, runs=tuple(runs)),
        record=_as_tuned(pairing.record, found),
    )


def divide(task: Task, corpus: "Corpus", protocol: str | None) -> Division:
    """The folds of a protocol, checked. Raises CorpusError."""
    from bench.splits.leakage import check
    from bench.splits.protocols import split_hash

    name = protocol or task.default_protocol
    chosen = task.protocols()[name]
    folds = tuple(chosen.split(corpus.clips, corpus.content))
    found = check(folds, corpus.clips, chosen, corpus.content)
    hashes = {fold.name: split_hash([fold]) for fold in folds}
    return Division(
        corpus, name, folds, split_hash(folds), hashes, (*corpus.caveats, *chosen.notes, *found)
    )


def _no_protocol(task: Task, asked: str | None) -> str:
    """That the task does not offer the protocol; empty if it does."""
    offered, name = task.protocols(), asked or task.default_protocol
    hint = suggest(name, offered)
    return (
        ""
        if name in offered
        else f"the task {task.name} has no protocol {name}{hint}; it has {', '.join(offered)}"
    )


def _divide(task: Task, settings: Settings, load: Load) -> Division | BenchError | None:
    """None where there is nothing to divide, since the task does not offer the protocol."""
    if _no_protocol(task, settings.protocol):
        return None
    try:
        return divide(task, load(task), settings.protocol)
    except UsageError:
        raise
    except BenchError as error:
        return error


def _pairing(
    settings: Settings,
    backbone: Backbone,
    task: Task,
    division: Division | BenchError | None,
    precision: Precision,
) -> Pairing:
    setup = setup_of(settings, backbone, task)
    changed = chosen(settings, backbone)
    record = PairingRecord(
        task=task.name,
        backbone=backbone.name,
        mode=settings.mode,
        protocol=settings.protocol or task.default_protocol,
        scale=settings.scale,
        weights=_weights_label(setup.weights),
        settings={k: str(v) for k, v in changed.items()},
        labels=task.labels,
        positive=task.positive,
        multilabel=task.multilabel,
        seeds=settings.seeds,
    )
    stub = Pairing(record, backbone, task, key=digest(_plain(record)))
    if reason := _no_protocol(task, settings.protocol) or backbone.refuses(setup):
        return dataclasses.replace(stub, record=dataclasses.replace(record, skipped=reason))
    assert division is not None
    if isinstance(division, BenchError):
        return dataclasses.replace(stub, failed=str(division))
    try:
        return _ready(settings, stub, setup, division, precision)
    except UsageError:
        raise
    except BenchError as error:
        return dataclasses.replace(stub, failed=str(error))


def _ready(
    settings: Settings, stub: Pairing, setup: Setup, division: Division, precision: Precision
) -> Pairing:
    backbone, corpus = stub.backbone, division.corpus
    weights = backbone.weights(setup)
    usual, recipe = backbone.recipe(setup), recipe_of(settings, backbone, setup, precision)
    system = System(setup, recipe, backbone.features(setup))
    asked = division.folds[: settings.folds]
    random = backbone.pretrained and weights.random and settings.scale == "full"
    record = dataclasses.replace(
        stub.record,
        weights="random" if random else stub.record.weights,
        folds_asked=len(asked),
        folds_expected=len(division.folds),
        clips_missing=len(corpus.missing),
        notes=division.notes,
        settings=_differences(stub.record.settings, {**vars(usual), **vars(backbone.options())}),
    )
    d = division
    ready = Ready(corpus, weights, d.protocol, d.folds, d.split, d.hashes, system, ())
    pairing = dataclasses.replace(
        stub, record=record, key=digest(_content(stub, ready, system)), ready=ready
    )
    runs = tuple(
        Run(fold, seed, system, fingerprint(pairing, system, fold, seed))
        for fold in asked
        for seed in range(settings.seeds)
    )
    return dataclasses.replace(pairing, ready=dataclasses.replace(ready, runs=runs))


def _as_tuned(record: PairingRecord, found: Tuned | None) -> PairingRecord:
    if found is None:
        return dataclasses.replace(record, recipe="tuned")
    return dataclasses.replace(
        record, recipe=f"tuned ({found.trials} trials)", notes=(*record.notes, *found.notes)
    )


def _check_names(flag: str, given: Mapping[str, object], known: Sequence[str], kind: str) -> None:
    every = {*known, *registry.entries("backbone" if kind == "backbone" else "task")}
    wrong = [n for n in given if n not in every and stem(n) not in every]
    if wrong:
        raise UsageError(
            f"{flag} names unknown {kind}s: {', '.join(n + suggest(n, every) for n in wrong)}"
        )


def _differences(chosen: Mapping[str, str], usual: Mapping[str, Any]) -> dict[str, str]:
    """The user's own settings, without those that say what the backbone does anyway."""
    return {name: value for name, value in chosen.items() if value != str(usual[name])}


def _weights_label(given: str | None) -> str:
    """How a table names the user's weights: a hub id, or a file's name without its folder."""
    return "" if given is None else Path(given).name if Path(given).exists() else given


def _plain(record: PairingRecord) -> dict[str, Any]:
    return {k: v for k, v in content(record).items() if k not in ("runs", "notes", "seeds")}
