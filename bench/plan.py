"""What a command will run: pairings of backbones and tasks, their folds and seeds, and the fingerprint of each run.

A fingerprint covers everything a run's predictions depend on. It is the unit of resume, distribution and tracking.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.backbone import Backbone, Setup
from bench.errors import BenchError, UsageError, suggest
from bench.feature import Feature, Weights, digest
from bench.recipe import Recipe
from bench.records import PairingRecord
from bench.settings import Settings, change
from bench.task import Fold, Task

if TYPE_CHECKING:
    from bench.corpus import Corpus

FINGERPRINT_VERSION = 1

Load = Callable[[Task], "Corpus"]
Precision = Callable[[str], str]  # what a recipe asks for -> what the device at hand gives


@dataclass(frozen=True)
class Run:
    """One fold and seed of a pairing."""

    fold: Fold
    seed: int
    fingerprint: str


@dataclass(frozen=True)
class Ready:
    """All that the runs of a pairing need."""

    corpus: "Corpus"
    setup: Setup
    recipe: Recipe
    features: Mapping[str, Feature]
    weights: Weights
    split: str  # hash of the protocol's folds
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Pairing:
    """A backbone on a task: ready to run, or the reason why it will not."""

    record: PairingRecord  # what the table will say of it
    backbone: Backbone
    task: Task
    key: str
    failed: str = ""  # why no run of it can start
    ready: Ready | None = None  # None where it is skipped or failed


@dataclass(frozen=True)
class Division:
    """A task's corpus under one protocol, checked."""

    corpus: "Corpus"
    protocol: str
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """The plugins that a command names, with every name and option checked."""

    backbones: Sequence[Backbone]
    tasks: Sequence[Task]


def select(settings: Settings) -> Selection:
    """Check all that needs no data: names, variants, options. Raises UsageError; imports nothing heavy."""
    registry.check(settings.backbone, settings.task)
    backbones = registry.backbones(settings.backbone, settings.variants)
    tasks = registry.tasks(settings.task)
    _check_options(settings, backbones)
    _check_names("--data", settings.data, [e for t in tasks for e in (t.name, _stem(t.name))], "task")
    _check_names("--weights", settings.weights, [n for b in backbones for n in (b.name, full_name(b))], "backbone")
    for backbone in backbones:
        for task in tasks:
            _recipe(settings, backbone, _setup(settings, backbone, task), str)
    if all(_no_protocol(task, settings.protocol) for task in tasks):
        raise UsageError("; ".join(_no_protocol(task, settings.protocol) for task in tasks))
    return Selection(backbones, tasks)


def plan(selection: Selection, settings: Settings, load: Load, precision: Precision) -> list[Pairing]:
    """Every pairing of the selection. A corpus that cannot be used fails its own pairings alone."""
    divisions = {task.name: _divide(task, settings, load) for task in selection.tasks}
    return [
        _pairing(settings, backbone, task, divisions[task.name], precision)
        for task in selection.tasks
        for backbone in selection.backbones
    ]


def full_name(backbone: Backbone) -> str:
    """The backbone's name with its variant, as typed."""
    return f"{backbone.name}:{backbone.variant}" if backbone.variant else backbone.name


def data_of(task: Task, data: Mapping[str, Path]) -> Path | None:
    """Where the user said the corpus is; `demo` serves for `demo:pitch` too."""
    return data.get(task.name) or data.get(_stem(task.name))


def divide(task: Task, corpus: "Corpus", protocol: str | None) -> Division:
    """The folds of a protocol, checked. Raises CorpusError."""
    from bench.leakage import check

    name = protocol or task.default_protocol
    chosen = task.protocols()[name]
    folds = tuple(chosen.split(corpus.clips, corpus.content))
    found = check(folds, corpus.clips, chosen, corpus.content)
    return Division(corpus, name, folds, (*corpus.caveats, *chosen.notes, *found))


def _no_protocol(task: Task, asked: str | None) -> str:
    """That the task does not offer the protocol; empty if it does."""
    offered, name = task.protocols(), asked or task.default_protocol
    hint = suggest(name, offered)
    return "" if name in offered else f"the task {task.name} has no protocol {name}{hint}; it has {', '.join(offered)}"


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
    settings: Settings, backbone: Backbone, task: Task, division: Division | BenchError | None, precision: Precision
) -> Pairing:
    setup = _setup(settings, backbone, task)
    changed = _chosen(settings, backbone)
    record = PairingRecord(
        task=task.name,
        backbone=full_name(backbone),
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


def _ready(settings: Settings, stub: Pairing, setup: Setup, division: Division, precision: Precision) -> Pairing:
    backbone, corpus = stub.backbone, division.corpus
    from bench.protocols import split_hash

    weights = backbone.weights(setup)
    usual, recipe = backbone.recipe(setup), _recipe(settings, backbone, setup, precision)
    features = backbone.features(setup)
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
    content = {
        "format": FINGERPRINT_VERSION,
        "backbone": [backbone.name, backbone.variant, backbone.version],
        "setup": [list(setup.labels), setup.multilabel, setup.language, setup.mode, setup.scale],
        "options": dataclasses.asdict(setup.options),
        "weights": weights.digest,
        "features": {name: feature.fingerprint for name, feature in features.items()},
        "recipe": dataclasses.asdict(recipe),
        "corpus": corpus.checksum,
        "protocol": division.protocol,
        **({"thresholds": "validation"} if setup.multilabel else {}),
    }
    runs = tuple(
        Run(fold, seed, digest({**content, "fold": split_hash([fold]), "seed": seed}))
        for fold in asked
        for seed in range(settings.seeds)
    )
    return dataclasses.replace(
        stub,
        record=record,
        key=digest(content),
        ready=Ready(corpus, setup, recipe, features, weights, split_hash(division.folds), runs),
    )


def _setup(settings: Settings, backbone: Backbone, task: Task) -> Setup:
    names = [f.name for f in dataclasses.fields(backbone.Options)]
    chosen = {k: v for k, v in _chosen(settings, backbone).items() if k in names}
    return Setup(
        labels=tuple(task.labels),
        multilabel=task.multilabel,
        language=task.languages[0] if task.languages else "",
        mode=settings.mode,
        scale=settings.scale,
        weights=settings.weights.get(full_name(backbone), settings.weights.get(backbone.name)),
        variant=backbone.variant,
        options=change(backbone.options(), chosen, f"options of {backbone.name}"),
    )


def _recipe(settings: Settings, backbone: Backbone, setup: Setup, precision: Precision) -> Recipe:
    """The backbone's recipe with the user's changes, its precision resolved for the device at hand."""
    names = [f.name for f in dataclasses.fields(Recipe)]
    chosen = {k: v for k, v in _chosen(settings, backbone).items() if k in names}
    usual = backbone.recipe(setup)
    if setup.multilabel and usual.monitor == "UA":  # a mean recall is best where everything is called present
        usual = dataclasses.replace(usual, monitor="F1 macro")
    recipe = change(usual, chosen, f"recipe of {backbone.name}")
    if settings.precision:
        recipe = dataclasses.replace(recipe, precision=settings.precision)
    return change(recipe, {"precision": precision(recipe.precision)}, "device")


def _chosen(settings: Settings, backbone: Backbone) -> dict[str, Any]:
    """What `--set` says that concerns this backbone: `key`, overridden by `backbone.key`."""
    names = {f.name for kind in (Recipe, backbone.Options) for f in dataclasses.fields(kind)}
    general = {k: v for k, v in settings.set.items() if k in names}
    own = {
        k.rpartition(".")[2]: v for k, v in settings.set.items() if _owner(k) in (backbone.name, full_name(backbone))
    }
    return {**general, **own}


def _check_options(settings: Settings, backbones: Sequence[Backbone]) -> None:
    """Raise UsageError for every `--set` key that no backbone of the command has."""
    recipe = [f.name for f in dataclasses.fields(Recipe)]
    own = {n: [f.name for f in dataclasses.fields(b.Options)] for b in backbones for n in (b.name, full_name(b))}
    every = sorted({*recipe, *(name for names in own.values() for name in names)})
    known = {*own, *registry.entries("backbone")}
    problems = []
    for key in settings.set:
        owner, name = _owner(key), key.rpartition(".")[2]
        if owner and owner not in known:
            problems.append(f"{key}: no backbone is called {owner}{suggest(owner, known)}")
        elif name not in (every if not owner else [*recipe, *own.get(owner, [name])]):
            problems.append(f"{key}{suggest(name, every)}")
    if problems:
        raise UsageError(f"--set names unknown options: {'; '.join(problems)}; there are {', '.join(every)}")


def _check_names(flag: str, given: Mapping[str, object], known: Sequence[str], kind: str) -> None:
    every = {*known, *registry.entries("backbone" if kind == "backbone" else "task")}
    wrong = [n for n in given if n not in every and _stem(n) not in every]
    if wrong:
        raise UsageError(f"{flag} names unknown {kind}s: {', '.join(n + suggest(n, every) for n in wrong)}")


def _differences(chosen: Mapping[str, str], usual: Mapping[str, Any]) -> dict[str, str]:
    """The user's own settings, without those that say what the backbone does anyway."""
    return {name: value for name, value in chosen.items() if value != str(usual[name])}


def _weights_label(given: str | None) -> str:
    """How a table names the user's weights: a hub id, or a file's name without its folder."""
    return "" if given is None else Path(given).name if Path(given).exists() else given


def _plain(record: PairingRecord) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(record).items() if k not in ("runs", "notes", "seeds")}


def _owner(key: str) -> str:
    return key.rpartition(".")[0]


def _stem(name: str) -> str:
    return name.partition(":")[0]
