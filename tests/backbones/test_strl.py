"""STRL-SER: sizes, segments, the averaged decision, training on segments, fusion, variants."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from backbones._strl import (
    DimensionFusion,
    FrameModule,
    GroupFusion,
    Recurrent,
    Segments,
    Sizes,
    decide,
)
from bench.contracts.backbone import Setup
from bench.contracts.batch import Inputs, Padded, pad
from bench.contracts.clip import Clip, Recording
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.registry import backbones
from bench.training.batching import Examples
from bench.training.job import TrainingJob
from bench.training.loop import train
from bench.training.objective import learning_rate_factor, per_part

CPU = torch.device("cpu")
LABELS = ("angry", "happy", "neutral", "sad")


def setup(
    variant: str = "", scale: str = "full", multilabel: bool = False, **options: Any
) -> tuple[Any, Setup]:
    backbone = backbones([f"strl:{variant}" if variant else "strl"])[0]
    chosen = replace(backbone.options(), **options)
    return backbone, Setup(
        LABELS, multilabel, "en", "finetune", scale, None, variant, chosen
    )  # type: ignore[arg-type]


def network(variant: str = "", **changes: Any) -> Any:
    backbone, s = setup(variant, **changes)
    torch.manual_seed(0)
    return backbone.network(s)


def inputs(*segments: int, frames: int = 40, whole: bool = False) -> Inputs:
    """Noise in clips of so many segments."""
    generator = torch.Generator().manual_seed(sum(segments))
    lld = [torch.randn(n, frames, 76, generator=generator) for n in segments]
    functionals = [
        torch.randn(1 if whole else n, 1, 1582, generator=generator) for n in segments
    ]
    return {"lld": pad(lld), "functionals": pad(functionals)}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@dataclass(frozen=True)
class Samples(Feature):
    """Each sample as a frame."""

    def extract(self, waveforms: Any, device: torch.device) -> Any:
        return [np.array(w)[:, None] for w in waveforms]


# --- sizes ---


def test_parameters_are_those_of_the_layers_added_up() -> None:
    built = network()
    frame, fusion = built.frame, built.fusion
    assert count(built.utterance) == 1582 * 256 + 256
    assert count(frame.temporal) == 2 * 4 * 128 * (76 + 128 + 2)
    kernels = (7 + 1) * 16 + (3 + 1) * 16
    blocks = (32 * 9 + 1) * 48 + 2 * (48 * 9 + 1) * 48 + 3 * 2 * 48
    assert count(frame) - count(frame.temporal) == kernels + blocks + 48
    assert count(fusion.attention) == 4 * (256 + 1) * 256
    assert count(built) == pytest.approx(1.08e6, rel=0.01)


@pytest.mark.parametrize(("frames", "columns"), [(59, 7), (40, 5)])
def test_map_that_attention_reads(frames: int, columns: int) -> None:
    module = FrameModule(Sizes(), (7, 5), Recurrent(128, both=True))
    maps = module.blocks(torch.zeros(1, 32, 76, frames))
    assert maps.shape == (1, 48, 9, columns)
    assert [p.shape for p in module(torch.zeros(2, frames, 76))] == [(2, 48), (2, 256)]


def test_attention_is_a_softmax_over_positions() -> None:
    torch.manual_seed(0)
    module = FrameModule(Sizes(4, 12, 16, 32), (7, 3), Recurrent(16, both=False)).eval()
    frames = torch.randn(1, 40, 76)
    image = frames[0].T[None, None]
    maps = module.blocks(
        torch.cat([module.over_descriptors(image), module.over_frames(image)], 1)
    )[0].flatten(1)
    weights = (module.attention.weight[0] @ maps).softmax(0)
    torch.testing.assert_close(module(frames)[0][0], maps @ weights)


# --- segments ---


@pytest.mark.parametrize(
    ("samples", "pad_last", "segments"),
    [(9, False, 2), (9, True, 3), (8, True, 2), (3, False, 1)],
)
def test_segments_follow_each_other(
    samples: int, pad_last: bool, segments: int
) -> None:
    clip = np.arange(1, samples + 1, dtype=np.float32)
    (found,) = Segments(Samples(), 4 / 16_000, pad_last).extract([clip], CPU)
    assert found.shape == (segments, 4, 1)
    assert found.ravel().tolist() == [
        *clip[: segments * 4].tolist(),
        *[0] * (segments * 4 - samples),
    ]


def test_no_segmentation_is_one_segment() -> None:
    (found,) = Segments(Samples(), 0.0).extract([np.ones(7, np.float32)], CPU)
    assert found.shape == (1, 7, 1)


@pytest.mark.parametrize(("segment", "frames"), [(1.4, 40), (2.0, 59)])
def test_descriptors_and_functionals_have_the_papers_sizes(
    segment: float, frames: int
) -> None:
    pytest.importorskip("opensmile")
    backbone, s = setup(segment=segment)
    clip = (
        np.random.default_rng(0)
        .normal(0, 0.1, round(2.5 * segment * 16_000))
        .astype(np.float32)
    )
    found = {
        name: f.extract([clip], CPU)[0] for name, f in backbone.features(s).items()
    }
    assert found["lld"].shape == (2, frames, 76)
    assert found["functionals"].shape == (2, 1, 1582)


# --- the decision ---


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_clips_probability_is_the_mean_of_its_segments(multilabel: bool) -> None:
    lengths = torch.tensor([3, 1])
    segments = Padded(
        5 * torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)), lengths
    )
    each = segments.values.sigmoid() if multilabel else segments.values.softmax(2)
    logits = decide(segments, multilabel)
    found = logits.sigmoid() if multilabel else logits.softmax(1)
    torch.testing.assert_close(found, torch.stack([each[0].mean(0), each[1, 0]]))


def test_the_decision_stays_finite_where_segments_are_certain() -> None:
    segments = Padded(torch.tensor([[[1e3, -1e3], [-1e3, 1e3]]]), torch.tensor([2]))
    assert decide(segments, False).softmax(1).tolist() == [[0.5, 0.5]]
    assert decide(segments, True).sigmoid().tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("variant", ["", "dims", "lstm", "transformer"])
@torch.inference_mode()
def test_clips_are_decided_by_their_own_segments_alone(variant: str) -> None:
    built = network(variant, scale="tiny").eval()
    three, one = inputs(3), inputs(1)
    both = {name: pad([three[name].values[0], one[name].values[0]]) for name in three}
    torch.testing.assert_close(
        built(both), torch.cat([built(three), built(one)]), atol=1e-5, rtol=0
    )
    single = [
        built(
            {
                n: Padded(p.values[:, i : i + 1], torch.tensor([1]))
                for n, p in three.items()
            }
        )
        for i in range(3)
    ]
    mean = torch.stack([logits.softmax(1) for logits in single]).mean(0)
    torch.testing.assert_close(built(three).softmax(1), mean)


@torch.inference_mode()
def test_functionals_of_the_whole_clip_serve_each_segment() -> None:
    built = network(scale="tiny").eval()
    clip = inputs(3, whole=True)
    repeated = {
        "lld": clip["lld"],
        "functionals": pad([clip["functionals"].values[0].expand(3, -1, -1)]),
    }
    torch.testing.assert_close(built(clip), built(repeated))


# --- training on segments ---


def test_loss_is_the_mean_cross_entropy_of_all_segments() -> None:
    """Eq. 22: a clip of three segments counts three times; what pads a batch does not."""
    built = network(scale="tiny").train()
    logits = built(inputs(3, 1))
    assert isinstance(logits, Padded)
    targets = torch.tensor([[0.0, 0, 1, 0], [1, 0, 0, 0]])
    own, labels = (
        torch.cat([logits.values[0], logits.values[1, :1]]),
        torch.tensor([2, 2, 2, 0]),
    )
    found = F.cross_entropy(*per_part(logits, targets))
    torch.testing.assert_close(found, F.cross_entropy(own, labels))


class Echo(nn.Module):
    """Learns nothing but a bias; gives its clips' parts in training."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, inputs: Inputs) -> Any:
        parts = inputs["x"]
        logits = torch.zeros(*parts.mask.shape, 2) + self.bias
        return Padded(logits, parts.lengths) if self.training else logits[:, 0]


class Given:
    """An extracted feature, by clip id."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def array(self, clip: str) -> np.ndarray:
        return self.arrays[clip]

    def frames(self, clip: str) -> int:
        return len(self.arrays[clip])

    def seconds(self, clip: str) -> float:
        return 0.0


def test_the_training_loop_weighs_every_part_alike(tmp_path: Path) -> None:
    """Three parts of class a against one of class b: the bias settles at their log odds."""
    clips = [Clip("1", Recording(), ("a",), "s"), Clip("2", Recording(), ("b",), "t")]
    given: Any = {
        "x": Given({"1": np.ones((3, 1), np.float32), "2": np.ones((1, 1), np.float32)})
    }
    examples = Examples(clips, ("a", "b"), False, given)
    recipe = Recipe(
        epochs=100,
        batch_size=2,
        learning_rate=2.0,
        optimizer="sgd",
        weight_decay=0.0,
        warmup=0.0,
        clip_norm=0.0,
        schedule="exponential",
        decay=0.97,
        patience=0,
        monitor="loss",
        precision="fp32",
    )
    learner = Echo()
    seen: list[float] = []

    def report(epoch: int, values: Mapping[str, float]) -> None:
        seen.append(values["train loss"])

    train(
        TrainingJob(learner, recipe, examples, examples, 0, CPU, report, tmp_path / "c")
    )
    parts = torch.tensor([0.75, 0.25])
    assert seen[-1] == pytest.approx(-(parts * parts.log()).sum().item(), abs=1e-3)


def test_rate_falls_by_its_factor_after_every_epoch() -> None:
    rate = learning_rate_factor(
        Recipe(schedule="exponential", decay=0.95, epochs=4, warmup=0.0), 4 * 3
    )
    assert [rate(step) for step in range(12)] == [
        0.95 ** (step // 3) for step in range(12)
    ]


# --- fusion ---


def test_fusion_of_dimensions_is_attention_written_out() -> None:
    torch.manual_seed(0)
    fusion, parts = (
        DimensionFusion([3, 2], heads=2),
        [torch.randn(1, 3), torch.randn(1, 2)],
    )
    f = torch.cat(parts, 1)[0]
    q, k, v = (f[:, None] * w + b for w, b in zip(
        fusion.project.weight[:, 0].chunk(3), fusion.project.bias.chunk(3), strict=True
    ))  # fmt: skip
    heads = [(q[:, i, None] * k[None, :, i]).softmax(1) @ v[:, i] for i in range(2)]
    expected = torch.stack(heads, 1) @ fusion.join.weight[0] + fusion.join.bias
    torch.testing.assert_close(fusion(parts)[0], expected)


def test_fusion_of_groups_keeps_a_token_per_part() -> None:
    assert GroupFusion([48, 256, 256], 256, 8)(
        [torch.zeros(2, n) for n in (48, 256, 256)]
    ).shape == (2, 3 * 256)


def test_dimensions_are_560() -> None:
    assert network("dims").fusion.width == 48 + 256 + 256


# --- variants ---


@pytest.mark.parametrize("heads", [1, 2, 4, 8, 16, 32])
def test_heads_of_a_variant(heads: int) -> None:
    assert (
        network("" if heads == 8 else f"heads{heads}").fusion.attention.num_heads
        == heads
    )


def test_variants_replace_what_their_tables_compare() -> None:
    assert network("lstm").frame.temporal.lstm.bidirectional is False
    assert network("transformer").frame.temporal.width == network().frame.temporal.width
    backbone, s = setup("lld-only")
    assert set(backbone.features(s)) == {"lld"}
    assert backbone.network(s).utterance is None


def test_recipe_is_the_papers() -> None:
    backbone, s = setup()
    recipe = backbone.recipe(s)
    assert (recipe.epochs, recipe.learning_rate, recipe.decay, recipe.optimizer) == (
        150,
        1e-3,
        0.95,
        "adam",
    )


def test_without_opensmile_the_pairing_is_skipped_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.features.opensmile.find_spec", lambda _: None)
    backbone, s = setup()
    assert "pip install" in backbone.refuses(s)
    assert "no frozen encoder" in backbone.refuses(replace(s, mode="probe"))
