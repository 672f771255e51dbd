"""What a command will run: pairings of backbones and tasks, their folds and seeds, and the
fingerprint of each run.

A fingerprint covers everything a run's predictions depend on. It is the unit of resume,
distribution and tracking.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.task import Task
from bench.contracts.weights import Weights
from bench.errors import BenchError, UsageError
from bench.fingerprint import content, digest
from bench.runs.division import Division, divide, lacks_protocol
from bench.runs.pairing import (
    Pairing,
    Ready,
    Run,
    code_digest,
    common_content,
    run_fingerprint,
)
from bench.runs.records import PairingRecord
from bench.runs.selection import Selection
from bench.runs.system import Precision, System, chosen, recipe_of, setup_of
from bench.runs.tuned import Search, tuned
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.data.corpus import Corpus

Load = Callable[[Task], "Corpus"]


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
    pairings = []
    for task in selection.tasks:
        division = _divide(task, settings, load)
        for backbone in selection.backbones:
            pairings.append(_pairing(settings, backbone, task, division, precision))
    return [tuned(pairing, search) for pairing in pairings] if search else pairings


def _divide(task: Task, settings: Settings, load: Load) -> Division | BenchError | None:
    """The task's division, or why there is none; None if it does not offer the protocol."""
    if lacks_protocol(task, settings.protocol):
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
    asked = _asked(settings, backbone, task, setup)
    key = digest(_asked_content(asked))
    skipped = lacks_protocol(task, settings.protocol) or backbone.refuses(setup)
    if skipped:
        record = dataclasses.replace(asked, skipped=skipped)
        return Pairing(record, backbone, task, key)
    assert division is not None
    if isinstance(division, BenchError):
        return Pairing(asked, backbone, task, key, failed=str(division))
    try:
        weights = backbone.weights(setup)
        recipe = recipe_of(settings, backbone, setup, precision)
        system = System(setup, recipe, backbone.features(setup))
    except UsageError:
        raise
    except BenchError as error:
        return Pairing(asked, backbone, task, key, failed=str(error))
    return _ready(settings, asked, backbone, task, division, weights, system)


def _asked(
    settings: Settings, backbone: Backbone, task: Task, setup: Setup
) -> PairingRecord:
    """The record of a pairing as far as the user's settings say it."""
    changed = {name: str(value) for name, value in chosen(settings, backbone).items()}
    usual = {**vars(backbone.recipe(setup)), **vars(backbone.options())}
    return PairingRecord(
        task=task.name,
        backbone=backbone.name,
        mode=settings.mode,
        protocol=settings.protocol or task.default_protocol,
        scale=settings.scale,
        weights=_weights_label(setup.weights),
        settings=_differences(changed, usual),
        labels=task.labels,
        positive=task.positive,
        version=backbone.version,
        manifest=task.table_digest,
        multilabel=task.multilabel,
        seeds=settings.seeds,
    )


def _asked_content(asked: PairingRecord) -> dict[str, Any]:
    """What the key of a pairing that cannot run is computed over."""
    left_out = ("runs", "notes", "seeds", "version", "manifest")
    return {
        name: value for name, value in content(asked).items() if name not in left_out
    }


def _ready(
    settings: Settings,
    asked: PairingRecord,
    backbone: Backbone,
    task: Task,
    division: Division,
    weights: Weights,
    system: System,
) -> Pairing:
    """The pairing with its runs."""
    folds = division.folds[: settings.folds]
    untrained = weights.random and backbone.pretrained and settings.scale == "full"
    record = dataclasses.replace(
        asked,
        weights="random" if untrained else asked.weights,
        folds_asked=len(folds),
        folds_expected=len(division.folds),
        clips_missing=len(division.corpus.missing),
        corpus=division.corpus.checksum,
        split=division.split,
        code=code_digest(backbone, system),
        sketch=_sketch(task, division),
        notes=division.notes,
    )
    common = common_content(backbone, task, division, weights, system)
    runs = []
    for fold in folds:
        for seed in range(settings.seeds):
            mark = run_fingerprint(common, division.hashes[fold.name], seed)
            runs.append(Run(fold, seed, system, mark))
    ready = Ready(division, weights, system, tuple(runs))
    return Pairing(record, backbone, task, key=digest(common), ready=ready)


def _sketch(task: Task, division: Division) -> str:
    """The sketch of a manifest's corpus; other tasks have names of their own."""
    if not task.table_digest:
        return ""
    from bench.data.sketch import sketch

    return sketch(division.corpus.content.values(), task.private)


def _differences(chosen: Mapping[str, str], usual: Mapping[str, Any]) -> dict[str, str]:
    """The user's own settings, without those that say what the backbone does anyway."""
    return {name: value for name, value in chosen.items() if value != str(usual[name])}


def _weights_label(given: str | None) -> str:
    """How a table names the user's weights: a hub id, or a file's name without its folder."""
    if given is None:
        return ""
    path = Path(given)
    return path.name if path.exists() else given
