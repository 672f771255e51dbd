"""Predictions on disk, and what cannot be one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.scoring.predictions import Predictions


def made(**changes: Any) -> Predictions:
    fields: dict[str, Any] = {
        "labels": ("zorn", "Überraschung", "ruhe"),
        "clips": ("a", "b"),
        "speakers": ("s1", None),
        "truth": np.array([[False, True, False], [True, False, False]]),
        "probabilities": np.array([[0.1, 1 / 3, 1 - 0.1 - 1 / 3], [1.0, 0.0, 0.0]]),
    }
    return Predictions(**{**fields, **changes})


SEVERAL = {
    "truth": np.array([[True, True, False], [False, False, False]]),
    "probabilities": np.array([[0.9, 0.8, 0.3], [0.0, 1.0, 1.0]]),
    "multilabel": True,
}


@pytest.mark.parametrize("changes", [{}, SEVERAL])
def test_parquet_keeps_everything(tmp_path: Path, changes: dict[str, Any]) -> None:
    before = made(**changes)
    before.to_parquet(tmp_path / "p.parquet")
    after = Predictions.from_parquet(tmp_path / "p.parquet")
    assert (after.labels, after.clips, after.speakers) == (
        before.labels,
        before.clips,
        before.speakers,
    )
    assert after.multilabel == before.multilabel
    assert (after.truth == before.truth).all()
    assert (after.probabilities == before.probabilities).all()


def test_parquet_is_a_plain_table(tmp_path: Path) -> None:
    made(**SEVERAL).to_parquet(tmp_path / "p.parquet")
    import pandas as pd

    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table.columns) == [
        "clip",
        "speaker",
        "truth",
        "zorn",
        "Überraschung",
        "ruhe",
    ]
    assert list(table["truth"]) == ["zorn|Überraschung", ""]
    assert list(table["zorn"]) == [0.9, 0.0]


def test_parquet_keeps_a_test_part_without_clips(tmp_path: Path) -> None:
    empty = made(
        clips=(),
        speakers=(),
        truth=np.zeros((0, 3), bool),
        probabilities=np.zeros((0, 3)),
    )
    empty.to_parquet(tmp_path / "p.parquet")
    assert Predictions.from_parquet(tmp_path / "p.parquet").probabilities.shape == (
        0,
        3,
    )


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"clip": ["a"]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match="not a table of predictions"):
        Predictions.from_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("label", ["truth", "a|b"])
def test_a_label_that_cannot_be_a_column_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(ValueError, match="cannot be columns"):
        made(labels=(label, "b", "c")).to_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speakers": ("s1",)}, "1 speakers"),
        ({"truth": np.zeros((2, 2), bool)}, "truth of shape"),
        ({"probabilities": np.zeros((3, 3))}, "probabilities of shape"),
        (
            {"probabilities": np.array([[1, 0, 0], [np.nan, 0, 1]])},
            "clip b: a probability is not a number",
        ),
        (
            {"probabilities": np.array([[1, 0, 0], [1.2, -0.2, 0]])},
            "clip b: a probability is not a number",
        ),
        (
            {"probabilities": np.array([[0.5, 0.49, 0], [1, 0, 0]])},
            "clip a: the probabilities do not sum to 1",
        ),
        (
            {"truth": np.array([[1, 1, 0], [1, 0, 0]], bool)},
            "clip a: there is not exactly one true class",
        ),
    ],
)
def test_what_cannot_be_predictions_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_float32_rounding_is_no_error() -> None:
    assert made(probabilities=np.full((2, 3), np.float32(1 / 3), np.float64)).clips == (
        "a",
        "b",
    )
