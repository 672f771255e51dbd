"""Thresholds of classes: chosen on validation, kept with predictions, each fold's own where folds
are put together.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.scoring import thresholds
from bench.scoring.predictions import Predictions
from bench.scoring.scores import concatenate, decisions, f1, outcomes, scores

LABELS = ("fear", "guilt", "pain")


def made(
    truth: object,
    probabilities: object,
    labels: tuple[str, ...] = LABELS,
    prefix: str = "",
) -> Predictions:
    said = np.array(truth, dtype=bool)
    names = tuple(f"{prefix}{n}" for n in range(len(said)))
    return Predictions(
        labels,
        names,
        (None,) * len(said),
        said,
        np.array(probabilities, dtype=float),
        multilabel=True,
    )


def drawn(seed: int, clips: int = 80, prefix: str = "") -> Predictions:
    """Probabilities that tell a little, far from 0.5."""
    random = np.random.default_rng(seed)
    truth = random.random((clips, 3)) < (0.1, 0.3, 0.7)
    return made(
        truth,
        np.round(0.05 + 0.2 * random.random(truth.shape) + 0.06 * truth, 3),
        prefix=prefix,
    )


def test_a_worked_case() -> None:
    """Two of three hits at 0.2 (F1 0.8) beat one at 0.4 (2/3) and all at 0.05 (0.67); midway to 0.1
    is 0.15.
    """
    truth = [[1], [0], [1], [0], [0], [0]]
    assert thresholds.choose(
        made(truth, [[0.4], [0.3], [0.2], [0.1], [0.1], [0.05]], ("fear",))
    ) == pytest.approx(0.15)


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_has_a_better_f1_on_validation(seed: int) -> None:
    validation = drawn(seed)
    found = f1(outcomes(thresholds.apply(validation, thresholds.choose(validation))))
    for one in np.linspace(0, 1, 401):
        assert (
            f1(outcomes(thresholds.apply(validation, np.full(3, one)))) <= found + 1e-12
        ).all()
    assert (found > f1(outcomes(validation))).all()


def test_a_class_that_validation_lacks_keeps_one_half_and_is_named() -> None:
    validation = made([[1, 0, 0], [0, 0, 1]], [[0.2, 0.3, 0.1], [0.1, 0.4, 0.2]])
    assert thresholds.choose(validation)[1] == 0.5
    assert (
        thresholds.notes(validation)[1]
        == "no validation clip of guilt: predicted from a probability of 0.5 on"
    )
    assert thresholds.notes(drawn(0)) == [thresholds.CHOSEN]


def test_of_equally_good_thresholds_the_nearest_to_one_half_is_taken() -> None:
    """One hit in 0.9 and two in all: F1 2/3 and 2/3, at 0.6 and at 0.15."""
    validation = made([[1], [0], [0], [1]], [[0.9], [0.3], [0.3], [0.3]], ("fear",))
    assert thresholds.choose(validation) == pytest.approx(0.6)


def test_ties_of_probabilities_are_decided_together() -> None:
    validation = made([[1], [0], [0]], [[0.3], [0.3], [0.1]], ("fear",))
    assert thresholds.choose(validation) == pytest.approx(0.2)


def test_the_file_keeps_them(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    before = thresholds.apply(drawn(1), np.array([0.1, 1 / 3, 0.7]))
    before.to_parquet(tmp_path / "p.parquet")
    after = Predictions.from_parquet(tmp_path / "p.parquet")
    assert after.thresholds is not None
    assert (after.thresholds == before.thresholds).all()
    assert scores(after) == scores(before)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names[-3:] == [
        "threshold of fear",
        "threshold of guilt",
        "threshold of pain",
    ]
    assert json.loads(table.schema.metadata[b"ser-bench"])["labels"] == list(LABELS)


def test_without_thresholds_the_file_has_none_and_one_half_decides(
    tmp_path: Path,
) -> None:
    drawn(1).to_parquet(tmp_path / "p.parquet")
    after = Predictions.from_parquet(tmp_path / "p.parquet")
    assert after.thresholds is None
    assert not decisions(after).any()


def test_folds_keep_their_own_when_they_are_put_together() -> None:
    first = thresholds.apply(drawn(1, prefix="a"), np.array([0.1, 0.2, 0.3]))
    second = thresholds.apply(drawn(2, prefix="b"), np.array([0.3, 0.2, 0.1]))
    third = drawn(3, prefix="c")
    whole = concatenate([first, second, third])
    assert (
        decisions(whole)
        == np.concatenate([decisions(p) for p in (first, second, third)])
    ).all()
    assert (outcomes(whole) == sum(outcomes(p) for p in (first, second, third))).all()
    assert concatenate([third]).thresholds is None


def test_thresholds_of_another_shape_or_of_one_label_per_clip_are_refused() -> None:
    several = drawn(1)
    with pytest.raises(ValueError, match="thresholds of shape"):
        Predictions(**{**vars(several), "thresholds": np.full((80, 2), 0.5)})
    single = {
        "truth": np.eye(3, dtype=bool),
        "probabilities": np.eye(3),
        "clips": ("a", "b", "c"),
    }
    with pytest.raises(ValueError, match="one label per clip"):
        Predictions(
            LABELS, speakers=(None,) * 3, thresholds=np.full((3, 3), 0.5), **single
        )  # type: ignore[arg-type]
