"""That the fusions hear the pitch through their pitch stream, and that the controls and the
released signal do not.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.features.pitch import Pitch
from bench.features.pitch_signal import PitchSignal, Variant
from bench.registry import backbones
from bench.testing import tiny_setup
from tasks._voice import render
from tasks.demo import clip_ids, reading

Floats = NDArray[np.floating]

CLIPS = [
    clip_id for clip_id in clip_ids() if clip_id.split(".")[1] in ("s1", "s6")
]  # 96
SPEAKERS, LABELS = (
    np.array([clip_id.split(".")[part] for clip_id in CLIPS]) for part in (0, 2)
)
HEARD = PitchSignal("paper", Pitch(log=False, unvoiced="zero"), normalise=True)


@cache
def spoken() -> list[Floats]:
    return [
        render(reading(clip_id, "pitch")).samples.astype(np.float32) / 2**15
        for clip_id in CLIPS
    ]


@cache
def after_the_first_norm(signal: PitchSignal) -> Floats:
    """Quantiles of what the pitch encoder's first norm leaves of each clip: zero mean, deviation
    one.
    """
    signals = signal.extract(spoken(), torch.device("cpu"))
    normed = [(s - s.mean()) / np.sqrt(s.var() + 1e-5) for s in signals]
    return np.array(
        [np.percentile(s, np.arange(5, 100, 10)) for s in normed], np.float32
    )


def accuracy(features: Floats) -> float:
    """Share of clips a linear classifier gets right, tested on speakers that it was not trained on;
    chance is 0.25.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold = [(int(name[-1]) - 1) // 2 for name in SPEAKERS]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(
        (
            cross_val_predict(
                model, features, LABELS, groups=fold, cv=LeaveOneGroupOut()
            )
            == LABELS
        ).mean()
    )


def test_the_default_signal_tells_the_emotion() -> None:
    (backbone,) = backbones(["pitch-fusion"])
    assert backbone.features(tiny_setup(backbone))["pitch"] == HEARD
    assert accuracy(after_the_first_norm(HEARD)) > 0.75


@pytest.mark.parametrize(
    ("variant", "most"), [("constant", 0.3), ("nccf-broken", 0.4), ("shuffled", 0.6)]
)
def test_controls_and_the_released_signal_do_not(variant: Variant, most: float) -> None:
    """A shuffled contour keeps the shape of its distribution, which tells a little."""
    assert accuracy(after_the_first_norm(replace(HEARD, variant=variant))) < most


@pytest.mark.parametrize(
    ("log", "unvoiced"), [(True, "zero"), (True, "interpolate"), (False, "interpolate")]
)
def test_octaves_or_bridged_gaps_lose_what_the_norm_cannot_keep(
    log: bool, unvoiced: Any
) -> None:
    other = replace(HEARD, pitch=Pitch(log=log, unvoiced=unvoiced))
    assert (
        accuracy(after_the_first_norm(other))
        < accuracy(after_the_first_norm(HEARD)) - 0.1
    )


@pytest.mark.slow
def test_the_fusions_hear_pitch_and_without_it_do_not(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fold and one seed of results/reference/cues.md."""
    from benchmarks import cues

    monkeypatch.chdir(results.parent)
    cues.run(cues.FUSIONS, "demo:pitch", seeds=1, folds=1, results=results)
    heard = {row.backbone: row.scores["UA"] for row in cues.measured(results)}
    control = max(
        heard["pitch-fusion:constant-pitch"], heard["pitch-fusion:shuffled-pitch"]
    )
    assert heard["pitch-fusion"] > control + 0.25
    assert heard["feature-fusion"] > control + 0.15
    assert heard["pitch-fusion:released"] < heard["pitch-fusion:constant-pitch"] + 0.1
