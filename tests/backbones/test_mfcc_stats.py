"""The floor: what it reads, what it trains, and that it learns something."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from backbones.mfcc_stats import MfccStats
from bench.contracts.batch import pad
from bench.contracts.feature import SAMPLE_RATE
from bench.testing import check_backbone, tiny_setup

CPU = torch.device("cpu")


@pytest.mark.parametrize("mode", ["finetune", "probe"])
def test_mfcc_stats_keeps_the_rules_of_backbones(mode: Any) -> None:
    check_backbone(MfccStats("mfcc-stats"), mode)


def test_both_modes_and_scales_are_one_system() -> None:
    backbone = MfccStats("mfcc-stats")
    one, other = tiny_setup(backbone, "finetune"), tiny_setup(backbone, "probe")
    assert backbone.recipe(one) == backbone.recipe(other)
    assert {n: f.fingerprint for n, f in backbone.features(one).items()} == {
        n: f.fingerprint for n, f in backbone.features(other).items()
    }


def test_it_reads_means_and_deviations_of_39_coefficients() -> None:
    backbone = MfccStats("mfcc-stats")
    setup = tiny_setup(backbone)
    (array,) = backbone.features(setup)["mfcc"].extract([tone(200.0, 0)], CPU)
    assert array.shape == (1, 78)
    assert sum(w.numel() for w in backbone.network(setup).parameters()) == 78 * 3 + 3


def test_it_learns_pitch_of_noisy_tones() -> None:
    backbone = MfccStats("mfcc-stats")
    setup = tiny_setup(backbone)
    pitches = (150.0, 400.0, 900.0)
    arrays = backbone.features(setup)["mfcc"].extract(
        [tone(p, n) for n in range(8) for p in pitches], CPU
    )
    inputs, target = (
        {"mfcc": pad([torch.from_numpy(a) for a in arrays])},
        torch.arange(24) % 3,
    )
    torch.manual_seed(0)
    network: Any = backbone.network(setup)
    network.calibrate([inputs])
    optimiser = torch.optim.Adam(
        network.parameters(), lr=backbone.recipe(setup).learning_rate
    )
    for _ in range(40):
        optimiser.zero_grad()
        F.cross_entropy(network(inputs), target).backward()
        optimiser.step()
    assert (network(inputs).argmax(1) == target).all()


def tone(pitch: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    time = np.arange(round(random.uniform(0.3, 0.5) * SAMPLE_RATE)) / SAMPLE_RATE
    return (
        0.3 * np.sin(2 * np.pi * pitch * time)
        + 0.02 * random.standard_normal(len(time))
    ).astype(np.float32)
