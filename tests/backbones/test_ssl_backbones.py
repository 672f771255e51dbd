"""wav2vec 2.0, HuBERT, WavLM and XLS-R as backbones: exact, masked, trainable, with the papers'
recipes.
"""

import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from backbones._ssl_net import spans
from bench.contracts.backbone import Setup
from bench.contracts.batch import Inputs, pad
from bench.contracts.feature import Feature
from bench.encoders.wav2vec2 import ConvFrontEnd, EncoderMeans
from bench.errors import WeightsError
from bench.registry import backbones
from bench.testing import check_backbone

CPU = torch.device("cpu")
LABELS = ("angry", "happy", "sad")
# group norm: wav2vec2, hubert, wavlm; layer norm: xls-r, wavlm:large
NAMES = ("wav2vec2", "hubert", "wavlm", "wavlm:large", "xls-r")
LANGUAGES = [
    ("wav2vec2", "vi"),
    ("wav2vec2", "zh"),
    ("hubert", "zh"),
    *((name, "en") for name in NAMES),
]


def waveform(seconds: float, seed: int = 0) -> Any:
    return (
        np.random.default_rng(seed)
        .normal(0.05, 0.1, round(seconds * 16_000))
        .astype(np.float32)
    )


def inputs(features: dict[str, Feature], waveforms: list[Any]) -> Inputs:
    arrays = {name: f.extract(waveforms, CPU) for name, f in features.items()}
    return {
        name: pad([torch.from_numpy(a) for a in found])
        for name, found in arrays.items()
    }


def setup(name: str, **changes: Any) -> tuple[Any, Setup]:
    backbone = backbones([name])[0]
    changes = {
        "scale": "tiny",
        "mode": "finetune",
        "language": "en",
        "multilabel": False,
        "weights": None,
        **changes,
    }
    options = replace(backbone.options(), **changes.pop("options", {}))
    return backbone, Setup(LABELS, variant=backbone.variant, options=options, **changes)


@pytest.fixture(scope="module", params=NAMES)
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Any]:
    """A backbone, a checkpoint of its architecture in the hub's layout, and the checkpoint's
    network.
    """
    from transformers import AutoModel, Wav2Vec2FeatureExtractor

    backbone, s = setup(request.param)
    architecture = next(iter(backbone.features(s).values())).architecture
    torch.manual_seed(2)
    network = AutoModel.from_config(architecture.config()).eval()
    for parameter in (
        network.parameters()
    ):  # livelier than an initialisation, so that a difference would show
        parameter.data += 0.05 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("folder")
    network.save_pretrained(path)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(path)
    return request.param, path, network


# --- exactness ---


@torch.inference_mode()
def test_logits_are_those_of_the_whole_network_on_each_clip_alone(
    folder: tuple[str, Path, Any],
) -> None:
    """Neither the cached front end, nor padding, nor the order of a batch changes anything."""
    name, path, original = folder
    backbone, s = setup(name, scale="full", weights=str(path))
    torch.manual_seed(0)
    network, features = backbone.network(s).eval(), backbone.features(s)
    clips = [waveform(seconds, i) for i, seconds in enumerate((0.31, 1.0, 0.03, 0.555))]
    expected = [
        network.head(original(torch.from_numpy(clip)[None]).last_hidden_state.mean(1))
        for clip in clips
    ]
    together = network(inputs(features, clips))
    reverse = network(inputs(features, clips[::-1]))
    torch.testing.assert_close(together, torch.cat(expected), atol=2e-5, rtol=0)
    torch.testing.assert_close(reverse.flip(0), torch.cat(expected), atol=2e-5, rtol=0)
    for clip, logits in zip(clips, expected, strict=True):
        torch.testing.assert_close(
            network(inputs(features, [clip])), logits, atol=2e-5, rtol=0
        )
    assert (together[0] - together[1]).abs().max() > 1e-3


@torch.inference_mode()
def test_a_probe_reads_every_layer_of_the_folders_network(
    folder: tuple[str, Path, Any],
) -> None:
    name, path, original = folder
    backbone, s = setup(name, scale="full", mode="probe", weights=str(path))
    given = inputs(backbone.features(s), [waveform(0.4), waveform(0.6, 1)])
    assert given["states"].values.shape == (2, 1, 3, 48)
    result = original(torch.from_numpy(waveform(0.4))[None], output_hidden_states=True)
    means = torch.cat([*result.hidden_states[:-1], result.last_hidden_state]).mean(1)
    torch.testing.assert_close(given["states"].values[0, 0], means, atol=5e-5, rtol=0)
    assert backbone.network(s).eval()(given).shape == (2, 3)


@pytest.mark.parametrize("name", [*NAMES, "wav2vec2:released", "hubert:released"])
@pytest.mark.parametrize("mode", ["finetune", "probe"])
def test_the_contract(name: str, mode: Any) -> None:
    check_backbone(backbones([name])[0], mode)


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_gives_nearly_the_same_logits(name: str) -> None:
    backbone, s = setup(name)
    network = backbone.network(s).eval()
    given = inputs(backbone.features(s), [waveform(0.3), waveform(0.5, 1)])
    with torch.autocast("cpu", torch.bfloat16):
        half = network(given)
    torch.testing.assert_close(half.float(), network(given), atol=0.02, rtol=0)


# --- training ---


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lower_the_loss_and_move_every_part(name: str) -> None:
    backbone, s = setup(name, options={"dropout": 0.0, "spec_augment": "on"})
    given = inputs(backbone.features(s), [waveform(0.4, i) * (i + 1) for i in range(6)])
    truth = torch.tensor([0, 1, 2, 0, 1, 2])
    torch.manual_seed(0)
    network = backbone.network(s)
    network.encoder.config.layerdrop = 0.0
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    first = F.cross_entropy(network.eval()(given), truth)
    network.train()
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(network(given), truth).backward()
        optimizer.step()
    assert F.cross_entropy(network.eval()(given), truth) < 0.5 * first
    still = [n for n, p in network.named_parameters() if torch.equal(p, before[n])]
    assert [n for n in still if "masked_spec_embed" not in n] == []
    assert not any("feature_extractor" in n for n in before)


@pytest.mark.parametrize("name", NAMES)
def test_checkpointing_changes_no_gradient(name: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        backbone, s = setup(
            name, options={"checkpointing": checkpointing, "spec_augment": "on"}
        )
        torch.manual_seed(5)
        network = backbone.network(s).train()
        network.encoder.config.layerdrop = 0.0
        network(
            inputs(backbone.features(s), [waveform(0.3), waveform(0.5)])
        ).sum().backward()
        gradients.append(
            {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        )
    assert gradients[0].keys() == gradients[1].keys()
    for name_, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name_], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("spec_augment", "masks"), [("on", True), ("off", False), ("auto", False)]
)
def test_spec_augment_is_for_training_alone_and_follows_the_seed(
    spec_augment: str, masks: bool
) -> None:
    backbone, s = setup(
        "wav2vec2", options={"spec_augment": spec_augment, "dropout": 0.0}
    )
    given = inputs(backbone.features(s), [waveform(1.0), waveform(0.7, 1)])
    network = backbone.network(s)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    network.encoder.config.layerdrop = 0.0
    quiet = network.eval()(given)
    torch.manual_seed(3)
    masked = network.train()(given)
    torch.manual_seed(3)
    torch.testing.assert_close(network(given), masked, atol=0, rtol=0)
    assert ((masked - quiet).abs().max() > 1e-6) == masks


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.2, 0.21, 0.25])
def test_clips_shorter_than_a_span_can_be_trained_on(name: str, seconds: float) -> None:
    backbone, s = setup(name, options={"spec_augment": "on"})
    logits = backbone.network(s).train()(
        inputs(backbone.features(s), [waveform(seconds)])
    )
    assert logits.isfinite().all()


def test_spans_stay_within_half_of_a_clips_own_frames() -> None:
    torch.manual_seed(0)
    for own, most in ((1, 0), (19, 0), (20, 10), (45, 20), (300, 150)):
        masks = torch.stack([spans(own, 300, 0.05, 10, 2) for _ in range(50)])
        assert masks.shape == (50, 300)
        assert not masks[:, own:].any()
        assert masks.sum(1).max() <= most
        assert (masks.sum(1).min() > 0) == (most > 0)
    share = (
        torch.stack([spans(3000, 3000, 0.05, 10, 2) for _ in range(200)]).float().mean()
    )
    assert 0.045 < share < 0.05  # a little below the probability, where spans overlap


# --- provenance ---


@pytest.mark.parametrize(("name", "language"), LANGUAGES)
def test_sizes_in_code_are_the_checkpoints(name: str, language: str) -> None:
    backbone, s = setup(name, scale="full", weights="random", language=language)
    parameters = backbone.checkpoint(s).parameters
    assert (
        backbone.features(replace(s, mode="probe"))["states"].parameters == parameters
    )
    with torch.device("meta"):
        network = backbone.network(s)
    head = sum(p.numel() for p in network.head.parameters())
    trained = sum(p.numel() for p in network.parameters()) - head
    assert trained + backbone.features(s)["frontend"].parameters == parameters


@pytest.mark.parametrize(
    ("name", "language", "hub_id"),
    [
        ("wav2vec2", "vi", "nguyenvulebinh/wav2vec2-base-vi"),
        ("wav2vec2", "de", "facebook/wav2vec2-base"),
        ("hubert", "zh", "TencentGameMate/chinese-hubert-base"),
        ("hubert:released", "zh", "facebook/hubert-base-ls960"),
        ("wavlm", "zh", "microsoft/wavlm-base-plus"),
        ("wavlm:large", "zh", "microsoft/wavlm-large"),
        ("xls-r", "vi", "facebook/wav2vec2-xls-r-300m"),
    ],
)
def test_the_checkpoint_follows_language_and_variant(
    name: str, language: str, hub_id: str
) -> None:
    backbone, s = setup(name, scale="full", language=language)
    weights = backbone.weights(s)
    assert weights.source == hub_id
    assert len(weights.digest) == 40
    assert backbone.features(s) == {"frontend": ConvFrontEnd(weights)}
    assert backbone.features(replace(s, mode="probe")) == {
        "states": EncoderMeans(weights)
    }


def test_another_kind_of_network_is_refused(folder: tuple[str, Path, Any]) -> None:
    _, path, original = folder
    other = "hubert" if original.config.model_type != "hubert" else "wavlm"
    backbone, s = setup(other, scale="full", weights=str(path))
    with pytest.raises(
        WeightsError,
        match=f"holds a {original.config.model_type} network, but {other} is {other}",
    ):
        backbone.features(s)


@pytest.mark.parametrize(
    ("name", "language", "rate", "batch", "accumulate", "epochs"),
    [
        ("wav2vec2:released", "zh", 1e-4, 4, 2, 1),
        ("hubert:released", "zh", 1e-5, 2, 2, 1),
        ("wav2vec2:released", "vi", 1.5e-5, 2, 1, 30),
    ],
)
def test_released_recipes_are_the_papers(
    name: str, language: str, rate: float, batch: int, accumulate: int, epochs: int
) -> None:
    backbone, s = setup(name, scale="full", language=language)
    recipe = backbone.recipe(s)
    assert (
        recipe.learning_rate,
        recipe.batch_size,
        recipe.accumulate,
        recipe.epochs,
    ) == (
        rate,
        batch,
        accumulate,
        epochs,
    )
    assert (recipe.weight_decay, recipe.warmup, recipe.patience, recipe.schedule) == (
        0,
        0,
        0,
        "linear",
    )
    mended, plain = setup(
        name.removesuffix(":released"), scale="full", language=language
    )
    assert mended.recipe(plain).patience > 0
    assert mended.recipe(plain).epochs > 1
    assert mended.recipe(plain).learning_rate == rate
    assert "nothing to probe" in backbone.refuses(replace(s, mode="probe"))
    assert backbone.refuses(s) is None
    assert (
        language == "vi"
        or backbone.recipe(replace(s, multilabel=True)).learning_rate == 1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "language"), [*((n, "en") for n in NAMES), ("wav2vec2", "zh")]
)
def test_one_step_at_full_size(
    name: str, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone, s = setup(name, scale="full", weights="random", language=language)
    started = time.monotonic()
    features, clips, truth = (
        backbone.features(s),
        [waveform(1.0), waveform(0.7, 1)],
        torch.tensor([1, 0]),
    )
    given = inputs(features, clips)
    torch.manual_seed(0)
    network = backbone.network(s).train()
    network.encoder.config.layerdrop = 0.0
    built = time.monotonic()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    loss = F.cross_entropy(network(given), truth)
    loss.backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for n, p in network.named_parameters()
        if "masked" not in n
    )
    optimizer.step()
    with torch.inference_mode():
        assert network.eval()(given).isfinite().all()
    count = (
        sum(p.numel() for p in network.parameters()) + features["frontend"].parameters
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        seconds = f"{built - started:.1f} s to build, {time.monotonic() - built:.1f} s for a step"
        sys.stdout.write(
            f"\n{name} ({language}): {count / 1e6:.1f} M parameters, {seconds}, "
            f"peak so far {peak:.1f} GiB\n"
        )
