"""The Whisper backbones and the checkpoints that they load."""

import json
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

from bench.contracts.backbone import Setup
from bench.contracts.batch import Inputs, pad
from bench.contracts.feature import Feature
from bench.contracts.weights import Weights, resolve
from bench.encoders.whisper import (
    decode_start,
    encode,
)
from bench.encoders.whisper_checkpoint import (
    SIZES,
    configuration,
    load,
    read_dims,
    tiny,
)
from bench.errors import WeightsError
from bench.registry import backbones
from tests.helpers import write_openai_checkpoint

RANDOM = Weights("random", "random")
DIMS = tiny("small")
CPU = torch.device("cpu")
NAMES = (
    "whisper-small",
    "whisper-small-zh",
    "whisper-medium",
    "whisper-large-v3",
    "whisper-large-v3-turbo",
    "whisper-base",
    "whisper-tiny",
)
LABELS = ("angry", "happy", "sad")


def waveform(seconds: float, seed: int = 0) -> Any:
    return (
        np.random.default_rng(seed)
        .normal(0, 0.1, round(seconds * 16_000))
        .astype(np.float32)
    )


def mels(*frames: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(frames))
    return [torch.randn(n, DIMS.mels, generator=generator) for n in frames]


def inputs(features: dict[str, Feature], waveforms: list[Any]) -> Inputs:
    arrays = {name: f.extract(waveforms, CPU) for name, f in features.items()}
    return {
        name: pad([torch.from_numpy(a) for a in found])
        for name, found in arrays.items()
    }


def setup(variant: str = "", **changes: Any) -> tuple[Any, Setup]:
    name, changes = (
        changes.pop("name", "whisper-small"),
        {"scale": "tiny", "mode": "finetune", **changes},
    )
    backbone = backbones([f"{name}:{variant}" if variant else name])[0]
    options = replace(backbone.options(), **changes.pop("options", {}))
    weights = changes.pop("weights", None)
    return backbone, Setup(
        LABELS,
        False,
        "en",
        weights=weights,
        variant=variant,
        options=options,
        **changes,
    )


# --- checkpoints ---


@pytest.fixture(scope="module")
def openai_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A small network of the openai-whisper package, and its file."""
    return write_openai_checkpoint(tmp_path_factory.mktemp("openai") / "small.pt")


@torch.inference_mode()
def test_a_checkpoint_of_openai_whisper_gives_the_same_outputs(
    openai_file: tuple[Path, Any],
) -> None:
    path, network = openai_file
    weights = resolve(str(path), None)
    dims = read_dims(weights)
    assert (
        dims.mels,
        dims.width,
        dims.encoder_layers,
        dims.decoder_layers,
        dims.tokens,
    ) == (
        80,
        32,
        2,
        3,
        20,
    )
    mel = pad(mels(3000, 3000))
    states = encode(load("encoder", weights, dims), mel)
    torch.testing.assert_close(
        states.values, network.encoder(mel.values.transpose(1, 2)), atol=1e-6, rtol=0
    )
    decoder = load("decoder", weights, dims)
    start = torch.full((2, 1), decoder.config.decoder_start_token_id)
    logits = decode_start(decoder, states) @ decoder.embed_tokens.weight.T
    torch.testing.assert_close(
        logits, network.decoder(start, states.values)[:, 0], atol=1e-5, rtol=0
    )


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 101, 102])
def test_an_odd_number_of_frames_equals_openais_forward(
    openai_file: tuple[Path, Any], frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, network = openai_file
    weights = resolve(str(path), None)
    sliced = network.encoder.positional_embedding[: (frames + 1) // 2]
    monkeypatch.setitem(network.encoder._buffers, "positional_embedding", sliced)
    mel = pad(mels(frames))
    ours = encode(load("encoder", weights, read_dims(weights)), mel).values
    torch.testing.assert_close(
        ours, network.encoder(mel.values.transpose(1, 2)), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("variant", "mode"), [("", "finetune"), ("", "probe"), ("released", "finetune")]
)
def test_a_checkpoint_of_openai_whisper_serves_every_way_to_run(
    openai_file: tuple[Path, Any], variant: str, mode: str
) -> None:
    backbone, s = setup(variant, scale="full", mode=mode, weights=str(openai_file[0]))
    logits = backbone.network(s).eval()(
        inputs(backbone.features(s), [waveform(0.4), waveform(0.6, 1)])
    )
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()


def test_a_file_that_is_no_whisper_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no pickle")
    with pytest.raises(
        WeightsError,
        match=r"other\.pt is not a checkpoint of the openai-whisper package",
    ):
        read_dims(resolve(str(tmp_path / "other.pt"), None))
    with pytest.raises(
        WeightsError, match=r"text\.pt cannot be read as a PyTorch checkpoint"
    ):
        read_dims(resolve(str(tmp_path / "text.pt"), None))


def test_openai_whisper_missing_is_one_sentence(
    openai_file: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "whisper", None)
    weights = resolve(str(openai_file[0]), None)
    with pytest.raises(WeightsError, match="not installed: pip install openai-whisper"):
        load("encoder", weights, read_dims(weights))


@pytest.fixture(
    scope="module", params=["WhisperModel", "WhisperForConditionalGeneration"]
)
def hub_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """A half-precision checkpoint in the hub's layout, and the network it was made of."""
    import transformers

    torch.manual_seed(4)
    network = (
        getattr(transformers, request.param)(configuration(tiny("large-v3")))
        .half()
        .eval()
    )
    folder = tmp_path_factory.mktemp("hub")
    network.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    return folder, getattr(network, "model", network)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_folder_in_the_hubs_layout_gives_each_part_alone(
    hub_folder: tuple[Path, Any], part: Any
) -> None:
    folder, model = hub_folder
    weights = resolve(str(folder), None)
    network = load(part, weights, read_dims(weights))
    theirs = getattr(model, part).state_dict()
    assert network.state_dict().keys() == theirs.keys()
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, theirs[name].float(), atol=0, rtol=0)
    assert part == "decoder" or not network.embed_positions.weight.requires_grad


@pytest.mark.parametrize(
    ("variant", "mode"), [("", "finetune"), ("", "probe"), ("released", "finetune")]
)
def test_a_folder_serves_every_way_to_run(
    hub_folder: tuple[Path, Any], variant: str, mode: str
) -> None:
    backbone, s = setup(
        variant, scale="full", mode=mode, weights=str(hub_folder[0])
    )  # 128 mels: the folder's
    logits = backbone.network(s).eval()(inputs(backbone.features(s), [waveform(0.4)]))
    assert logits.shape == (1, 3)


def test_another_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "hubert"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="holds a hubert network, not Whisper"):
        read_dims(resolve(str(tmp_path), None))


# --- backbones ---


@pytest.mark.parametrize(
    "options", [{"pad": "own"}, {"pad": "30s"}, {"pad": "own", "max_seconds": 0.5}]
)
@pytest.mark.parametrize("variant", ["", "released"])
def test_a_clips_logits_do_not_depend_on_its_batch(
    variant: str, options: dict[str, Any]
) -> None:
    backbone, s = setup(variant, options=options)
    features = backbone.features(s)
    torch.manual_seed(0)
    network = backbone.network(s).eval()
    clips = [waveform(seconds, i) for i, seconds in enumerate((0.31, 1.0, 0.555))]
    with torch.inference_mode():
        together = network(inputs(features, clips))
        reverse = network(inputs(features, clips[::-1]))
        alone = torch.cat([network(inputs(features, [clip])) for clip in clips])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together, reverse.flip(0), atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 1e-5


@torch.inference_mode()
def test_padded_to_30_seconds_the_mean_is_over_own_positions() -> None:
    backbone, s = setup(options={"pad": "30s"})
    network = backbone.network(s).eval()
    clip = waveform(0.5)
    given = inputs(backbone.features(s), [clip])
    assert given["mel"].values.shape == (1, 3000, 80)
    mean = (
        network.encoder(given["mel"].values.transpose(1, 2))
        .last_hidden_state[:, :25]
        .mean(1)
    )
    torch.testing.assert_close(network(given), network.head(mean), atol=1e-5, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("variant", ["", "released"])
def test_half_precision_gives_nearly_the_same_logits(variant: str) -> None:
    backbone, s = setup(variant, options={"pad": "own"})
    network = backbone.network(s).eval()
    given = inputs(backbone.features(s), [waveform(0.3), waveform(0.5, 1)])
    with torch.autocast("cpu", torch.bfloat16):
        half = network(given)
    torch.testing.assert_close(half.float(), network(given), atol=0.02, rtol=0)


@pytest.mark.parametrize("variant", ["", "released"])
def test_checkpointing_changes_no_gradient(variant: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        backbone, s = setup(
            variant, options={"checkpointing": checkpointing, "pad": "own"}
        )
        torch.manual_seed(5)
        network = backbone.network(s).train()
        network(
            inputs(backbone.features(s), [waveform(0.3), waveform(0.5)])
        ).sum().backward()
        trained = {n: p.grad for n, p in network.named_parameters() if p.requires_grad}
        gradients.append(trained)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_trained_and_what_is_read(name: str) -> None:
    bins = 128 if "large" in name else 80
    for mode, variant, reads in [
        ("finetune", "", "mel"),
        ("probe", "", "states"),
        ("finetune", "released", "states"),
    ]:
        backbone, s = setup(variant, name=name, mode=mode)
        features = backbone.features(s)
        assert list(features) == [reads]
        assert (
            getattr(features["mel"], "mels", None) == bins
            if reads == "mel"
            else features[reads].parameters > 0
        )
        given = inputs(features, [waveform(0.2)])
        assert backbone.network(s)(given).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "batch", "multilabel_epochs"),
    [(NAMES[0], 16, 3), (NAMES[1], 16, 3), (NAMES[2], 16, 3), (NAMES[3], 4, 1)],
)
def test_released_recipes_are_chens(
    name: str, batch: int, multilabel_epochs: int
) -> None:
    backbone, s = setup("released", name=name, scale="full")
    recipe = backbone.recipe(s)
    assert (recipe.batch_size, recipe.learning_rate, recipe.epochs) == (batch, 1e-4, 1)
    assert (recipe.accumulate, recipe.precision) == (2, "fp16")
    assert backbone.recipe(replace(s, multilabel=True)).epochs == multilabel_epochs
    assert s.options.pad == "30s"
    mended, plain = setup(name=name, scale="full")
    assert mended.recipe(plain).learning_rate < 5e-5


def test_released_cannot_be_probed() -> None:
    backbone, s = setup("released", mode="probe")
    assert "decoder" in backbone.refuses(s)
    assert backbone.refuses(replace(s, mode="finetune")) is None


@pytest.mark.parametrize("name", NAMES)
def test_sizes_in_code_are_the_checkpoints(name: str) -> None:
    from transformers import WhisperModel

    backbone, s = setup(name=name, scale="full", weights="random")
    with torch.device("meta"):
        model = WhisperModel(configuration(SIZES[backbone.size]))
    assert (
        sum(p.numel() for p in model.parameters())
        == backbone.checkpoints["*"].parameters
    )
    probe = backbone.features(replace(s, mode="probe"))["states"]
    assert probe.parameters == sum(p.numel() for p in model.encoder.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_step_at_full_size(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """SGD: beside large-v3's parameters and gradients (5 GB), Adam's moments would need another 5
    GB.
    """
    backbone, s = setup(name=name, scale="full", weights="random")
    started = time.monotonic()
    network = backbone.network(s).train()
    built = time.monotonic()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
    given, truth = inputs(backbone.features(s), [waveform(1.0)]), torch.tensor([1])
    before = F.cross_entropy(network(given), truth)
    before.backward()
    optimizer.step()
    assert F.cross_entropy(network(given), truth) < before
    count = sum(p.numel() for p in network.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        seconds = f"{built - started:.1f} s to build, {time.monotonic() - built:.1f} s for a step"
        sys.stdout.write(
            f"\n{name}: {count / 1e6:.1f} M parameters, {seconds}, peak so far {peak:.1f} GiB\n"
        )
