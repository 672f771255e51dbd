"""BYOL-S: its parts against plain torch, its masks, its released weights, and real speech."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backbones._byol import AudioNTT, ByolEmbedding, ByolInput, MaskedBatchNorm, load
from backbones.byol_s import ByolOptions, ByolS
from bench.contracts.backbone import Setup
from bench.contracts.batch import Padded, pad
from bench.contracts.feature import SAMPLE_RATE
from bench.contracts.weights import Weights, resolve
from bench.encoders.frozen import release
from bench.errors import WeightsError
from bench.testing import check_backbone

CPU = torch.device("cpu")
RANDOM = Weights("random", "random")
FRAMES = (61, 8, 40, 23)  # none but one divisible by 8


def small() -> AudioNTT:
    torch.manual_seed(0)
    network = AudioNTT(mels=64, channels=4, dim=16)
    for layer in (
        network.modules()
    ):  # statistics and shifts that turn padding into something other than zero
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.bias, 0, 1)
    return network.eval()


def logmels(*frames: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, 64, generator=generator) for n in frames]


def noise(*seconds: float) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        0.1 * random.standard_normal(round(s * SAMPLE_RATE)).astype(np.float32)
        for s in seconds
    ]


def setup(
    mode: Any = "finetune",
    scale: Any = "tiny",
    weights: str | None = None,
    **options: Any,
) -> Setup:
    return Setup(
        ("a", "b", "c"), False, "en", mode, scale, weights, "", ByolOptions(**options)
    )


@pytest.mark.parametrize("mode", ["finetune", "probe"])
def test_byol_s_keeps_the_rules_of_backbones(mode: Any) -> None:
    check_backbone(ByolS("byol-s"), mode)


def test_one_clip_without_masks_is_the_plain_network() -> None:
    """What the paper's layers give when nothing is padded, written out."""
    network, clip = small(), logmels(61)[0]
    values = network.features[0](clip.T[None, None])
    for layer in list(network.features)[1:]:
        plain = (
            nn.BatchNorm2d.forward
            if isinstance(layer, MaskedBatchNorm)
            else type(layer).forward
        )
        values = plain(layer, values)
    assert values.shape == (1, 4, 64 // 8, 61 // 8)
    frames = network.fc(
        values.permute(0, 3, 2, 1).reshape(1, 61 // 8, -1)
    )  # (time, mel x channel)
    expected = frames.amax(1) + frames.mean(1)
    torch.testing.assert_close(network(pad([clip])), expected)


def test_a_clip_gives_the_same_embedding_alone_and_in_a_batch() -> None:
    network, clips = small(), logmels(*FRAMES)
    together = network(pad(clips))
    for clip, embedding in zip(clips, together, strict=True):
        torch.testing.assert_close(
            network(pad([clip]))[0], embedding, atol=1e-5, rtol=0
        )


def test_what_stands_in_the_padding_does_not_matter() -> None:
    network, batch = small(), pad(logmels(*FRAMES))
    dirty = Padded(batch.values.masked_fill(~batch.mask[..., None], 7.0), batch.lengths)
    for mode in (False, True):
        network.train(mode)
        torch.manual_seed(0)
        clean = network(batch)
        torch.manual_seed(0)
        torch.testing.assert_close(network(dirty), clean)


@pytest.mark.parametrize("frames", [1, 7, 8, 9])
def test_the_shortest_clips_have_an_embedding(frames: int) -> None:
    network, clips = small(), logmels(frames, 30)
    together = network(pad(clips))
    assert together.isfinite().all()
    torch.testing.assert_close(network(pad(clips[:1]))[0], together[0])


def test_batch_norm_learns_from_own_frames_alone() -> None:
    """Statistics, outputs and gradients are those of torch's batch norm over the clips' frames side
    by side.
    """
    lengths = torch.tensor([5, 3])
    values = torch.randn(2, 4, 6, 5, requires_grad=True)
    ours, plain = MaskedBatchNorm(4), nn.BatchNorm2d(4)
    joined = torch.cat([values[0], values[1, ..., :3]], -1)[None]
    expected = plain(joined)[0]
    found = ours(values, lengths)
    torch.testing.assert_close(found[0], expected[..., :5])
    torch.testing.assert_close(found[1], F.pad(expected[..., 5:], (0, 2)))
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())
    weights = torch.randn_like(found)
    (gradient,) = torch.autograd.grad((found * weights).sum(), values)
    joined_weights = torch.cat([weights[0], weights[1, ..., :3]], -1)
    (expected_gradient,) = torch.autograd.grad(
        (plain(joined)[0] * joined_weights).sum(), values
    )
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("norm", ["clip", "audioset"])
def test_embeddings_do_not_depend_on_the_other_clips(norm: Any) -> None:
    feature, clips = (
        ByolEmbedding(RANDOM, ByolInput(norm), 4, 16),
        noise(0.5, 0.05, 1.3),
    )
    together = feature.extract(clips, CPU)
    for clip, array in zip(clips, together, strict=True):
        assert (array.shape, array.dtype) == ((1, 1, 16), np.float32)
        np.testing.assert_allclose(feature.extract([clip], CPU)[0], array, atol=1e-5)


def test_clip_norm_does_not_hear_the_recording_level() -> None:
    (clip,) = noise(0.5)
    same, other = (
        [
            ByolEmbedding(RANDOM, ByolInput(norm), 4, 16).extract([x], CPU)[0]
            for x in (clip, clip / 8)
        ]
        for norm in ("clip", "audioset")
    )
    np.testing.assert_allclose(*same, atol=1e-3)
    assert np.abs(other[0] - other[1]).max() > 1e-3


@pytest.mark.parametrize("norm", ["clip", "audioset"])
def test_silence_has_an_embedding(norm: Any) -> None:
    assert np.isfinite(
        ByolEmbedding(RANDOM, ByolInput(norm), 4, 16).extract(
            [np.zeros(8000, np.float32)], CPU
        )[0]
    ).all()


def test_random_weights_are_the_same_in_every_run_and_leave_the_seed_alone() -> None:
    clips, feature = noise(0.3), ByolEmbedding(RANDOM, channels=4, dim=16)
    torch.manual_seed(1)
    first = feature.extract(clips, CPU)[0]
    release()
    torch.manual_seed(2)
    expected = torch.rand(1, generator=torch.Generator().manual_seed(2))
    np.testing.assert_array_equal(feature.extract(clips, CPU)[0], first)
    assert torch.rand(1) == expected


def test_fingerprint_follows_weights_and_norm() -> None:
    variants = [
        ByolEmbedding(RANDOM),
        ByolEmbedding(Weights("a.pth", "digest")),
        ByolEmbedding(RANDOM, ByolInput("audioset")),
        ByolEmbedding(RANDOM, dim=16),
    ]
    assert len({feature.fingerprint for feature in variants}) == 4
    assert (
        variants[1].fingerprint
        == ByolEmbedding(Weights("elsewhere.pth", "digest")).fingerprint
    )


@pytest.mark.parametrize("level", [0.001, 1.0])
def test_log_mels_are_standardised_by_the_clip(level: float) -> None:
    (clip,) = noise(0.5)
    (logmel,) = ByolInput().extract([level * clip], CPU)
    assert logmel.mean() == pytest.approx(0, abs=1e-4)
    assert logmel.std() == pytest.approx(1, abs=1e-4)


def test_fine_tuning_starts_from_standardised_embeddings() -> None:
    network: Any = ByolS("byol-s").network(setup(dropout=0.0))
    clips = logmels(30, 17, 22, 40, 35)
    before = {
        name: tensor.clone() for name, tensor in network.encoder.state_dict().items()
    }
    with torch.no_grad():
        network.calibrate([{"logmel": pad(clips[:2])}, {"logmel": pad(clips[2:])}])
        embeddings = network.standardise(network.encoder.eval()(pad(clips)))
    alive = embeddings.abs().amax(0) > 1e-3
    assert alive.sum() > 10
    torch.testing.assert_close(embeddings.mean(0), torch.zeros(64), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        embeddings.std(0, correction=0)[alive],
        torch.ones(int(alive.sum())),
        atol=1e-2,
        rtol=0,
    )
    torch.testing.assert_close(network.encoder.state_dict(), before)


def test_a_file_of_something_else_is_one_sentence(tmp_path: Path) -> None:
    torch.save(AudioNTT(channels=4, dim=16).state_dict(), tmp_path / "small.pth")
    (tmp_path / "text.pth").write_text("no weights", encoding="utf-8")
    torch.save(AudioNTT(channels=4, dim=16), tmp_path / "pickle.pth")
    for name in ("small.pth", "text.pth", "pickle.pth"):
        with pytest.raises(
            WeightsError, match=f"{name} does not hold the weights of BYOL-S"
        ) as refused:
            load(resolve(str(tmp_path / name), None))
        assert "weights_only" not in str(refused.value)


def test_released_weights_load_whole(byol_s_weights: Path) -> None:
    weights = resolve(str(byol_s_weights), None)
    assert weights.digest.startswith("449f5d0dc6b6")
    network, state = load(weights), torch.load(byol_s_weights, weights_only=True)
    assert all(
        torch.equal(tensor, state[name])
        for name, tensor in network.state_dict().items()
    )
    assert (
        ByolEmbedding(weights).parameters
        == sum(w.numel() for w in network.parameters())
        == 600_192
    )


def test_fine_tuning_starts_from_the_released_weights(byol_s_weights: Path) -> None:
    given = setup(scale="full", weights=str(byol_s_weights))
    network: Any = ByolS("byol-s").network(given)
    state = torch.load(byol_s_weights, weights_only=True)
    assert torch.equal(network.encoder.fc[3].weight, state["fc.3.weight"])
    assert all(w.requires_grad for w in network.parameters())


def test_real_speech_one_voice_is_nearer_to_itself(
    ravdess_root: Path, byol_s_weights: Path
) -> None:
    """Four clips of two actors: the embeddings tell the speakers apart."""
    import soundfile
    import soxr

    names = [
        f"Actor_{a:02}/03-01-01-01-0{s}-01-{a:02}.wav" for a in (1, 2) for s in (1, 2)
    ]
    clips = []
    for name in names:
        samples, rate = soundfile.read(
            ravdess_root / name, dtype="float32", always_2d=True
        )
        clips.append(
            soxr.resample(samples.mean(1), rate, SAMPLE_RATE).astype(np.float32)
        )
    feature = ByolEmbedding(resolve(str(byol_s_weights), None))
    a1, a2, b1, b2 = (e[0, 0] for e in feature.extract(clips, CPU))
    assert max(np.linalg.norm(a1 - a2), np.linalg.norm(b1 - b2)) < min(
        np.linalg.norm(a1 - b1), np.linalg.norm(a2 - b2)
    )
