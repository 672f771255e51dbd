"""The wav2vec 2.0 family frozen: what its features give is what transformers gives for one clip
alone.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts.weights import RANDOM, Weights, resolve
from bench.encoders import wav2vec2
from bench.encoders.frozen import release
from bench.encoders.wav2vec2 import (
    ARCHITECTURES,
    LARGE,
    Architecture,
    ConvFrontEnd,
    EncoderMeans,
    EncoderStates,
)
from bench.errors import WeightsError

CPU = torch.device("cpu")
TINY = {
    "wav2vec2": Architecture("wav2vec2").tiny(),
    "wav2vec2-layer": LARGE.tiny(),
    "hubert": Architecture("hubert").tiny(),
    "wavlm": Architecture("wavlm", normalise=False).tiny(),
    "wavlm-layer": replace(LARGE, kind="wavlm", conv_bias=False).tiny(),
}


def waveform(seconds: float, seed: int = 0) -> Any:
    return (
        np.random.default_rng(seed)
        .normal(0.05, 0.1, round(seconds * 16_000))
        .astype(np.float32)
    )


def saved(folder: Path, architecture: Architecture) -> tuple[Path, Any]:
    """A checkpoint in the hub's layout, with weights livelier than an initialisation, and its
    network.
    """
    from transformers import AutoModel, Wav2Vec2FeatureExtractor

    torch.manual_seed(1)
    network = AutoModel.from_config(architecture.config()).eval()
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=architecture.normalise).save_pretrained(
        folder
    )
    return folder, network


@pytest.fixture(scope="module", params=TINY)
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    return saved(
        tmp_path_factory.mktemp("checkpoint") / request.param, TINY[request.param]
    )


@pytest.fixture
def hubert(tmp_path: Path) -> Path:
    return saved(tmp_path / "hubert", TINY["hubert"])[0]


def prepared(folder: Path, clip: Any) -> torch.Tensor:
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(folder)
    return torch.from_numpy(extractor(clip, sampling_rate=16_000).input_values[0])[None]


# --- equal to transformers ---


@torch.inference_mode()
def test_the_front_end_is_that_of_each_clip_alone(checkpoint: tuple[Path, Any]) -> None:
    folder, network = checkpoint
    clips = [waveform(0.5), waveform(0.81, 1), waveform(0.2, 2)]
    for clip, found in zip(
        clips, ConvFrontEnd(resolve(str(folder), None)).extract(clips, CPU), strict=True
    ):
        expected = network.feature_extractor(prepared(folder, clip))[0].T
        assert found.shape == ((len(clip) - 400) // 320 + 1, 32)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@torch.inference_mode()
def test_the_states_are_those_of_each_clip_alone(checkpoint: tuple[Path, Any]) -> None:
    folder, network = checkpoint
    clips, weights = [waveform(0.5), waveform(0.81, 1)], resolve(str(folder), None)
    states, means = (
        f.extract(clips, CPU) for f in (EncoderStates(weights), EncoderMeans(weights))
    )
    for clip, found, mean in zip(clips, states, means, strict=True):
        result = network(prepared(folder, clip), output_hidden_states=True)
        expected = torch.cat(
            [*result.hidden_states[:-1], result.last_hidden_state]
        ).transpose(0, 1)
        assert found.shape == ((len(clip) - 400) // 320 + 1, 3, 48)
        np.testing.assert_allclose(found, expected, atol=5e-5)
        assert len(result.hidden_states) == 3
        np.testing.assert_allclose(mean, found.mean(0, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("kind", [ConvFrontEnd, EncoderStates, EncoderMeans])
def test_a_clips_result_is_the_same_to_the_bit_in_any_company(kind: Any) -> None:
    feature, clips = (
        kind(RANDOM, TINY["wav2vec2"]),
        [waveform(0.3), waveform(1.1, 1), waveform(0.6, 2)],
    )
    alone = [feature.extract([clip], CPU)[0] for clip in clips]
    for together in (
        feature.extract(clips, CPU),
        feature.extract(clips[::-1], CPU)[::-1],
    ):
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one, other)


@torch.inference_mode()
def test_padding_would_change_a_group_norms_front_end() -> None:
    """Why clips go through alone: with the padding of a batch, even a masked one, the first frames
    differ.
    """
    clip = torch.from_numpy(waveform(0.3))[None]
    padded = torch.nn.functional.pad(clip, (0, 16_000))
    for architecture, apart in (
        (TINY["wav2vec2"], True),
        (TINY["wav2vec2-layer"], False),
    ):
        network = wav2vec2.front_end(RANDOM, architecture)
        difference = (
            (network(clip) - network(padded)[..., : network(clip).shape[-1]])
            .abs()
            .max()
        )
        assert (difference > 1e-2) == apart


@pytest.mark.parametrize("samples", [1, 10, 399, 400, 719, 720])
def test_a_very_short_clip_has_one_frame_at_least(samples: int) -> None:
    clip = waveform(1.0)[:samples]
    found = ConvFrontEnd(RANDOM, TINY["wavlm"]).extract([clip], CPU)[0]
    assert found.shape == (1 + (samples == 720), 32)
    silence = np.concatenate([clip, np.zeros(max(0, 400 - samples), np.float32)])
    np.testing.assert_array_equal(
        found, ConvFrontEnd(RANDOM, TINY["wavlm"]).extract([silence], CPU)[0]
    )
    assert np.isfinite(
        EncoderMeans(RANDOM, TINY["hubert"]).extract([clip], CPU)[0]
    ).all()


def test_max_seconds_cuts() -> None:
    clip = waveform(1.0)
    for kind in (ConvFrontEnd, EncoderStates):
        cut = kind(RANDOM, TINY["hubert"], max_seconds=0.5).extract([clip], CPU)[0]
        np.testing.assert_array_equal(
            cut, kind(RANDOM, TINY["hubert"]).extract([clip[:8000]], CPU)[0]
        )


def test_silence_is_finite() -> None:
    clip = np.zeros(8000, np.float32)
    assert np.isfinite(
        EncoderMeans(RANDOM, TINY["wav2vec2"]).extract([clip], CPU)[0]
    ).all()


# --- weights ---


def test_random_frozen_weights_are_the_same_in_every_run() -> None:
    clips = [waveform(0.3)]
    for feature in (
        ConvFrontEnd(RANDOM, TINY["hubert"]),
        EncoderMeans(RANDOM, TINY["hubert"]),
    ):
        first = feature.extract(clips, CPU)[0]
        release()
        torch.manual_seed(77)
        untouched = torch.random.get_rng_state()
        np.testing.assert_array_equal(feature.extract(clips, CPU)[0], first)
        assert torch.equal(torch.random.get_rng_state(), untouched)


def test_networks_are_kept_until_they_are_released() -> None:
    release()
    first = wav2vec2.frozen(RANDOM, TINY["wavlm"])
    assert wav2vec2.frozen(RANDOM, TINY["wavlm"]) is first
    assert not any(p.requires_grad for p in first.parameters())
    release()
    assert (
        wav2vec2.frozen.cache_info().currsize
        == wav2vec2.front_end.cache_info().currsize
        == 0
    )


def test_parameters_are_counted_without_the_weights(
    checkpoint: tuple[Path, Any],
) -> None:
    folder, network = checkpoint
    weights = resolve(str(folder), None)
    release()
    assert EncoderMeans(weights).parameters == sum(
        p.numel() for p in network.parameters()
    )
    assert ConvFrontEnd(weights).parameters == sum(
        p.numel() for p in network.feature_extractor.parameters()
    )
    assert (
        wav2vec2.frozen.cache_info().currsize
        == wav2vec2.front_end.cache_info().currsize
        == 0
    )


def test_the_fingerprint_follows_what_the_result_depends_on(
    hubert: Path, tmp_path: Path
) -> None:
    weights = resolve(str(hubert), None)
    found = ConvFrontEnd(weights).fingerprint
    copied = resolve(str(shutil.copytree(hubert, tmp_path / "copy")), None)
    assert ConvFrontEnd(copied).fingerprint == found
    others = [
        ConvFrontEnd(weights, max_seconds=10.0),
        EncoderStates(weights),
        EncoderMeans(weights),
        ConvFrontEnd(RANDOM, TINY["hubert"]),
        ConvFrontEnd(RANDOM, TINY["wavlm"]),
    ]
    assert len({found, *(f.fingerprint for f in others)}) == 6


def test_another_family_is_refused(hubert: Path) -> None:
    (hubert / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    with pytest.raises(
        WeightsError, match="holds a whisper network, none of wav2vec2, hubert, wavlm"
    ):
        ConvFrontEnd(resolve(str(hubert), None)).extract([waveform(0.1)], CPU)


def test_normalisation_is_never_guessed(hubert: Path) -> None:
    path, clips = hubert / "preprocessor_config.json", [waveform(0.3)]
    before = ConvFrontEnd(resolve(str(hubert), None)).extract(clips, CPU)[0]
    newer = {"feature_extractor": json.loads(path.read_text())}
    path.unlink()
    with pytest.raises(WeightsError, match=r"lack preprocessor_config\.json"):
        ConvFrontEnd(resolve(str(hubert), None)).extract(clips, CPU)
    (hubert / "processor_config.json").write_text(
        json.dumps(newer)
    )  # where transformers' processors put it of late
    np.testing.assert_array_equal(
        ConvFrontEnd(resolve(str(hubert), None)).extract(clips, CPU)[0], before
    )
    path.write_text(json.dumps({"do_normalize": False}))
    raw = ConvFrontEnd(Weights(str(hubert), "other")).extract(clips, CPU)[0]
    assert np.abs(raw - before).max() > 1e-3


@pytest.mark.parametrize("hub_id", ARCHITECTURES)
def test_architectures_keep_their_norm_when_tiny(hub_id: str) -> None:
    full, tiny = ARCHITECTURES[hub_id].config(), ARCHITECTURES[hub_id].tiny().config()
    assert tiny.feat_extract_norm == full.feat_extract_norm
    assert (
        tiny.do_stable_layer_norm
        == full.do_stable_layer_norm
        == (full.feat_extract_norm == "layer")
    )
    assert (tiny.model_type, tiny.conv_bias) == (full.model_type, full.conv_bias)
    assert (tiny.hidden_size, tiny.num_hidden_layers, tiny.conv_dim) == (
        48,
        2,
        (32,) * 7,
    )
