"""Batches beyond the budget are computed in pieces, and give what they give as a whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs
from bench.contracts.clip import Clip
from bench.contracts.recipe import Recipe
from bench.features.extraction import extract
from bench.features.signal import LogMel, Waveform
from bench.training import pieces
from bench.training.batching import RATE, Examples
from bench.training.job import TrainingJob
from bench.training.layers import MeanClassifier
from bench.training.loop import train
from bench.training.pieces import bounded
from bench.training.prediction import probabilities
from tests.helpers import tones

CPU = torch.device("cpu")
RECIPE = Recipe(
    epochs=2,
    batch_size=8,
    accumulate=2,
    learning_rate=0.05,
    patience=0,
    precision="fp32",
    class_weights="balanced",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    corpus, cache = tones(tmp_path_factory.mktemp("tones"), per_speaker=2)
    features = {
        "mel": extract(LogMel(mels=80), corpus, cache, CPU),
        "wave": extract(Waveform(), corpus, cache, CPU),
    }
    unbalanced = [clip for clip in corpus.clips if not _is_left_out(clip)]
    return Examples(unbalanced, corpus.task.labels, False, features)


def _is_left_out(clip: Clip) -> bool:
    return clip.labels == ("low",) and clip.speaker in "abcd"


class Counted(MeanClassifier):
    """Remembers how many clips it was given at a time."""

    def __init__(self) -> None:
        super().__init__("mel", 80, 3)
        self.seen: list[int] = []

    def forward(self, inputs: Inputs) -> Tensor:
        self.seen.append(len(inputs["mel"].lengths))
        return super().forward(inputs)


class Normed(Counted):
    """Clips meet in a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, inputs: Inputs) -> Tensor:
        logits: Tensor = self.norm(super().forward(inputs))
        return logits


def trained(network: nn.Module, recipe: Recipe, clips: Examples, folder: Path) -> None:
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    job = TrainingJob(
        network, recipe, clips, clips, 0, CPU, lambda *_: None, folder / "c.pt"
    )
    train(job)


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_pieces_train_what_the_whole_batch_trains(
    weights: str, clips: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, class_weights=weights)
    whole, divided = Counted(), Counted()
    trained(whole, recipe, clips, tmp_path)
    monkeypatch.setattr(pieces, "BUDGET", 3 * max(clips.extents) ** 2)
    trained(divided, recipe, clips, tmp_path)
    assert max(whole.seen) == 8
    assert max(divided.seen) < 8
    assert sum(whole.seen) == sum(divided.seen)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(
            divided.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name
        )


def test_clips_that_meet_in_a_batch_norm_stay_together(
    clips: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, same = Normed(), Normed()
    recipe = replace(RECIPE, epochs=1)
    trained(whole, recipe, clips, tmp_path)
    monkeypatch.setattr(pieces, "BUDGET", 1)
    trained(same, recipe, clips, tmp_path)
    assert set(same.seen) == {8, len(clips) % 8, 1}  # 1: scored one by one
    # calibrated from other batches, so the last digits may differ
    torch.testing.assert_close(
        whole.classify.weight, same.classify.weight, rtol=1e-4, atol=1e-6
    )


def test_predictions_do_not_depend_on_the_budget(
    clips: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Counted()
    whole = probabilities(network, clips, CPU, 8)
    monkeypatch.setattr(pieces, "BUDGET", 1)
    alone = probabilities(network, clips, CPU, 8)
    assert network.seen[-len(clips) :] == [1] * len(clips)
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-6)


def test_an_extent_is_that_of_the_shortest_feature_and_of_the_audio(
    clips: Examples,
) -> None:
    for clip, extent in zip(clips.clips, clips.extents, strict=True):
        seconds = clips.features["wave"].seconds(clip.id)
        assert extent == int(np.ceil(RATE * seconds))
        assert extent < clips.features["mel"].frames(clip.id)


def test_groups_are_divided_where_their_longest_clip_asks_for_it() -> None:
    extents = [35 * RATE, 12 * RATE, 12 * RATE, 1, 0]
    groups = [[0, 1, 3], [1, 2, 3], [4]]
    assert list(bounded(groups, extents)) == [[0], [1], [3], [1, 2, 3], [4]]
