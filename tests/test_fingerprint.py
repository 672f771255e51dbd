"""What enters a fingerprint: added fields repeat nothing, and names of others are not ours."""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import backbones
import bench
from bench import registry
from bench.contracts.backbone import Backbone, NoOptions, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.weights import RANDOM
from bench.features.signal import Mfcc
from bench.fingerprint import content, origin
from bench.options import option
from bench.runs.division import Division
from bench.runs.pairing import Pairing, Ready, fingerprint
from bench.runs.records import PairingRecord
from bench.runs.system import System
from bench.testing import tiny_setup
from tests.helpers import tones


def extended(kind: type) -> type:
    """The same class after somebody has added a field."""
    longer = dataclasses.make_dataclass(
        kind.__name__,
        [("added", int, option(7, "a field that was added later"))],
        bases=(kind,),
        namespace={"__module__": kind.__module__, "founding": ()},
        frozen=True,
    )
    longer.__qualname__ = kind.__qualname__
    return longer


def built_in() -> Iterator[type]:
    """Every feature and every backbone's options in our packages."""
    modules: list[ModuleType] = []
    for package in (bench, backbones):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                modules.append(importlib.import_module(found.name))
    classes = [
        c for module in modules for c in vars(module).values() if isinstance(c, type)
    ]
    for kind in dict.fromkeys(classes):
        if issubclass(kind, Feature) and kind is not Feature and not origin(kind):
            yield kind
    for name in registry.entries("backbone"):
        yield registry.backbones([name])[0].Options


def system(options: Any, recipe: Recipe) -> System:
    setup = dataclasses.replace(
        tiny_setup(registry.backbones(["hubert"])[0]), options=options
    )
    return System(setup, recipe, {"mfcc": Mfcc()})


def test_our_classes_say_which_fields_they_were_released_with() -> None:
    missing = []
    for kind in [*dict.fromkeys(built_in()), Recipe, PairingRecord]:
        for owner in kind.__mro__:
            fields = inspect.get_annotations(owner).keys() - {
                "version",
                "cached",
                "pooled",
            }
            if fields and "founding" not in vars(owner):
                missing.append(owner)
    assert missing == []


def test_features_of_ours_have_a_name_each() -> None:
    features = [k for k in dict.fromkeys(built_in()) if issubclass(k, Feature)]
    names = [k.__qualname__ for k in features if not k.__name__.startswith("_")]
    assert len(names) == len(set(names))


def test_an_added_recipe_field_counts_once_it_differs() -> None:
    options, longer = NoOptions(), extended(Recipe)
    before = system(options, Recipe(epochs=3)).content
    assert system(options, longer(epochs=3)).content == before
    changed = system(options, longer(epochs=3, added=8)).content
    assert changed["recipe"] == {**before["recipe"], "added": 8}


def test_an_added_option_counts_once_it_differs() -> None:
    kind = registry.backbones(["hubert"])[0].Options
    longer = extended(kind)
    before = system(kind(dropout=0.3), Recipe()).content
    assert system(longer(dropout=0.3), Recipe()).content == before
    changed = system(longer(dropout=0.3, added=8), Recipe()).content
    assert changed["options"] == {**before["options"], "added": 8}


def test_an_added_feature_field_counts_once_it_differs() -> None:
    longer = extended(Mfcc)
    assert longer(coefficients=12).fingerprint == Mfcc(coefficients=12).fingerprint
    assert (
        longer(coefficients=12, added=8).fingerprint
        != Mfcc(coefficients=12).fingerprint
    )


def test_an_added_field_of_a_record_opens_no_second_pairing() -> None:
    values = {
        "task": "t",
        "backbone": "b",
        "mode": "probe",
        "protocol": "p",
        "scale": "tiny",
    }
    longer = extended(PairingRecord)
    assert content(longer(**values)) == content(PairingRecord(**values))


def test_every_field_enters_where_none_is_founding() -> None:
    @dataclasses.dataclass
    class Theirs:
        a: int = 1
        b: list[int] = dataclasses.field(default_factory=list)

    assert content(Theirs()) == {"a": 1, "b": []}
    Theirs.founding = ("a",)  # type: ignore[attr-defined]
    assert content(Theirs()) == {"a": 1}
    assert content(Theirs(b=[1])) == {"a": 1, "b": [1]}


def test_a_feature_of_somebody_else_has_another_name() -> None:
    theirs = {}
    for module in ("bench.features.signal", "acme.features", "other.features"):
        kind: Any = type(
            "Mfcc", (Mfcc,), {"__qualname__": "Mfcc", "__module__": module}
        )
        theirs[module] = kind().fingerprint
    assert theirs["bench.features.signal"] == Mfcc().fingerprint
    assert len(set(theirs.values())) == 3


def test_a_backbone_of_somebody_else_has_other_runs(tmp_path: Path) -> None:
    ours = registry.backbones(["mfcc-stats"])[0]
    corpus, _ = tones(tmp_path)
    (fold, *_) = folds = corpus.task.protocols()["speaker"].split(
        corpus.clips, corpus.content
    )
    setup = Setup(
        corpus.task.labels, False, "en", "finetune", "tiny", None, "", ours.options()
    )
    trained = System(setup, ours.recipe(setup), ours.features(setup))
    division = Division(corpus, "speaker", tuple(folds), "", {fold.name: ""}, ())
    ready = Ready(division, RANDOM, trained, ())
    record = PairingRecord("tones", "mfcc-stats", "finetune", "speaker", "tiny")

    def run(backbone: Backbone) -> str:
        pairing = Pairing(record, backbone, corpus.task, key="", ready=ready)
        return fingerprint(pairing, trained, fold, seed=0)

    same: Any = type("MfccStats", (type(ours),), {"__module__": type(ours).__module__})
    theirs: Any = type("MfccStats", (type(ours),), {"__module__": "acme.backbones"})
    assert run(same("mfcc-stats")) == run(ours)
    assert run(theirs("mfcc-stats")) != run(ours)
