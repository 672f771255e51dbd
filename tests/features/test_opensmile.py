"""openSMILE's sets: their sizes, STRL-SER's framing, and what happens at the edges."""

import multiprocessing
import runpy
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

import bench.features.opensmile
from bench.contracts.feature import SAMPLE_RATE
from bench.errors import UsageError
from bench.features.opensmile import Smile, missing
from bench.testing import check_feature

CPU = torch.device("cpu")
STRL = Smile("IS10", "lld", 128, 32)
FEATURES = [
    Smile("IS10"),
    Smile("ComParE_2016"),
    Smile("eGeMAPSv02"),
    Smile("IS10", "functionals", 128, 32),
    STRL,
    Smile("IS10", "lld"),
    Smile("ComParE_2016", "lld"),
    Smile("eGeMAPSv02", "lld"),
]
needed = pytest.mark.skipif(bool(missing()), reason=missing())


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (
        0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    ).astype(np.float32)


def measured(feature: Smile) -> np.ndarray:
    return feature.extract([noise(0.4)], CPU)[0]


@needed
@pytest.mark.parametrize("feature", FEATURES, ids=str)
def test_any_clip_has_finite_values_of_the_right_number(feature: Smile) -> None:
    clips = [noise(0.05), 0 * noise(0.5), noise(0.5), noise(1 / SAMPLE_RATE)]
    check_feature(feature, clips)
    for array in feature.extract(clips, CPU):
        assert array.shape[1] == feature.width
        assert feature.level == "lld" or len(array) == 1


@needed
def test_sizes_are_those_of_the_sets() -> None:
    assert [feature.width for feature in FEATURES] == [
        1582,
        6373,
        88,
        1582,
        76,
        76,
        130,
        25,
    ]


@needed
def test_frames_are_those_of_strl() -> None:
    lengths = {1.2: 34, 1.4: 40, 1.6: 47, 1.8: 53, 2.0: 59, 2.2: 65}
    assert [len(a) for a in STRL.extract([noise(s) for s in lengths], CPU)] == list(
        lengths.values()
    )


@needed
def test_derivatives_belong_to_their_frames() -> None:
    """The second half is the regression over two frames on either side of the first half (HTK's
    formula).
    """
    frames = STRL.extract([noise(2.0)], CPU)[0]
    value, slope = frames[:, :38], frames[:, 38:]
    expected = (2 * (value[4:] - value[:-4]) + value[3:-1] - value[1:-3]) / 10
    np.testing.assert_allclose(slope[2:-2], expected, atol=1e-3 * np.abs(value).max())


@needed
def test_framing_changes_the_values() -> None:
    own, strl = measured(Smile("IS10")), measured(Smile("IS10", "functionals", 128, 32))
    assert np.isclose(own, strl).mean() < 0.5


@needed
def test_equal_in_several_processes() -> None:
    expected = measured(STRL)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for found in pool.map(measured, [STRL] * 4):
            np.testing.assert_array_equal(found, expected)


@needed
def test_too_loud_a_clip_does_not_wrap_around() -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(8000) / SAMPLE_RATE).astype(np.float32)
    limited, over = Smile("eGeMAPSv02").extract(
        [np.clip(1.3 * tone, -1, 1), 1.3 * tone], CPU
    )
    np.testing.assert_array_equal(limited, over)


@needed
def test_no_configuration_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measured(STRL)
    assert not list(tmp_path.iterdir())


def test_framing_is_for_is10_alone() -> None:
    with pytest.raises(
        UsageError, match="ComParE_2016 with frames of 128 ms every 32 ms"
    ):
        Smile("ComParE_2016", "lld", 128, 32)
    with pytest.raises(UsageError, match="must be set together"):
        Smile("IS10", "lld", 128)


def test_fields_and_version_count_for_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {feature.fingerprint for feature in FEATURES}
    assert len(before) == len(FEATURES)
    monkeypatch.setattr(bench.features.opensmile, "_version", lambda: "9.9")
    assert not before & {feature.fingerprint for feature in FEATURES}


def test_a_missing_package_is_named_with_its_licence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench.features.opensmile, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"pip install 'ser-bench\[opensmile\]' .*non-commercial"
    ):
        Smile().extract([noise(0.1)], CPU)


def test_the_package_is_imported_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)  # an import of it fails
    runpy.run_path(bench.features.opensmile.__file__)
