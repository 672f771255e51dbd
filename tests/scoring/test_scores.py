"""Every score against scikit-learn, by hand, and at its edges."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import concatenate, confusion, outcomes, scores, ua

LABELS = ("angry", "happy", "sad", "neutral")


def made(truth: list[int], predicted: list[int], classes: int = 3) -> Predictions:
    """Certain predictions, clips named by position."""
    eye = np.eye(classes)
    return Predictions(
        labels=LABELS[:classes],
        clips=tuple(f"c{i}" for i in range(len(truth))),
        speakers=(None,) * len(truth),
        truth=eye[truth].astype(bool).reshape(-1, classes),
        probabilities=eye[predicted].reshape(-1, classes),
    )


def drawn(seed: int, clips: int = 57, multilabel: bool = False) -> Predictions:
    random = np.random.default_rng(seed)
    probabilities = random.random((clips, 4))
    if not multilabel:
        probabilities = random.dirichlet(np.ones(4), clips)
    truth = (
        random.random((clips, 4)) < 0.4
        if multilabel
        else np.eye(4, dtype=bool)[random.integers(0, 4, clips)]
    )
    return Predictions(
        LABELS,
        tuple(map(str, range(clips))),
        (None,) * clips,
        truth,
        probabilities,
        multilabel,
    )


def by_sklearn(
    truth: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, float]:
    """Class indices, or in a multi-label task an indicator matrix."""
    from sklearn import metrics

    several = truth.ndim == 2
    expected = {
        "WA": metrics.accuracy_score(truth, predicted),
        "UA": metrics.recall_score(truth, predicted, average="macro"),
        "F1 macro": metrics.f1_score(truth, predicted, average="macro"),
        "F1 weighted": metrics.f1_score(truth, predicted, average="weighted"),
    }
    if several:
        expected["F1 micro"] = metrics.f1_score(truth, predicted, average="micro")
    parts = metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(4), zero_division=0
    )
    for name, values in zip(("precision", "recall", "F1"), parts, strict=False):
        expected |= {
            f"{name} ({label})": value
            for label, value in zip(LABELS, values, strict=True)
        }
    return expected


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_scikit_learn(seed: int) -> None:
    from sklearn import metrics

    p = drawn(seed)
    assert scores(p) == pytest.approx(
        by_sklearn(p.truth.argmax(1), p.probabilities.argmax(1)), abs=1e-12
    )
    assert scores(p)["UA"] == pytest.approx(
        metrics.balanced_accuracy_score(p.truth.argmax(1), p.probabilities.argmax(1))
    )


@pytest.mark.parametrize("seed", range(5))
def test_multilabel_scores_equal_scikit_learn(seed: int) -> None:
    p = drawn(seed, multilabel=True)
    expected = by_sklearn(p.truth.astype(int), (p.probabilities >= 0.5).astype(int))
    assert scores(p) == pytest.approx(expected, abs=1e-12)


def test_confusion_equals_scikit_learn() -> None:
    from sklearn import metrics

    p = drawn(0)
    expected = metrics.confusion_matrix(p.truth.argmax(1), p.probabilities.argmax(1))
    assert (confusion(p) == expected).all()


def test_scores_worked_by_hand() -> None:
    #         angry x 4, happy x 2; one angry clip is called happy, one happy clip angry
    p = made([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0], classes=2)
    assert confusion(p).tolist() == [[3, 1], [1, 1]]
    assert scores(p) == pytest.approx(
        {
            "UA": (3 / 4 + 1 / 2) / 2,
            "WA": 4 / 6,
            "F1 macro": (3 / 4 + 1 / 2) / 2,
            "F1 weighted": (4 * 3 / 4 + 2 * 1 / 2) / 6,
            "F1 (angry)": 3 / 4,
            "F1 (happy)": 1 / 2,
            "recall (angry)": 3 / 4,
            "recall (happy)": 1 / 2,
            "precision (angry)": 3 / 4,
            "precision (happy)": 1 / 2,
        }
    )


def test_wa_is_accuracy_and_ua_is_mean_recall() -> None:
    lazy = scores(made([0] * 9 + [1], [0] * 10, classes=2))
    assert (lazy["WA"], lazy["UA"]) == (0.9, 0.5)


def test_a_class_absent_from_the_truth_is_left_out_of_ua() -> None:
    found = scores(made([0, 0, 1, 1], [0, 0, 1, 2]))
    assert found["UA"] == pytest.approx(
        (1 + 1 / 2) / 2
    )  # scikit-learn's macro recall would be 1/2
    assert found["recall (sad)"] == 0
    assert found["F1 macro"] == pytest.approx(
        (1 + 2 / 3 + 0) / 3
    )  # it was predicted, wrongly: its F1 is 0


def test_a_class_that_never_occurs_is_left_out_of_f1_macro() -> None:
    found = scores(made([0, 1], [0, 1]))
    assert (found["F1 macro"], found["F1 (sad)"], found["precision (sad)"]) == (1, 0, 0)


def test_the_first_of_equally_probable_classes_is_predicted() -> None:
    truth = np.array([[True, False], [False, True]])
    p = Predictions(("a", "b"), ("0", "1"), (None, None), truth, np.full((2, 2), 0.5))
    assert confusion(p).tolist() == [[1, 0], [1, 0]]


def test_a_probability_of_one_half_is_a_yes_in_a_multilabel_task() -> None:
    p = Predictions(
        ("a", "b"),
        ("0",),
        (None,),
        np.array([[True, False]]),
        np.array([[0.5, 0.49]]),
        multilabel=True,
    )
    assert scores(p)["WA"] == 1


def test_multilabel_wa_is_exact_match() -> None:
    truth = np.array([[True, True], [True, False]])
    p = Predictions(
        ("a", "b"),
        ("0", "1"),
        (None,) * 2,
        truth,
        np.array([[0.9, 0.1], [0.9, 0.1]]),
        multilabel=True,
    )
    assert (scores(p)["WA"], scores(p)["UA"], scores(p)["F1 micro"]) == pytest.approx(
        (0.5, 0.5, 4 / 5)
    )


def test_scores_without_clips_are_an_error() -> None:
    for function in (scores, confusion):
        with pytest.raises(ValueError, match="no predictions"):
            function(made([], []))


def test_a_multilabel_task_has_no_confusion_matrix() -> None:
    with pytest.raises(ValueError, match="multi-label"):
        confusion(drawn(0, multilabel=True))


def test_scores_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scores(made([0], [1]))["UA"] == 0


def test_ua_takes_many_counts_at_once() -> None:
    many = [drawn(seed) for seed in range(3)]
    assert ua(np.stack([outcomes(p) for p in many])) == pytest.approx(
        [scores(p)["UA"] for p in many]
    )


def test_concatenate_pools_folds() -> None:
    whole = drawn(0)
    halves = [
        Predictions(
            LABELS,
            whole.clips[s],
            whole.speakers[s],
            whole.truth[s],
            whole.probabilities[s],
        )
        for s in (slice(20), slice(20, None))
    ]
    pooled = concatenate(halves)
    assert pooled.clips == whole.clips
    assert scores(pooled) == scores(whole)


def test_concatenate_counts_a_clip_that_several_folds_test() -> None:
    right, wrong = made([0, 1], [0, 1]), made([0, 1], [0, 0])
    assert scores(concatenate([right, wrong]))["WA"] == 3 / 4


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "no predictions"),
        ([made([0], [0]), made([0], [0], classes=2)], "different labels"),
        ([made([0], [0]), made([1], [0])], "clip c0 has another"),
    ],
)
def test_concatenate_refuses(parts: list[Predictions], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        concatenate(parts)
