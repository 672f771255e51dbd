"""The rules every plugin keeps, as checks that its author can run:
`check_backbone(MyBackbone("mine"))`.

Each raises AssertionError with a message to the plugin's author.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from bench.contracts.backbone import Backbone, Mode, Setup
from bench.contracts.batch import Padded, pad
from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.contracts.recipe import Recipe
from bench.contracts.task import Task

SECONDS = (0.9, 0.31, 1.6)  # lengths of the clips that the checks use
LABELS = ("angry", "neutral", "sad")
SCORE_NAMES = ("UA", "WA", "F1 macro", "F1 micro", "F1 weighted")


def tiny_setup(backbone: Backbone, mode: Mode = "finetune", multilabel: bool = False) -> Setup:
    """A pairing at tiny scale, as the checks use it."""
    return Setup(LABELS, multilabel, "en", mode, "tiny", None, backbone.variant, backbone.options())


def check_backbone(backbone: Backbone, mode: Mode = "finetune") -> None:
    """All rules of a backbone, at tiny scale."""
    check_provenance(backbone)
    setup = tiny_setup(backbone, mode)
    if backbone.refuses(setup):
        return
    check_recipe(backbone.recipe(setup))
    features = backbone.features(setup)
    waveforms = _waveforms()
    arrays = {name: check_feature(feature, waveforms) for name, feature in features.items()}
    torch.manual_seed(0)
    network = backbone.network(setup)
    everything = [_batch(arrays, range(len(waveforms)))]
    if hasattr(network, "fit"):
        targets = torch.eye(len(LABELS))
        network.fit(everything, targets, everything, targets)  # type: ignore[operator]
    elif hasattr(network, "calibrate"):
        network.calibrate(everything)  # type: ignore[operator]
    check_logits(network, arrays)
    check_gradients(network, arrays)


def check_provenance(plugin: Backbone) -> None:
    for name in ("summary", "reads", "citation", "licence"):
        assert getattr(plugin, name, ""), (
            f"{plugin.name}: say its {name} (a text at the top of the class)"
        )
    for language, checkpoint in plugin.checkpoints.items():
        assert checkpoint.licence, f"{plugin.name}: the checkpoint for {language} needs its licence"
        assert checkpoint.parameters > 0, (
            f"{plugin.name}: the checkpoint for {language} needs its parameter count"
        )
    assert dataclasses.is_dataclass(plugin.Options), (
        f"{plugin.name}: Options must be a frozen dataclass"
    )


def check_recipe(recipe: Recipe) -> None:
    assert isinstance(recipe, Recipe), "recipe() must return a bench.contracts.recipe.Recipe"
    for field in dataclasses.fields(recipe):
        low, high, value = (
            field.metadata["low"],
            field.metadata["high"],
            getattr(recipe, field.name),
        )
        assert low is None or value >= low, f"recipe: {field.name} = {value} is below {low}"
        assert high is None or value <= high, f"recipe: {field.name} = {value} is above {high}"
        choices = get_args(field.type)
        assert not choices or value in choices, (
            f"recipe: {field.name} = {value!r} is none of {choices}"
        )


def check_feature(feature: Feature, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    """Frames first, finite, float32, the same alone as in company, under a fingerprint that is
    stable.
    """
    name, cpu = type(feature).__name__, torch.device("cpu")
    assert feature.fingerprint == dataclasses.replace(feature).fingerprint, (
        f"{name}: its fingerprint is not stable"
    )
    together = feature.extract(waveforms, cpu)
    assert len(together) == len(waveforms), f"{name}: extract() must return one array per waveform"
    for waveform, array in zip(waveforms, together, strict=True):
        assert array.dtype == np.float32, f"{name}: arrays must be float32, not {array.dtype}"
        assert array.ndim >= 1, f"{name}: arrays must be (frames, ...)"
        assert len(array) >= 1, f"{name}: a clip of {len(waveform) / SAMPLE_RATE} s gave no frame"
        assert np.isfinite(array).all(), f"{name}: a value is not finite"
        alone = feature.extract([waveform], cpu)[0]
        np.testing.assert_allclose(
            array, alone, atol=1e-4, err_msg=f"{name}: a clip's result depends on its batch"
        )
    return [torch.from_numpy(np.array(a)) for a in together]


def check_logits(network: torch.nn.Module, arrays: Mapping[str, Sequence[Tensor]]) -> None:
    """(batch, classes), finite, and each clip's own whatever else is in the batch."""
    network.eval()
    clips = range(len(next(iter(arrays.values()))))
    with torch.no_grad():
        together = network(_batch(arrays, clips))
        assert together.shape == (len(clips), len(LABELS)), (
            f"logits must be (batch, classes), not {together.shape}"
        )
        assert together.isfinite().all(), "a logit is not finite"
        for clip in clips:
            alone = network(_batch(arrays, [clip]))[0]
            difference = (alone - together[clip]).abs().max().item()
            assert difference < 1e-4, (
                f"a clip's logits depend on its batch (by {difference:.2g}): mask the padding"
            )


def check_gradients(network: torch.nn.Module, arrays: Mapping[str, Sequence[Tensor]]) -> None:
    """Training changes something, and nothing that is frozen."""
    network.train()
    logits = network(_batch(arrays, range(len(next(iter(arrays.values()))))))
    (logits.values if isinstance(logits, Padded) else logits).square().sum().backward()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert trained, "the network has no trainable parameter"
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained), (
        "no gradient reaches the network"
    )


def check_task(task: Task) -> None:
    """All rules of a task that need no data."""
    for name in ("title", "licence", "citation", "obtain"):
        assert getattr(task, name, ""), (
            f"{task.name}: say its {name} (a text at the top of the class)"
        )
    assert len(set(task.labels)) == len(task.labels) >= 2, (
        f"{task.name}: at least two labels, each once"
    )
    assert task.positive is None or task.positive in task.labels, (
        f"{task.name}: {task.positive} is no label"
    )
    protocols = task.protocols()
    assert task.default_protocol in protocols, (
        f"{task.name}: it does not offer its default protocol"
    )
    for name, protocol in protocols.items():
        assert protocol.summary, f"{task.name}: the protocol {name} needs a summary"
    if task.expected and task.expected.labels:
        assert set(task.expected.labels) == set(task.labels), (
            f"{task.name}: expected counts for other labels"
        )
        assert sum(task.expected.labels.values()) == task.expected.clips, (
            f"{task.name}: expected counts do not add up"
        )
    for figure in task.published:
        assert figure.source, f"{task.name}: {figure.system} needs its source"
        for name, value in figure.scores.items():
            known = name in SCORE_NAMES or (name.startswith(("F1 (", "recall (", "precision (")))
            assert known, (
                f"{task.name}: {figure.system}: {name} is no score of bench.scoring.scores"
            )
            assert 0 <= value <= 1, f"{task.name}: {figure.system}: {name} = {value} is no fraction"


def _waveforms() -> list[np.ndarray]:
    """Tones over noise, one per length."""
    generator = np.random.default_rng(7)
    made = []
    for seconds in SECONDS:
        time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        tone = 0.2 * np.sin(2 * np.pi * generator.uniform(100, 300) * time)
        made.append((tone + 0.02 * generator.standard_normal(len(time))).astype(np.float32))
    return made


def _batch(arrays: Mapping[str, Sequence[Tensor]], clips: Sequence[int]) -> dict[str, Padded]:
    return {name: pad([values[i] for i in clips]) for name, values in arrays.items()}
