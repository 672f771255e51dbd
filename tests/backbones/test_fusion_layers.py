"""The layers of the fusing networks: like torch's and transformers' own, without padding."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from backbones._fusion_net import Attention, MaskedGroupNorm, PitchEncoder
from bench.contracts.batch import Padded, pad
from bench.encoders.wav2vec2 import LARGE
from tests.backbones.test_fusion import BASE, inputs, network, setup, waveform


def test_a_masked_group_norm_is_torchs_on_each_clip_alone() -> None:
    torch.manual_seed(0)
    norm = nn.GroupNorm(5, 5)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    hidden, lengths = torch.randn(3, 5, 40) * 3 + 100, torch.tensor([40, 2, 17])
    found = MaskedGroupNorm(norm)(hidden, Padded(hidden.transpose(1, 2), lengths).mask)
    for clip, length in enumerate(lengths.tolist()):
        alone = F.group_norm(
            hidden[clip : clip + 1, :, :length].double(),
            5,
            norm.weight.double(),
            norm.bias.double(),
        )
        torch.testing.assert_close(
            found[clip, :, :length].double(), alone[0], atol=1e-4, rtol=0
        )


def test_a_signal_that_hardly_varies_is_the_same_in_any_company() -> None:
    norm = MaskedGroupNorm(nn.GroupNorm(1, 1))
    clip = torch.full((1, 1, 3001), 0.9) + 1e-4 * (torch.arange(3001) == 5)
    beside = F.pad(clip, (0, 9000))
    mask = torch.arange(12001)[None] < 3001
    torch.testing.assert_close(
        norm(beside, mask)[..., :3001], norm(clip, mask[:, :3001]), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("architecture", [BASE, LARGE], ids=["group", "layer"])
def test_the_pitch_encoder_is_transformers_front_end_on_each_clip_alone(
    architecture: Any,
) -> None:
    from transformers import AutoModel

    config = architecture.tiny().config()
    torch.manual_seed(1)
    original = AutoModel.from_config(config).eval()
    ours = PitchEncoder(config).eval()
    ours.layers.load_state_dict(original.feature_extractor.conv_layers.state_dict())
    ours.feature_projection.load_state_dict(original.feature_projection.state_dict())
    clips = [torch.randn(n) for n in (400, 16_000, 719, 720, 9_999)]
    with torch.no_grad():
        found = ours(pad(clips))
        for clip, values, length in zip(
            clips, found.values, found.lengths.tolist(), strict=True
        ):
            alone, _ = original.feature_projection(
                original.feature_extractor(clip[None]).transpose(1, 2)
            )
            assert length == alone.shape[1]
            torch.testing.assert_close(values[:length], alone[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("architecture", [BASE, LARGE], ids=["group", "layer"])
def test_pitch_has_as_many_frames_as_audio(architecture: Any) -> None:
    backbone, s = setup("pitch-fusion", language="vi" if architecture is BASE else "zh")
    net, given = (
        network(backbone, s),
        inputs(
            backbone, s, [waveform(n / 16_000) for n in (1, 399, 400, 719, 720, 5000)]
        ),
    )
    assert given["frontend"].lengths.tolist() == [1, 1, 1, 1, 2, 15]
    assert net.pitch(given["pitch"]).lengths.tolist() == [1, 1, 1, 1, 2, 15]


def test_attention_of_a_sequence_to_itself_is_torchs_layer() -> None:
    torch.manual_seed(2)
    ours = Attention(24, 4, "query", dropout=0.0)
    theirs = nn.TransformerEncoderLayer(24, 4, 96, dropout=0.0, batch_first=True)
    theirs.self_attn.load_state_dict(ours.attend.state_dict())
    theirs.norm1, theirs.norm2 = ours.first, ours.second
    theirs.linear1, theirs.linear2 = ours.feed[0], ours.feed[3]  # type: ignore[assignment]
    values, mask = torch.randn(2, 7, 24), torch.arange(7) < torch.tensor([[7], [4]])
    expected = theirs(values, src_key_padding_mask=~mask)
    torch.testing.assert_close(
        ours(values, values, mask)[mask], expected[mask], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("residual", ["query", "source"])
def test_attended_values_are_added_to_the_side_that_is_named(residual: Any) -> None:
    torch.manual_seed(3)
    layer, query, source = (
        Attention(8, 2, residual, dropout=0.0),
        torch.randn(1, 5, 8),
        torch.randn(1, 5, 8),
    )
    nn.init.zeros_(
        layer.attend.out_proj.weight
    )  # what is attended to adds nothing: the residual is left
    kept = layer.first(query if residual == "query" else source)
    torch.testing.assert_close(
        layer(query, source), layer.second(kept + layer.feed(kept))
    )
