"""Shared layers against numpy and scikit-learn."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.contracts.batch import Padded, pad
from bench.contracts.recipe import probe_recipe
from bench.training.layers import (
    LayerProbe,
    MeanClassifier,
    Standardise,
    calibrate_each,
)


def arrays(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [2 + 3 * torch.randn(*shape, generator=generator) for shape in shapes]


def test_standardise_per_dimension_over_own_frames() -> None:
    clips, layer = arrays((5, 3), (2, 3), (9, 3)), Standardise(3)
    layer.calibrate([pad(clips[:2]), pad(clips[2:])])
    whole = torch.cat(clips)
    torch.testing.assert_close(layer.mean, whole.mean(0))
    torch.testing.assert_close(layer.deviation, whole.std(0, correction=0))
    torch.testing.assert_close(
        layer(whole), (whole - whole.mean(0)) / whole.std(0, correction=0)
    )


@pytest.mark.parametrize("dims", [(1,), (1, 4), (3, 1), (1, 1)])
def test_standardise_averages_over_dimensions_of_size_one(
    dims: tuple[int, ...],
) -> None:
    full = (4,) if len(dims) == 1 else (3, 4)
    clips, layer = arrays((5, *full), (2, *full)), Standardise(*dims)
    layer.calibrate([pad(clips)])
    whole = torch.cat(clips).numpy()
    axes = (0, *[i + 1 for i, d in enumerate(dims) if d == 1])
    np.testing.assert_allclose(layer.mean, whole.mean(axes).reshape(dims), rtol=1e-5)
    np.testing.assert_allclose(
        layer.deviation, whole.std(axes).reshape(dims), rtol=1e-5
    )


def test_standardise_leaves_what_never_varies() -> None:
    layer = Standardise(2)
    layer.calibrate([pad([torch.tensor([[1.0, 7.0], [3.0, 7.0]])])])
    assert layer.deviation.tolist() == [1.0, 1.0]
    assert layer(torch.tensor([[1.0, 7.0]])).tolist() == [[-1.0, 0.0]]


def test_standardise_keeps_its_digits_far_from_zero() -> None:
    values = 1e4 + torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
    layer = Standardise(1)
    layer.calibrate([Padded(values[None], torch.tensor([1000]))])
    torch.testing.assert_close(
        layer.deviation, values.double().std(0, correction=0).float(), rtol=1e-3, atol=0
    )


def test_standardise_is_saved_with_the_network() -> None:
    layer, other = Standardise(3), Standardise(3)
    layer.calibrate([pad(arrays((5, 3)))])
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.mean, layer.mean)


def test_standardise_of_several_inputs_in_one_pass() -> None:
    wide, narrow = arrays((5, 3), (2, 3)), arrays((4, 1, 2), (7, 1, 2))
    layers = {"wide": Standardise(3), "narrow": Standardise(1, 2)}
    batches = (
        {"wide": pad([w]), "narrow": pad([n]), "other": pad([w])}
        for w, n in zip(wide, narrow, strict=True)
    )
    calibrate_each(layers, batches)  # a generator: a second pass would find nothing
    torch.testing.assert_close(layers["wide"].mean, torch.cat(wide).mean(0))
    torch.testing.assert_close(layers["narrow"].mean, torch.cat(narrow).mean(0))
    torch.testing.assert_close(
        layers["narrow"].deviation, torch.cat(narrow).std(0, correction=0)
    )


def test_layer_probe_gives_the_same_for_frames_and_for_their_mean() -> None:
    frames = arrays((5, 2, 3), (8, 2, 3))
    means = [clip.mean(0, keepdim=True) for clip in frames]
    torch.manual_seed(0)
    probe = LayerProbe("states", layers=2, dim=3, classes=4)
    torch.nn.init.normal_(probe.layer_weights, std=0.1)
    probe.calibrate([{"states": pad(frames)}])
    logits = probe({"states": pad(frames)})
    assert logits.shape == (2, 4)
    torch.testing.assert_close(probe({"states": pad(means)}), logits)


def test_layer_probe_weighs_layers_classifies_and_averages_in_any_order() -> None:
    """Frame by frame: softmax-weighted layers, linear map, mean; written out."""
    (clip,) = arrays((6, 2, 3))
    probe = LayerProbe("states", layers=2, dim=3, classes=4)
    torch.nn.init.normal_(probe.layer_weights, std=0.1)
    share = probe.shares()
    assert share.sum().item() == pytest.approx(1)
    expected = torch.stack(
        [probe.classify(share[0] * frame[0] + share[1] * frame[1]) for frame in clip]
    ).mean(0)
    torch.testing.assert_close(probe({"states": pad([clip])})[0], expected)


def test_mean_classifier_ignores_padding() -> None:
    clips = arrays((5, 3), (2, 3))
    network = MeanClassifier("mfcc", dim=3, classes=2)
    network.calibrate([{"mfcc": pad(clips)}])
    together = network({"mfcc": pad(clips)})
    torch.testing.assert_close(network({"mfcc": pad(clips[1:])})[0], together[1])


def _trained(probe: LayerProbe, states: Tensor, target: Tensor) -> LayerProbe:
    """By the probe recipe: its optimiser, schedule and number of steps."""
    recipe = probe_recipe()
    inputs = {
        "states": Padded(states[:, None], torch.ones(len(states), dtype=torch.long))
    }
    probe.calibrate([inputs])
    kind = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
    }[recipe.optimizer]
    optimiser = kind(
        probe.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * -(-len(states) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(states)).split(recipe.batch_size):
            optimiser.zero_grad()
            batch = {
                "states": Padded(
                    states[rows, None], torch.ones(len(rows), dtype=torch.long)
                )
            }
            F.cross_entropy(probe(batch), target[rows]).backward()
            optimiser.step()
            schedule.step()
    return probe


def _corpus(
    seed: int, clips: int, layers: int, dim: int, informative: int
) -> tuple[Tensor, Tensor]:
    """States whose class is in one layer alone, well hidden in noise."""
    centres = torch.randn(4, dim, generator=torch.Generator().manual_seed(9))
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 4, (clips,), generator=generator)
    states = 3 * torch.randn(clips, layers, dim, generator=generator)
    states[:, informative] += centres[target]
    return states, target


def test_the_probe_recipe_equals_logistic_regression() -> None:
    states, target = _corpus(0, 600, layers=1, dim=64, informative=0)
    unseen, truth = _corpus(1, 2000, layers=1, dim=64, informative=0)
    torch.manual_seed(0)
    probe = _trained(LayerProbe("states", 1, 64, 4), states, target)
    found = probe({"states": pad(list(unseen[:, None]))}).argmax(1)
    mean, deviation = states.mean(0), states.std(0)
    penalty = 1 / (probe_recipe().weight_decay * len(states))
    from sklearn.linear_model import LogisticRegression

    oracle = LogisticRegression(C=penalty, max_iter=500).fit(
        ((states - mean) / deviation)[:, 0].numpy(), target
    )
    expected = oracle.predict(((unseen - mean) / deviation)[:, 0].numpy())
    accuracy, best = (
        (found == truth).float().mean().item(),
        (torch.from_numpy(expected) == truth).float().mean().item(),
    )
    assert best > 0.6
    assert accuracy == pytest.approx(best, abs=0.02)


def test_the_probe_recipe_finds_the_layer_that_carries_the_class() -> None:
    torch.manual_seed(0)
    probe = _trained(
        LayerProbe("states", 6, 64, 4),
        *_corpus(0, 600, layers=6, dim=64, informative=4),
    )
    assert probe.shares()[4] > 0.8
