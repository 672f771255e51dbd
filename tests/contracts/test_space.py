"""Search spaces: sound for every backbone, and changed by `bench.toml` within what each option
allows.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.contracts.backbone import Backbone, Setup
from bench.contracts.recipe import Recipe
from bench.contracts.space import Choice, Range, changed, check, fine_tuning, probing
from bench.errors import UsageError
from bench.fingerprint import content, digest
from bench.runs.system import altered, recipe_of
from bench.settings import Settings, Tuning
from bench.settings_file import gather


def setup(backbone: Backbone, mode: Any, scale: Any = "full") -> Setup:
    return Setup(
        ("a", "b"),
        False,
        "en",
        mode,
        scale,
        "random",
        backbone.variant,
        backbone.options(),
    )


PAIRINGS = [
    pytest.param(backbone, mode, id=f"{backbone.name} {mode}")
    for backbone in registry.backbones(["all"], variants=True)
    for mode in ("finetune", "probe")
    if not backbone.refuses(setup(backbone, mode))
]


@pytest.mark.parametrize(("backbone", "mode"), PAIRINGS)
def test_a_backbones_space_is_of_its_own_options_and_holds_its_usual_recipe(
    backbone: Backbone, mode: str
) -> None:
    own = setup(backbone, mode)
    space, usual = (
        backbone.space(own),
        {**vars(backbone.recipe(own)), **vars(own.options)},
    )
    assert set(space) <= set(usual), (
        "a space names recipe fields and options of its backbone alone"
    )
    outside = [name for name, domain in space.items() if not domain.holds(usual[name])]
    assert outside in ([], ["cost"]), (
        "the first trial of a search is the usual recipe"
    )  # cost 0: a search of its own
    for name, domain in space.items():
        ends = (
            domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
        )
        kind: Any = own.options if hasattr(own.options, name) else backbone.recipe(own)
        known = next(f for f in dataclasses.fields(kind) if f.name == name).metadata
        for end in ends:
            assert known.get("low") is None or end >= known["low"], name
            assert known.get("high") is None or end <= known["high"], name
        assert not isinstance(domain, Range) or domain.low < domain.high


def test_a_rate_is_searched_by_orders_of_magnitude() -> None:
    for space in (fine_tuning(Recipe()), probing(Recipe())):
        rate = space["learning_rate"]
        assert isinstance(rate, Range)
        assert rate.log
        assert rate.high / rate.low >= 100


def from_toml(folder: Path, text: str) -> Settings:
    (folder / "bench.toml").write_text(text, encoding="utf-8")
    return gather({}, folder)


def test_bench_toml_narrows_widens_and_drops(tmp_path: Path) -> None:
    settings = from_toml(
        tmp_path,
        """
        [tune]
        trials = 7
        [space]
        learning_rate = { low = 1e-5, high = 1e-4, log = true }
        epochs = { low = 3, high = 9 }
        batch_size = [8, 16]
        warmup = false
        [space.byol-s]
        dropout = { low = 0.1, high = 0.2 }
        """,
    )
    assert Tuning(**settings.tune).trials == 7
    (byol, wav2vec2) = registry.backbones(["byol-s", "wav2vec2"])
    own = setup(byol, "finetune")
    space = changed(byol.space(own), settings.space, ("byol-s",), own.options)
    assert space["learning_rate"] == Range(1e-5, 1e-4, log=True)
    assert space["epochs"] == Range(3, 9, whole=True)
    assert space["batch_size"] == Choice((8, 16))
    assert space["dropout"] == Range(0.1, 0.2)
    assert "warmup" not in space
    assert "weight_decay" in space
    other = setup(wav2vec2, "finetune")
    assert changed(wav2vec2.space(other), settings.space, ("wav2vec2",), other.options)[
        "dropout"
    ] == Range(0.0, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[space]\nlearning_rat = [1.0]",
            "unknown option learning_rat (did you mean learning_rate?)",
        ),
        (
            "[space.byols]\ndropout = [0.1]",
            "no backbone is called byols (did you mean byol-s?)",
        ),
        (
            "[space]\nlearning_rate = { low = 1e-3, high = 1e-5 }",
            "low must be a number below high",
        ),
        (
            "[space]\nlearning_rate = { low = 0.0, high = 1e-5, log = true }",
            "above 0 where log is true",
        ),
        (
            "[space]\nlearning_rate = 3",
            "takes { low = ..., high = ..., log = true }, a list of values, or false",
        ),
        (
            "[space]\nlabel_smoothing = { low = 0.0, high = 2.0 }",
            "label_smoothing must be at most 0.99",
        ),
        ("[space]\noptimizer = ['adamm']", "must be one of adamw, adam, sgd"),
    ],
)
def test_a_wrong_space_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    settings = from_toml(tmp_path, text)
    (byol,) = registry.backbones(["byol-s"])
    own = setup(byol, "finetune")

    def read() -> None:
        check(settings.space, ["byol-s"], [*vars(Recipe()), *vars(own.options)])
        changed(byol.space(own), settings.space, ("byol-s",), own.options)

    with pytest.raises(UsageError, match=re.escape(said)):
        read()


def test_a_wrong_key_of_tune_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tune\.trails \(did you mean trials\?\)"):
        from_toml(tmp_path, "[tune]\ntrails = 3")


def test_values_of_a_trial_go_where_they_belong() -> None:
    from bench.runs.system import System

    (byol,) = registry.backbones(["byol-s"])
    own = setup(byol, "finetune", "tiny")
    system = System(
        own, recipe_of(Settings(scale="tiny"), byol, own, str), byol.features(own)
    )
    other = altered(
        byol, system, {"learning_rate": 0.5, "dropout": 0.4, "norm": "audioset"}
    )
    assert other.recipe.learning_rate == 0.5
    assert (other.setup.options.dropout, other.setup.options.norm) == (0.4, "audioset")
    assert other.features["logmel"].fingerprint != system.features["logmel"].fingerprint
    assert altered(byol, system, {"learning_rate": 0.5}).features is system.features


@pytest.mark.parametrize(
    "domain", [Range(1e-4, 1.0, log=True), Range(1, 9, whole=True), Choice(("a", 2))]
)
def test_a_domain_enters_the_name_of_a_search_as_it_always_has(
    domain: Range | Choice,
) -> None:
    assert digest(content(domain)) == digest(dataclasses.asdict(domain))
