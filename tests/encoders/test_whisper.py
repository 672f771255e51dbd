"""Whisper's forward pass on clips of any length, and its frozen features."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts.batch import Padded, pad
from bench.contracts.weights import Weights
from bench.encoders.frozen import release
from bench.encoders.whisper import (
    WhisperMeans,
    WhisperStates,
    decode_start,
    encode,
    frozen,
    layers,
    log_mel,
)
from bench.encoders.whisper_checkpoint import configuration, load, tiny

RANDOM = Weights("random", "random")
DIMS = tiny("small")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder() -> Any:
    torch.manual_seed(1)
    network = load("encoder", RANDOM, DIMS)
    for parameter in (
        network.parameters()
    ):  # livelier than an initialisation, so that a difference would show
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network


def waveform(seconds: float, seed: int = 0) -> Any:
    return (
        np.random.default_rng(seed)
        .normal(0, 0.1, round(seconds * 16_000))
        .astype(np.float32)
    )


def mels(*frames: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(frames))
    return [torch.randn(n, DIMS.mels, generator=generator) for n in frames]


# --- the forward pass ---


@torch.inference_mode()
def test_full_windows_equal_the_original_forward(encoder: Any) -> None:
    mel = pad(mels(3000, 3000))
    original = encoder(mel.values.transpose(1, 2), output_hidden_states=True)
    torch.testing.assert_close(
        encode(encoder, mel).values, original.last_hidden_state, atol=1e-5, rtol=0
    )
    for ours, theirs in zip(layers(encoder, mel), original.hidden_states, strict=True):
        torch.testing.assert_close(ours.values, theirs, atol=1e-5, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [2, 100, 250])
def test_a_short_clip_equals_the_original_with_fewer_positions(
    encoder: Any, frames: int
) -> None:
    positions = frames // 2
    sliced = load("encoder", RANDOM, replace(DIMS, positions=positions))
    state = dict(encoder.state_dict())
    state["embed_positions.weight"] = state["embed_positions.weight"][:positions]
    sliced.load_state_dict(state)
    mel = pad(mels(frames))
    original = sliced(mel.values.transpose(1, 2)).last_hidden_state
    torch.testing.assert_close(encode(encoder, mel).values, original, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_states_do_not_depend_on_the_batch(encoder: Any) -> None:
    clips = mels(1, 64, 101, 250)
    together = encode(encoder, pad(clips))
    for i, clip in enumerate(clips):
        alone = encode(encoder, pad([clip]))
        assert together.lengths[i] == alone.lengths[0] == (len(clip) + 1) // 2
        torch.testing.assert_close(
            together.values[i, : alone.lengths[0]], alone.values[0], atol=1e-5, rtol=0
        )


@torch.inference_mode()
def test_longer_than_30_seconds_is_windows_joined(encoder: Any) -> None:
    long, short = mels(3701, 90)
    joined = encode(encoder, pad([long, short]))
    assert joined.lengths.tolist() == [1851, 45]
    parts = [
        encode(encoder, pad([part])).values[0] for part in (long[:3000], long[3000:])
    ]
    torch.testing.assert_close(
        joined.values[0, :1851], torch.cat(parts), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        joined.values[1, :45],
        encode(encoder, pad([short])).values[0],
        atol=1e-5,
        rtol=0,
    )
    assert joined.values.isfinite().all()


@torch.inference_mode()
def test_the_start_token_sees_each_clips_own_states() -> None:
    from transformers import WhisperModel

    torch.manual_seed(2)
    model = WhisperModel(configuration(DIMS)).eval()
    mel = pad(mels(3000, 3000))
    states = encode(model.encoder, mel)
    start = torch.full((2, 1), model.config.decoder_start_token_id)
    original = model(
        mel.values.transpose(1, 2), decoder_input_ids=start
    ).last_hidden_state[:, 0]
    torch.testing.assert_close(
        decode_start(model.decoder, states), original, atol=1e-5, rtol=0
    )
    short = Padded(states.values, torch.tensor([40, 1500]))
    alone = decode_start(
        model.decoder, Padded(states.values[:1, :40], torch.tensor([40]))
    )
    torch.testing.assert_close(
        decode_start(model.decoder, short)[:1], alone, atol=1e-5, rtol=0
    )


# --- features ---


@torch.inference_mode()
def test_means_are_over_the_clips_own_positions() -> None:
    feature = WhisperMeans(RANDOM, DIMS)
    clips = [waveform(0.73), waveform(1.2, 1)]
    together = feature.extract(clips, CPU)
    encoder = frozen(RANDOM, DIMS)
    for clip, found in zip(clips, together, strict=True):
        mel = torch.from_numpy(log_mel(DIMS.mels, "30s").extract([clip], CPU)[0])
        assert mel.shape == (3000, DIMS.mels)
        hidden = encoder(mel.T[None], output_hidden_states=True).hidden_states
        own = -(-(len(clip) // 160) // 2)
        expected = torch.stack([h[0, :own].mean(0) for h in hidden])
        assert found.shape == (1, DIMS.encoder_layers + 1, DIMS.width)
        np.testing.assert_allclose(found[0], expected, atol=1e-5)
        np.testing.assert_allclose(found, feature.extract([clip], CPU)[0], atol=1e-5)


def test_padding_is_a_setting_of_the_frozen_encoder() -> None:
    clips = [waveform(0.5), waveform(0.8, 1)]
    assert [s.shape for s in WhisperStates(RANDOM, DIMS).extract(clips, CPU)] == [
        (1500, 48),
        (1500, 48),
    ]
    own = WhisperStates(RANDOM, DIMS, padding="own").extract(clips, CPU)
    assert [s.shape for s in own] == [(25, 48), (40, 48)]
    assert WhisperStates(RANDOM, DIMS, max_seconds=0.2, padding="own").extract(
        clips, CPU
    )[0].shape == (10, 48)
    mean = WhisperMeans(RANDOM, DIMS, padding="own").extract(clips, CPU)[1]
    np.testing.assert_allclose(mean[0, -1], own[1].mean(0), atol=1e-5)


def test_probing_hears_all_of_a_clip_longer_than_30_seconds() -> None:
    clip = waveform(31.3)
    parts = WhisperMeans(RANDOM, DIMS).extract(
        [clip[: 30 * 16_000], clip[30 * 16_000 :]], CPU
    )
    whole = WhisperMeans(RANDOM, DIMS).extract([clip], CPU)[0]
    np.testing.assert_allclose(
        whole, (1500 * parts[0] + 65 * parts[1]) / 1565, atol=1e-5
    )
    assert len(log_mel(80, "30s").extract([clip], CPU)[0]) == 6000
    assert len(log_mel(80, "30s", 30.0).extract([clip], CPU)[0]) == 3000


def test_random_frozen_weights_are_the_same_in_every_run() -> None:
    feature, clips = WhisperMeans(RANDOM, DIMS, padding="own"), [waveform(0.3)]
    first = feature.extract(clips, CPU)[0]
    release()
    torch.manual_seed(77)
    untouched = torch.random.get_rng_state()
    np.testing.assert_array_equal(feature.extract(clips, CPU)[0], first)
    assert torch.equal(torch.random.get_rng_state(), untouched)


def test_log_mel_agrees_with_the_hubs_extractor() -> None:
    from transformers import WhisperFeatureExtractor

    clip = waveform(1.3)
    for bins in (80, 128):
        theirs = (
            WhisperFeatureExtractor(feature_size=bins)(clip, sampling_rate=16_000)
            .input_features[0]
            .T
        )
        np.testing.assert_allclose(
            log_mel(bins, "30s").extract([clip], CPU)[0], theirs, atol=1e-4
        )
