"""Large grids: every run of its own fingerprint, the same each time, and the same as ever."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import registry
from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.weights import Weights
from bench.options import option
from bench.runs.pairing import Pairing, fingerprint
from bench.runs.records import Tuned
from bench.runs.system import System, altered
from bench.runs.tuned import tuned
from benchmarks import scale

FOLDS = 5  # of every task there


@dataclass(frozen=True)
class Level(Feature):
    window: float
    weights: Weights

    def extract(self, waveforms: Any, device: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Few:
    window: float = option(0.025, "s", low=0)


class Plain(Backbone):
    """A backbone whose fingerprints change with the harness's own rules alone."""

    summary = reads = citation = licence = "of the tests"
    Options = Few

    def recipe(self, setup: Setup) -> Recipe:
        return Recipe()

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        return {"level": Level(setup.options.window, Weights("somewhere", "d1"))}

    def network(self, setup: Setup) -> Any:
        raise NotImplementedError


# as if they were of our own: the module and the source of others enter their fingerprints
Level.__module__ = Feature.__module__
Plain.__module__ = Backbone.__module__


def plain() -> tuple[Pairing, System]:
    """A pairing on a made-up corpus, its folds' hashes set: how scikit-learn makes folds is not
    looked at here.
    """
    task = scale.MadeUp("frozen", "en", 60, 6, 3, 1.0)
    (pairing,) = scale.pairings([task], [Plain("plain")], 2)
    assert pairing.ready
    hashes = dict.fromkeys(pairing.ready.division.hashes, "0" * 32)
    division = dataclasses.replace(pairing.ready.division, hashes=hashes)
    ready = dataclasses.replace(pairing.ready, division=division)
    return dataclasses.replace(pairing, ready=ready), ready.system


def test_every_trial_of_every_run_has_its_own_fingerprint_and_keeps_it() -> None:
    backbones = registry.backbones(["mfcc-stats", "byol-s", "hubert"])
    tasks, seeds, trials = scale.TASKS[:2], 2, 5
    store = scale.SimulatedStore()
    first = scale.go_through(tasks, backbones, seeds, trials, store)
    runs = len(tasks) * len(backbones) * FOLDS * seeds * trials
    assert (first.runs, first.found) == (runs, 0)
    assert len(set().union(*store.runs.values())) == runs
    again = scale.go_through(tasks, backbones, seeds, trials, store)
    assert (again.runs, again.found) == (runs, runs)
    assert len(set().union(*store.runs.values())) == runs


def test_the_first_trial_is_the_run_that_is_planned() -> None:
    tasks, backbones, store = scale.TASKS[:1], [Plain("plain")], scale.SimulatedStore()
    scale.go_through(tasks, backbones, 2, 1, store)
    (pairing,) = scale.pairings(tasks, backbones, 2)
    assert pairing.ready
    assert store.recorded(tasks[0].name) == {
        run.fingerprint for run in pairing.ready.runs
    }


def test_fingerprints_are_what_they_always_were() -> None:
    """A change here makes all that anybody has recorded run again: let there be a reason in
    FINGERPRINT_VERSION.
    """
    pairing, system = plain()
    assert pairing.ready
    fold = pairing.ready.division.folds[0]
    rate = altered(pairing.backbone, system, {"learning_rate": 1e-4})
    both = altered(pairing.backbone, system, {"learning_rate": 1e-4, "window": 0.05})
    assert pairing.key == "d4f152cfe364ef3b19716cc174a3f552"
    assert fingerprint(pairing, system, fold, 0) == "07c6accac4472352892b754685589e9f"
    assert fingerprint(pairing, system, fold, 1) == "f9acd8054d84f36fc3df43697f1522f2"
    assert (
        fingerprint(pairing, system, fold, 1, "study")
        == "f5bdb1b19029648b0d48f2e5bb4952d4"
    )
    assert fingerprint(pairing, rate, fold, 0) == "0640845b9d59e5423d630e9b3365f6ba"
    assert fingerprint(pairing, both, fold, 0) == "8840565ab01d1d8e985846cfa3a79164"


def test_runs_share_their_systems() -> None:
    """Memory then grows with the recipes there are, not with folds and seeds."""
    pairing, system = plain()
    assert pairing.ready
    assert {id(run.system) for run in pairing.ready.runs} == {id(system)}
    choices = {
        fold.name: {"window": 0.01 * int(fold.name)}
        for fold in pairing.ready.division.folds
    }
    found = tuned(pairing, lambda task, key: Tuned("study", 30, choices, ()))
    assert found.ready
    assert len(found.ready.runs) == FOLDS * 2
    assert len({id(run.system) for run in found.ready.runs}) == FOLDS
    assert len({run.fingerprint for run in found.ready.runs}) == FOLDS * 2
