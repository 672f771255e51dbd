"""pitch-fusion and feature-fusion: sizes like the papers', whole networks, variants."""

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from backbones.feature_fusion import DESIGNS
from backbones.pitch_fusion import PitchFusion
from bench.contracts.backbone import Setup
from bench.contracts.batch import Inputs, pad
from bench.encoders.wav2vec2 import ARCHITECTURES
from bench.registry import backbones

CPU = torch.device("cpu")
LABELS = ("angry", "happy", "sad")
BASE = ARCHITECTURES["facebook/wav2vec2-base"]
NAMES = [
    "pitch-fusion",
    "pitch-fusion:released",
    *(f"feature-fusion:{v}".removesuffix(":") for v in DESIGNS),
]
CLIPS = (0.31, 1.0, 0.02, 0.555)  # s; the third is shorter than a frame


def waveform(seconds: float, seed: int = 0) -> Any:
    """A voice-like tone that glides, in noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    phase = (
        2
        * np.pi
        * np.cumsum(generator.uniform(100, 250) * (1 + 0.2 * np.sin(6 * time)))
        / 16_000
    )
    voice = 0.1 * sum(np.sin(n * phase) / n for n in (1, 2, 3)) + 0.02
    return (voice + 0.005 * generator.standard_normal(len(time))).astype(np.float32)


def setup(name: str, **changes: Any) -> tuple[Any, Setup]:
    """zh: the large encoder with layer norms; others: base, with a group norm."""
    backbone = backbones([name])[0]
    options = replace(backbone.options(), **changes.pop("options", {}))
    given = {
        "scale": "tiny",
        "mode": "finetune",
        "language": "vi",
        "multilabel": False,
        "weights": None,
        **changes,
    }
    return backbone, Setup(
        given.pop("labels", LABELS), variant=backbone.variant, options=options, **given
    )


def inputs(backbone: Any, s: Setup, waveforms: list[Any]) -> Inputs:
    arrays = {
        name: f.extract(waveforms, CPU) for name, f in backbone.features(s).items()
    }
    return {
        name: pad([torch.from_numpy(a) for a in found])
        for name, found in arrays.items()
    }


def network(backbone: Any, s: Setup, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return backbone.network(s)


def still(module: Any) -> Any:
    """The module in training mode, without anything random."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        elif isinstance(getattr(part, "dropout", None), float):
            part.dropout = 0.0
        config: Any = getattr(part, "config", None)
        if hasattr(config, "layerdrop"):
            config.layerdrop = 0.0
    return module.train()


# --- sizes ---


@pytest.mark.parametrize(
    ("name", "language", "millions"),
    [
        ("pitch-fusion", "vi", 141.9),
        ("pitch-fusion:released", "vi", 141.9),
        ("feature-fusion:released", "zh", 425.96),
        (
            "feature-fusion:wav2vec2-only",
            "zh",
            315.44 + 0.525 + 0.001,
        ),  # the encoder and Linear(1024, 512)
        ("feature-fusion:pitch-only", "zh", 4.21 + 0.53 + 0.525),
        ("feature-fusion:mfcc-only", "zh", 0.61 + 0.263),
    ],
)
def test_parameters_at_full_size(name: str, language: str, millions: float) -> None:
    backbone, s = setup(name, scale="full", weights="random", language=language)
    with torch.device("meta"):  # shapes without memory
        net = backbone.network(s)
    count = sum(p.numel() for p in net.parameters()) + sum(
        f.parameters for f in backbone.features(s).values()
    )
    assert count / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(
    ("part", "millions"),
    [
        ("pitch", 4.21 + 0.53),
        ("audio_to_pitch", 25.19 / 2),
        ("relate", 78.68),
        ("mfcc", 0.61),
        ("head", 1.31),
    ],
)
def test_parts_of_the_released_feature_fusion(part: str, millions: float) -> None:
    backbone, s = setup(
        "feature-fusion:released", scale="full", weights="random", language="zh"
    )
    with torch.device("meta"):
        count = sum(p.numel() for p in getattr(backbone.network(s), part).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.01)


# --- whole networks ---


@torch.inference_mode()
@pytest.mark.parametrize("language", ["vi", "zh"])
@pytest.mark.parametrize("name", NAMES)
def test_logits_are_a_clips_own(name: str, language: str) -> None:
    """Whatever else is in the batch, in whatever order, with a group norm (vi) and with layer norms
    (zh).
    """
    backbone, s = setup(name, language=language)
    clips = [waveform(seconds, i) for i, seconds in enumerate(CLIPS)]
    net = network(backbone, s).eval()
    together = net(inputs(backbone, s, clips))
    assert together.shape == (len(CLIPS), 3)
    torch.testing.assert_close(
        net(inputs(backbone, s, clips[::-1])).flip(0), together, atol=2e-5, rtol=0
    )
    for clip, logits in zip(clips, together, strict=True):
        torch.testing.assert_close(
            net(inputs(backbone, s, [clip]))[0], logits, atol=2e-5, rtol=0
        )
    assert (together[0] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["pitch-fusion", "feature-fusion"])
def test_padding_counts_in_training_as_released_and_nowhere_else(name: str) -> None:
    differences = {}
    for variant in ("", ":released"):
        backbone, s = setup(name + variant)
        net, clips = still(network(backbone, s)), [waveform(0.3), waveform(0.9, 1)]
        differences[variant] = _difference(
            net(inputs(backbone, s, clips))[0], net(inputs(backbone, s, clips[:1]))[0]
        )
    assert differences[""] < 2e-5
    assert differences[":released"] > 1e-3


def test_self_attention_over_one_vector_never_learns_where_to_look() -> None:
    """Released: 13.1 M weights of queries and keys have no effect; over three tokens they do."""
    gradients = {}
    for name in ("feature-fusion:released", "feature-fusion"):
        backbone, s = setup(name)
        net = still(network(backbone, s))
        with sdpa_kernel(
            SDPBackend.MATH
        ):  # other kernels round a gradient of 0 to 1e-9
            net(
                inputs(backbone, s, [waveform(0.3), waveform(0.5, 1)])
            ).square().sum().backward()
        gradients[name] = net.relate.attend.in_proj_weight.grad.chunk(3)
    query, key, value = gradients["feature-fusion:released"]
    assert query.abs().max() == key.abs().max() == 0
    assert value.abs().max() > 0
    assert all(g.abs().max() > 0 for g in gradients["feature-fusion"])


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lower_the_loss_and_move_every_part(name: str) -> None:
    backbone, s = setup(name, options={"spec_augment": "on"})
    given = inputs(backbone, s, [waveform(0.4, i) * (i + 1) for i in range(6)])
    truth, net = torch.tensor([0, 1, 2, 0, 1, 2]), network(backbone, s)
    if hasattr(net, "calibrate"):
        net.calibrate([given])
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    first = F.cross_entropy(net.eval()(given), truth).item()
    optimizer = torch.optim.AdamW(still(net).parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(net(given), truth).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert F.cross_entropy(net.eval()(given), truth).item() < 0.9 * first
    unmoved = [
        n
        for n, p in net.named_parameters()
        if torch.equal(p, before[n]) and "masked_spec" not in n
    ]
    assert unmoved == []


@pytest.mark.parametrize(
    "name", ["pitch-fusion", "feature-fusion", "feature-fusion:released"]
)
@pytest.mark.parametrize("classes", [2, 11])
def test_binary_and_many_classes(name: str, classes: int) -> None:
    labels = tuple(f"class {n}" for n in range(classes))
    backbone, s = setup(name, labels=labels, multilabel=classes == 11, language="zh")
    assert network(backbone, s)(inputs(backbone, s, [waveform(0.3)])).shape == (
        1,
        classes,
    )


def _difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


# --- variants ---


@pytest.mark.parametrize("variant", PitchFusion.variants)
def test_variants_of_pitch_fusion_differ_where_they_say(variant: str) -> None:
    default, s = setup("pitch-fusion")
    other, t = setup(f"pitch-fusion:{variant}")
    changed = {
        (name, field.name): getattr(other.features(t)[name], field.name)
        for name, feature in default.features(s).items()
        for field in dataclasses.fields(feature)
        if getattr(other.features(t)[name], field.name) != getattr(feature, field.name)
    }
    controls = {"constant-pitch": "constant", "shuffled-pitch": "shuffled"}
    released = {
        ("frontend", "raw"): True,
        ("pitch", "variant"): "nccf-broken",
        ("pitch", "normalise"): False,
    }
    assert changed == (
        released if variant == "released" else {("pitch", "variant"): controls[variant]}
    )
    nets = network(default, s), network(other, t)
    assert nets[0].masked
    assert nets[1].masked == (variant != "released")
    for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=0, rtol=0)


@pytest.mark.parametrize("variant", [v for v in DESIGNS if v])
def test_variants_of_feature_fusion_have_the_parts_they_name(variant: str) -> None:
    backbone, s = setup(f"feature-fusion:{variant}")
    parts = {
        name
        for name, module in network(backbone, s).named_children()
        if module is not None
    }
    streams = {
        "wav2vec2-only": {"audio"},
        "pitch-only": {"pitch"},
        "mfcc-only": {"mfcc"},
    }
    fused = {
        "vanilla": set(),
        "cross-only": {"audio_to_pitch", "pitch_to_audio"},
        "self-only": {"relate", "widen"},
        "released": {"audio_to_pitch", "pitch_to_audio", "relate"},
    }
    assert parts == {"head"} | streams.get(
        variant, {"audio", "pitch", "mfcc"}
    ) | fused.get(variant, set())
    default, t = setup("feature-fusion")
    for name, feature in backbone.features(s).items():
        assert (feature == default.features(t)[name]) == (
            (variant, name) != ("released", "pitch")
        )


def test_the_released_mfccs_are_averaged_with_the_silence_that_fills_ten_seconds() -> (
    None
):
    backbone, s = setup("feature-fusion:released")
    net, given = (
        network(backbone, s).eval(),
        inputs(backbone, s, [waveform(0.3), waveform(12.0, 1)])["mfcc"],
    )
    assert given.lengths.tolist() == [31, 1001]
    with torch.no_grad():
        found, expected = net.mfcc(given), net.mfcc.lstm(given.values)[0].mean(1)
        torch.testing.assert_close(found.mean(), expected, atol=1e-5, rtol=0)
    assert found.lengths.tolist() == [1001, 1001]


@torch.inference_mode()
@pytest.mark.parametrize("name", ["feature-fusion", "feature-fusion:released"])
def test_feature_fusion_reads_ten_seconds(name: str) -> None:
    backbone, s = setup(name)
    net, clip = network(backbone, s).eval(), waveform(10.5)
    torch.testing.assert_close(
        net(inputs(backbone, s, [clip])), net(inputs(backbone, s, [clip[:160_000]]))
    )


def test_a_raw_front_end_hears_level_and_a_normalised_one_does_not() -> None:
    heard = {}
    for name in ("pitch-fusion", "pitch-fusion:released"):
        backbone, s = setup(name, language="zh")
        front = backbone.features(s)["frontend"]
        quiet, loud = front.extract([waveform(0.3), 4 * waveform(0.3)], CPU)
        heard[name] = np.abs(quiet - loud).max()
    assert heard["pitch-fusion"] < 1e-2 < 0.1 < heard["pitch-fusion:released"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pitch-fusion", (30, 2, 1.5e-5, 0.0, "linear", 5, 1.0)),
        ("pitch-fusion:released", (30, 2, 1.5e-5, 0.0, "linear", 0, 1.0)),
        ("feature-fusion", (30, 8, 3e-5, 0.01, "constant", 5, 0.0)),
        ("feature-fusion:released", (30, 8, 3e-5, 0.01, "constant", 0, 0.0)),
    ],
)
def test_recipes_are_the_papers(name: str, expected: tuple[Any, ...]) -> None:
    backbone, s = setup(name, scale="full")
    r = backbone.recipe(s)
    found = (
        r.epochs,
        r.batch_size,
        r.learning_rate,
        r.weight_decay,
        r.schedule,
        r.patience,
        r.clip_norm,
    )
    assert found == expected
    assert r.warmup == 0


@pytest.mark.parametrize("name", NAMES)
def test_there_is_nothing_to_probe(name: str) -> None:
    backbone, s = setup(name, mode="probe")
    assert "--mode finetune" in backbone.refuses(s)
    assert backbone.refuses(replace(s, mode="finetune")) is None
