"""The rules that every plugin keeps, as checks that its author can run.

    check_backbone(MyBackbone("mine"))

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
from bench.contracts.task import Published, Task

SECONDS = (0.9, 0.31, 1.6)  # lengths of the clips that the checks use
LABELS = ("angry", "neutral", "sad")
SCORE_NAMES = ("UA", "WA", "F1 macro", "F1 micro", "F1 weighted")
CLASS_SCORES = ("F1 (", "recall (", "precision (")  # and the name of a class
TOLERANCE = 1e-4  # between a clip alone and the same clip in a batch


def tiny_setup(
    backbone: Backbone, mode: Mode = "finetune", multilabel: bool = False
) -> Setup:
    """A pairing at tiny scale, as the checks use it."""
    return Setup(
        LABELS,
        multilabel,
        "en",
        mode,
        "tiny",
        None,
        backbone.variant,
        backbone.options(),
    )


def check_backbone(backbone: Backbone, mode: Mode = "finetune") -> None:
    """All rules of a backbone, at tiny scale."""
    check_provenance(backbone)
    setup = tiny_setup(backbone, mode)
    if backbone.refuses(setup):
        return
    check_recipe(backbone.recipe(setup))
    waveforms = _waveforms()
    arrays = {}
    for name, feature in backbone.features(setup).items():
        arrays[name] = check_feature(feature, waveforms)
    torch.manual_seed(0)
    network = backbone.network(setup)
    _prepare(network, _batch(arrays, range(len(waveforms))))
    check_logits(network, arrays)
    check_gradients(network, arrays)


def _prepare(network: torch.nn.Module, batch: dict[str, Padded]) -> None:
    """What the harness does with the training part before gradient descent, or in its place."""
    if hasattr(network, "fit"):
        targets = torch.eye(len(LABELS))
        network.fit([batch], targets, [batch], targets)  # type: ignore[operator]
    elif hasattr(network, "calibrate"):
        network.calibrate([batch])  # type: ignore[operator]


def check_provenance(plugin: Backbone) -> None:
    """What it is, what it reads and whose it is; the same of its checkpoints."""
    for field in ("summary", "reads", "citation", "licence"):
        text = getattr(plugin, field, "")
        assert text, f"{plugin.name}: give its {field} (a text at the top of the class)"
    for language, checkpoint in plugin.checkpoints.items():
        where = f"{plugin.name}: the checkpoint for {language}"
        assert checkpoint.licence, f"{where} needs its licence"
        assert checkpoint.parameters > 0, f"{where} needs its parameter count"
    typed = dataclasses.is_dataclass(plugin.Options)
    assert typed, f"{plugin.name}: Options must be a frozen dataclass"


def check_recipe(recipe: Recipe) -> None:
    """Every field within its bounds, and one of its choices."""
    assert isinstance(recipe, Recipe), (
        "recipe() must return a bench.contracts.recipe.Recipe"
    )
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        low = field.metadata["low"]
        high = field.metadata["high"]
        choices = get_args(field.type)
        where = f"recipe: {field.name} = {value!r}"
        assert low is None or value >= low, f"{where} is below {low}"
        assert high is None or value <= high, f"{where} is above {high}"
        assert not choices or value in choices, f"{where} is none of {choices}"


def check_feature(feature: Feature, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    """Frames first, finite, float32, the same alone as in a batch; a stable fingerprint.

    Returns the feature of each waveform.
    """
    name = type(feature).__name__
    copy = dataclasses.replace(feature)
    assert feature.fingerprint == copy.fingerprint, (
        f"{name}: its fingerprint is not stable"
    )
    together = feature.extract(waveforms, torch.device("cpu"))
    whole = len(together) == len(waveforms)
    assert whole, f"{name}: extract() must return one array per waveform"
    for waveform, array in zip(waveforms, together, strict=True):
        _check_array(name, array, seconds=len(waveform) / SAMPLE_RATE)
        alone = feature.extract([waveform], torch.device("cpu"))[0]
        message = f"{name}: a clip's result depends on its batch"
        np.testing.assert_allclose(array, alone, atol=TOLERANCE, err_msg=message)
    return [torch.from_numpy(np.array(array)) for array in together]


def _check_array(name: str, array: np.ndarray, seconds: float) -> None:
    assert array.dtype == np.float32, (
        f"{name}: arrays must be float32, not {array.dtype}"
    )
    assert array.ndim >= 1, f"{name}: arrays must be (frames, ...)"
    assert len(array) >= 1, f"{name}: a clip of {seconds} s gave no frame"
    assert np.isfinite(array).all(), f"{name}: a value is not finite"


def check_logits(
    network: torch.nn.Module, arrays: Mapping[str, Sequence[Tensor]]
) -> None:
    """(batch, classes), finite, and the same for a clip whatever else is in the batch."""
    network.eval()
    clips = range(_length(arrays))
    expected = (len(clips), len(LABELS))
    with torch.no_grad():
        together = network(_batch(arrays, clips))
        shape = tuple(together.shape)
        assert shape == expected, f"logits must be (batch, classes), not {shape}"
        assert together.isfinite().all(), "a logit is not finite"
        for clip in clips:
            alone = network(_batch(arrays, [clip]))[0]
            change = (alone - together[clip]).abs().max().item()
            message = f"a clip's logits depend on its batch (by {change:.2g}): mask the padding"
            assert change < TOLERANCE, message


def check_gradients(
    network: torch.nn.Module, arrays: Mapping[str, Sequence[Tensor]]
) -> None:
    """A gradient reaches the parameters that are trained."""
    network.train()
    output = network(_batch(arrays, range(_length(arrays))))
    logits = output.values if isinstance(output, Padded) else output
    logits.square().sum().backward()
    trained = [weights for weights in network.parameters() if weights.requires_grad]
    assert trained, "the network has no trainable parameter"
    gradients = [weights.grad for weights in trained if weights.grad is not None]
    reached = any(gradient.abs().sum() > 0 for gradient in gradients)
    assert reached, "no gradient reaches the network"


def check_task(task: Task) -> None:
    """All rules of a task that need no data."""
    for field in ("title", "licence", "citation", "obtain"):
        text = getattr(task, field, "")
        assert text, f"{task.name}: give its {field} (a text at the top of the class)"
    check_labels(task)
    check_protocols(task)
    check_expected(task)
    for figure in task.published:
        check_figure(task, figure)


def check_labels(task: Task) -> None:
    """Two labels or more, each once; the positive class among them."""
    distinct = len(set(task.labels))
    assert distinct == len(task.labels) >= 2, (
        f"{task.name}: at least two labels, each once"
    )
    known = task.positive is None or task.positive in task.labels
    assert known, f"{task.name}: {task.positive} is no label"


def check_protocols(task: Task) -> None:
    """The default protocol exists, and each says how it divides."""
    protocols = task.protocols()
    offered = task.default_protocol in protocols
    assert offered, f"{task.name}: it does not offer its default protocol"
    for name, protocol in protocols.items():
        assert protocol.summary, f"{task.name}: the protocol {name} needs a summary"


def check_expected(task: Task) -> None:
    """The clips that are expected of each label add up to those of the corpus."""
    expected = task.expected
    if expected is None or not expected.labels:
        return
    same = set(expected.labels) == set(task.labels)
    assert same, f"{task.name}: expected counts for other labels"
    total = sum(expected.labels.values())
    assert total == expected.clips, f"{task.name}: expected counts do not add up"


def check_figure(task: Task, figure: Published) -> None:
    """A published figure has its source, and is a fraction under the name of a score."""
    where = f"{task.name}: {figure.system}"
    assert figure.source, f"{where} needs its source"
    for name, value in figure.scores.items():
        known = name in SCORE_NAMES or name.startswith(CLASS_SCORES)
        assert known, f"{where}: {name} is no score of bench.scoring.scores"
        assert 0 <= value <= 1, f"{where}: {name} = {value} is no fraction"


def _waveforms() -> list[np.ndarray]:
    """Tones over noise, one per length."""
    generator = np.random.default_rng(7)
    waveforms = []
    for seconds in SECONDS:
        time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = generator.uniform(100, 300)  # Hz
        tone = 0.2 * np.sin(2 * np.pi * pitch * time)
        noise = 0.02 * generator.standard_normal(len(time))
        waveforms.append((tone + noise).astype(np.float32))
    return waveforms


def _length(arrays: Mapping[str, Sequence[Tensor]]) -> int:
    """The number of clips."""
    return len(next(iter(arrays.values())))


def _batch(
    arrays: Mapping[str, Sequence[Tensor]], clips: Sequence[int]
) -> dict[str, Padded]:
    batch = {}
    for name, values in arrays.items():
        batch[name] = pad([values[clip] for clip in clips])
    return batch
