"""Heads trained at once end where each ends alone; one that diverges or stops leaves the others as
they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs, Padded
from bench.contracts.clip import Clip, Recording
from bench.contracts.recipe import Recipe, probe_recipe
from bench.search import parallel_heads
from bench.search.parallel_heads import HeadScore, supports, train_heads
from bench.training.batching import Examples
from bench.training.job import TrainingJob, TrainingState
from bench.training.layers import Head, LayerProbe, MeanClassifier
from bench.training.loop import train

CPU = torch.device("cpu")
LABELS = ("calm", "angry", "sad", "happy")
BASE = replace(probe_recipe(), epochs=4, batch_size=16, precision="fp32")


@dataclass
class Arrays:
    """A feature held in memory, with what `Examples` asks of an extracted one."""

    arrays: dict[str, np.ndarray]

    def array(self, clip: str) -> np.ndarray:
        return self.arrays[clip]

    def frames(self, clip: str) -> int:
        return len(self.arrays[clip])

    def seconds(self, clip: str) -> float:
        return 0.0


def part(
    clips: int, seed: int, multilabel: bool = False, frames: tuple[int, int] = (1, 1)
) -> Examples:
    """Clips of three layers of eight dimensions, unevenly spread over classes that overlap."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(len(LABELS), 3, 8))
    made: list[Clip] = []
    arrays: dict[str, np.ndarray] = {}
    for n in range(clips):
        which = draw.choice(
            4,
            size=draw.integers(1, 3) if multilabel else 1,
            replace=False,
            p=[0.5, 0.25, 0.15, 0.1],
        )
        name = f"{seed}_{n}"
        made.append(
            Clip(name, Recording(Path(name)), tuple(LABELS[i] for i in which), "s")
        )
        shape = (int(draw.integers(frames[0], frames[1] + 1)), 3, 8)
        arrays[name] = (0.4 * centres[which].sum(0) + draw.normal(size=shape)).astype(
            np.float32
        )
    features: Any = {"states": Arrays(arrays)}
    return Examples(made, LABELS, multilabel, features)


def probe() -> nn.Module:
    return LayerProbe("states", 3, 8, 4)


class Dropped(LayerProbe):
    """A network of its own, with dropouts before and after what differs between heads."""

    def __init__(self) -> None:
        super().__init__("states", 3, 8, 4)
        self.head = Head(8, 4, 0.3)

    def forward(self, inputs: Inputs) -> Tensor:
        states = self.standardise(inputs["states"].mean())
        return self.head(torch.einsum("l,bld->bd", self.shares(), states))


class Wide(MeanClassifier):
    def __init__(self) -> None:
        super().__init__("states", 24, 4)

    def calibrate(self, inputs: Any) -> None:
        super().calibrate({"states": flat(i["states"])} for i in inputs)

    def forward(self, inputs: Inputs) -> Tensor:
        return super().forward({"states": flat(inputs["states"])})


def flat(padded: Padded) -> Padded:
    return Padded(padded.values.flatten(2), padded.lengths)


def alone(
    make: Callable[[], nn.Module],
    recipe: Recipe,
    parts: tuple[Examples, Examples],
    folder: Path,
) -> TrainingState:
    torch.manual_seed(5)
    return train(
        TrainingJob(make(), recipe, *parts, 5, CPU, lambda *_: None, folder / "c.pt")
    )


def same(head: HeadScore, state: TrainingState) -> None:
    assert len(head.history) == state.epoch
    for ours, theirs in zip(head.history, state.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert head.best_epoch == state.best_epoch
    assert not head.diverged
    best = {
        k: v
        for k, v in state.history[state.best_epoch - 1].items()
        if k != "train loss"
    }
    assert head.scores == pytest.approx(best, abs=1e-4)


RECIPES = {
    "probe": BASE,
    "adamw, linear, warm-up": replace(
        BASE,
        optimizer="adamw",
        schedule="linear",
        warmup=0.3,
        learning_rate=0.02,
        weight_decay=0.5,
    ),
    "sgd, constant": replace(
        BASE,
        optimizer="sgd",
        schedule="constant",
        learning_rate=0.03,
        weight_decay=0.02,
    ),
    "exponential": replace(
        BASE, schedule="exponential", decay=0.5, learning_rate=0.03, monitor="WA"
    ),
    "clipped, smoothed": replace(
        BASE, clip_norm=0.1, label_smoothing=0.2, optimizer="sgd", learning_rate=0.3
    ),
    "unclipped, unbalanced": replace(
        BASE, clip_norm=0.0, class_weights="none", monitor="last"
    ),
    "smoothed, unbalanced": replace(
        BASE, class_weights="none", label_smoothing=0.1, monitor="F1 weighted"
    ),
    "shorter": replace(BASE, epochs=2),
    "impatient": replace(
        BASE, epochs=12, patience=2, learning_rate=0.5, optimizer="adamw", monitor="UA"
    ),
    "other batches": replace(BASE, batch_size=10, monitor="F1 macro"),
    "larger than the part": replace(BASE, batch_size=500),
    "accumulated": replace(
        BASE,
        batch_size=7,
        accumulate=3,
        optimizer="sgd",
        learning_rate=0.1,
        clip_norm=0.0,
    ),
    "a share": replace(BASE, epoch_share=0.4),
}


@pytest.fixture(scope="module")
def parts() -> tuple[Examples, Examples]:
    return part(90, 1), part(40, 2)


@pytest.fixture(scope="module")
def heads(parts: tuple[Examples, Examples]) -> dict[str, HeadScore]:
    return dict(
        zip(
            RECIPES,
            train_heads(probe, list(RECIPES.values()), *parts, 5, CPU),
            strict=True,
        )
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_head_among_others_is_what_it_is_alone(
    name: str,
    heads: dict[str, HeadScore],
    parts: tuple[Examples, Examples],
    tmp_path: Path,
) -> None:
    same(heads[name], alone(probe, RECIPES[name], parts, tmp_path))


def test_heads_differ_by_their_recipes(heads: dict[str, HeadScore]) -> None:
    assert len({head.history[-1]["loss"] for head in heads.values()}) == len(heads)
    assert len(heads["shorter"].history) == 2
    assert len(heads["impatient"].history) == heads["impatient"].best_epoch + 2 < 12


@pytest.mark.parametrize("make", [Dropped, Wide])
def test_networks_of_other_kinds(
    make: Callable[[], nn.Module], parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    recipes = [BASE, replace(BASE, learning_rate=0.02)]
    for head, recipe in zip(
        train_heads(make, recipes, *parts, 5, CPU), recipes, strict=True
    ):
        same(head, alone(make, recipe, parts, tmp_path))


def test_several_labels_per_clip(tmp_path: Path) -> None:
    parts = part(90, 3, multilabel=True), part(40, 4, multilabel=True)
    recipes = [
        replace(BASE, monitor="F1 macro"),
        replace(BASE, class_weights="none", optimizer="adamw", label_smoothing=0.1),
    ]
    for head, recipe in zip(
        train_heads(probe, recipes, *parts, 5, CPU), recipes, strict=True
    ):
        assert "F1 micro" in head.scores
        same(head, alone(probe, recipe, parts, tmp_path))


@pytest.mark.parametrize("held", [2**30, 0])
def test_clips_of_unequal_length_and_parts_too_large_for_memory(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_heads, "HELD", held)
    parts = part(60, 6, frames=(1, 9)), part(20, 7, frames=(1, 9))
    recipes = [BASE, replace(BASE, learning_rate=0.02)]
    for head, recipe in zip(
        train_heads(Dropped, recipes, *parts, 5, CPU), recipes, strict=True
    ):
        same(head, alone(Dropped, recipe, parts, tmp_path))


def test_a_head_that_diverges_is_told_and_hurts_no_other(
    heads: dict[str, HeadScore], parts: tuple[Examples, Examples]
) -> None:
    wild = replace(
        BASE, optimizer="sgd", schedule="constant", learning_rate=1e30, clip_norm=0.0
    )
    bad, good = train_heads(probe, [wild, BASE], *parts, 5, CPU)
    assert (bad.diverged, bad.best_epoch, bad.scores, bad.history) == (True, 0, {}, [])
    assert not good.diverged
    assert len(good.history) == BASE.epochs
    for ours, theirs in zip(good.history, heads["probe"].history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_all_heads_may_diverge(parts: tuple[Examples, Examples]) -> None:
    wild = replace(
        BASE, optimizer="sgd", schedule="constant", learning_rate=1e30, clip_norm=0.0
    )
    assert all(head.diverged for head in train_heads(probe, [wild] * 2, *parts, 5, CPU))
    assert train_heads(probe, [], *parts, 5, CPU) == []


class Fitted(LayerProbe):
    def fit(self, *_: Any) -> None: ...


class ByPart(LayerProbe):
    """Logits of each frame of a clip."""

    def forward(self, inputs: Inputs) -> Any:
        states = inputs["states"]
        return Padded(self.classify(states.values.mean(2)), states.lengths)


class Normalised(LayerProbe):
    """Batch statistics of what a trained layer gives: each copy would need its own."""

    def __init__(self, *sizes: Any) -> None:
        super().__init__(*sizes)
        self.normalise = nn.BatchNorm1d(4)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.normalise(super().forward(inputs))


class Deciding(LayerProbe):
    """What it computes hangs on its weights."""

    def forward(self, inputs: Inputs) -> Tensor:
        logits = super().forward(inputs)
        return logits if self.classify.bias.sum() > 0 else -logits


@pytest.mark.parametrize("kind", [Fitted, ByPart, Normalised, Deciding])
def test_what_must_be_trained_one_by_one_is_recognised(
    kind: type[LayerProbe], parts: tuple[Examples, Examples]
) -> None:
    assert not supports(lambda: kind("states", 3, 8, 4), parts[0], CPU)


@pytest.mark.parametrize("make", [probe, Dropped, Wide])
def test_what_can_be_trained_at_once_is_recognised(
    make: Callable[[], nn.Module], parts: tuple[Examples, Examples]
) -> None:
    assert supports(make, parts[0], CPU)
