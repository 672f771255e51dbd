"""Ha et al.'s streams: sizes and parameters of Tables 3 and 4, clips of one length, attention,
ImageNet's network.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from backbones._multistream import (
    ConvStream,
    FixedMfcc,
    FixedSpectrum,
    FixedWaveform,
    NonLocal,
)
from bench.contracts.backbone import Setup
from bench.contracts.batch import pad
from bench.registry import backbones

CPU = torch.device("cpu")
LABELS = (
    "anger",
    "boredom",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
)  # the paper's seven
FULL = (64, 64, 128, 128)


def setup(
    variant: str = "", scale: str = "full", weights: str | None = None, **options: Any
) -> tuple[Any, Setup]:
    backbone = backbones([f"multistream:{variant}" if variant else "multistream"])[0]
    chosen = replace(backbone.options(), **options)
    return backbone, Setup(
        LABELS, False, "de", "finetune", scale, weights, variant, chosen
    )  # type: ignore[arg-type]


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def ramp(seconds: float) -> Any:
    return np.linspace(-0.5, 0.5, round(seconds * 16_000), dtype=np.float32)


# --- parameters and sizes, at full size ---


@pytest.mark.parametrize(("dims", "parameters"), [(1, 87_360), (2, 259_776)])
def test_parameters_of_the_convolutions(dims: int, parameters: int) -> None:
    assert count(ConvStream(dims, FULL)) == parameters


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("1d", 484_423),
        ("2d", 656_839),
        ("type2", 260_679),
        ("type3", 87_360 + 2 * 259_776 + 4 * 128 * (128 + 128 + 2) + (3 * 128 + 1) * 7),
        ("", 606_912 + 3 * (128 + 1) * 64 + (64 + 1) * 128 + (128 + 1) * 7),
    ],
)
def test_parameters_of_a_variant(variant: str, parameters: int) -> None:
    backbone, s = setup(variant)
    assert count(backbone.network(s)) == parameters


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (
            (80_000,),
            [(64, 1, 20_000), (64, 1, 5_000), (128, 1, 1_250), (128, 1, 1_250)],
        ),
        (
            (128_000,),
            [(64, 1, 32_000), (64, 1, 8_000), (128, 1, 2_000), (128, 1, 2_000)],
        ),
        ((157, 128), [(64, 64, 78), (64, 16, 19), (128, 4, 4), (128, 4, 4)]),
        ((251, 128), [(64, 64, 125), (64, 16, 31), (128, 4, 7), (128, 4, 7)]),
    ],
)
def test_output_of_every_block(
    shape: tuple[int, ...], sizes: list[tuple[int, ...]]
) -> None:
    stream, found = ConvStream(len(shape), FULL), []
    for block in stream.blocks:
        block.register_forward_hook(
            lambda _m, _i, output: found.append(tuple(output.shape[1:]))
        )
    with torch.device("meta"):
        stream.to("meta")(torch.empty(1, *shape))
    assert found == sizes


def test_last_pooling_leaves_312_steps_of_a_waveform_and_one_of_a_spectrogram() -> None:
    wave, image = ConvStream(1, FULL).to("meta"), ConvStream(2, FULL).to("meta")
    assert wave._sequence(torch.empty(2, 128, 1, 1250, device="meta")).shape == (
        2,
        312,
        128,
    )
    assert image._sequence(torch.empty(2, 128, 4, 7, device="meta")).shape == (
        2,
        1,
        128,
    )


@pytest.mark.parametrize(("frames", "tokens"), [(157, 16), (251, 28)])
def test_tokens_of_a_spectrogram_are_its_4_by_4_map(frames: int, tokens: int) -> None:
    assert ConvStream(2, (8, 8, 16, 16)).tokens(torch.zeros(1, frames, 128)).shape == (
        1,
        tokens,
        16,
    )


@pytest.mark.parametrize("lstm", [0, 16])
def test_tokens_of_a_waveform_are_16(lstm: int) -> None:
    stream = ConvStream(1, (8, 8, 16, 16), lstm)
    assert stream.tokens(torch.zeros(2, 80_000)).shape == (2, 16, 16)


def test_pooling_before_relu_gives_what_relu_before_pooling_gives() -> None:
    torch.manual_seed(0)
    stream = ConvStream(2, (8, 8, 16, 16)).eval()
    values = torch.randn(2, 157, 128)
    maps = values.transpose(1, 2)[:, None]
    for block in stream.blocks:
        conv, norm, pool, relu = block.children()
        maps = pool(relu(norm(conv(maps))))
    torch.testing.assert_close(stream._maps(values), maps)


# --- attention ---


def test_non_local_block_is_an_embedded_gaussian_with_a_residual() -> None:
    torch.manual_seed(0)
    block, tokens = NonLocal(6), torch.randn(1, 4, 6)
    x = tokens[0]
    affinity = (block.theta(x) @ block.phi(x).T).exp()
    seen = (affinity / affinity.sum(1, keepdim=True)) @ block.g(x)
    torch.testing.assert_close(block(tokens)[0], x + block.out(seen))


def test_attention_has_the_papers_widths() -> None:
    block = NonLocal(128)
    assert [
        tuple(p.weight.shape) for p in (block.theta, block.phi, block.g, block.out)
    ] == [(64, 128)] * 3 + [(128, 64)]


# --- clips of one length ---


def test_a_short_clip_is_continued_by_its_mirror_image_as_often_as_needed() -> None:
    clip = np.array([1.0, 2.0, 3.0], np.float32)
    (found,) = FixedWaveform(seconds=8 / 16_000).extract([clip], CPU)
    assert found.tolist() == [1, 2, 3, 3, 2, 1, 1, 2]


def test_silence_may_follow_instead() -> None:
    (found,) = FixedWaveform(seconds=5 / 16_000, mirror=False).extract(
        [np.ones(3, np.float32)], CPU
    )
    assert found.tolist() == [1, 1, 1, 0, 0]


def test_of_a_long_clip_the_middle_stays() -> None:
    clip = ramp(6.0)
    (found,) = FixedWaveform().extract([clip], CPU)
    assert np.array_equal(found, clip[8_000:88_000])


@pytest.mark.parametrize("kind", [FixedMfcc, FixedSpectrum])
@pytest.mark.parametrize(
    ("seconds", "rate", "frames"),
    [(5.0, 16_000, 157), (8.0, 16_000, 251), (5.0, 8_000, 157)],
)
def test_images_have_the_papers_sizes(
    kind: Any, seconds: float, rate: int, frames: int
) -> None:
    clips = [ramp(1.0), ramp(5.0), ramp(9.0)]
    assert {a.shape for a in kind(seconds, rate).extract(clips, CPU)} == {(frames, 128)}


def test_8_khz_halves_the_samples_and_loses_what_is_above_4_khz() -> None:
    time = np.arange(80_000) / 16_000
    high = np.sin(2 * np.pi * 6_000 * time).astype(np.float32)
    (found,) = FixedWaveform(rate=8_000).extract([high], CPU)
    assert found.shape == (40_000,)
    assert np.abs(found[100:-100]).max() < 1e-3


def test_linear_spectrum_has_128_bins_up_to_the_nyquist_frequency() -> None:
    time = np.arange(80_000) / 16_000
    (found,) = FixedSpectrum(linear=True).extract(
        [np.sin(2 * np.pi * 4_000 * time).astype(np.float32)], CPU
    )
    assert found.shape == (157, 128)
    assert abs(int(found[80].argmax()) - 4_000 / 8_000 * 127) < 1


def test_mfcc_are_librosas() -> None:
    from librosa.feature import mfcc

    clip = np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32)
    (found,) = FixedMfcc().extract([clip], CPU)
    np.testing.assert_allclose(
        found,
        mfcc(y=clip, sr=16_000, n_mfcc=128, n_fft=2048, hop_length=512).T,
        atol=1e-3,
    )


# --- the whole ---


@pytest.mark.parametrize(
    "options",
    [{"seconds": 8.0}, {"rate": 8_000}, {"tokens": "lstm"}, {"spectrum": "linear"}],
)
def test_options_reach_features_and_network(options: dict[str, Any]) -> None:
    backbone, s = setup(scale="tiny", **options)
    usual = backbone.features(setup(scale="tiny")[1])
    features, network = backbone.features(s), backbone.network(s).eval()
    inputs = {
        name: pad([torch.from_numpy(a) for a in f.extract([ramp(2.0)], CPU)])
        for name, f in features.items()
    }
    assert network(inputs).shape == (1, 7)
    assert "tokens" in options or any(features[name] != usual[name] for name in usual)


def test_network_standardises_by_the_training_part() -> None:
    backbone, s = setup("type2", scale="tiny")
    network = backbone.network(s)
    values = 40 + 7 * torch.randn(
        3, 157, 128, generator=torch.Generator().manual_seed(0)
    )
    network.calibrate(
        [{"mfcc": pad(list(values[:2]))}, {"mfcc": pad(list(values[2:]))}]
    )
    layer = network.standardise["mfcc"]
    torch.testing.assert_close(layer.mean, values.mean((0, 1)), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(
        layer.deviation, values.std((0, 1), correction=0), rtol=1e-4, atol=1e-3
    )


def test_pretrained_streams_start_from_a_local_resnet(tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(5)
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
    )
    saved = ResNetModel(config)
    saved.save_pretrained(tmp_path)
    backbone, s = setup("pretrained", weights=str(tmp_path))
    network = backbone.network(s).eval()
    for name in ("mfcc", "spectrum"):
        for key, value in network.streams[name].resnet.state_dict().items():
            assert torch.equal(value, saved.state_dict()[key]), key
    assert network.streams["spectrum"].tokens(torch.randn(1, 157, 128)).shape == (
        1,
        4 * 5,
        128,
    )
    assert not backbone.weights(s).random


def test_pretrained_at_full_size_is_resnet_18() -> None:
    backbone, s = setup("pretrained", weights="random")
    resnet = backbone.network(s).streams["mfcc"].resnet
    assert (
        count(resnet) == 11_689_512 - (512 + 1) * 1000
    )  # without ImageNet's classifier


def test_only_the_pretrained_variant_asks_for_weights() -> None:
    assert setup("pretrained")[0].pretrained
    backbone, s = setup()
    assert not backbone.pretrained
    assert backbone.weights(s).random


def test_probe_is_refused_with_the_reason() -> None:
    backbone, s = setup()
    assert "no frozen encoder" in backbone.refuses(replace(s, mode="probe"))
