"""Pictures: readable by any viewer, right in size and colour, unharmed by odd names."""

from pathlib import Path

import numpy as np
import pytest

from bench.scoring.confusion import confusion_figure
from bench.scoring.predictions import Predictions


def predictions(
    labels: tuple[str, ...],
    truth: list[int],
    chosen: list[int],
    multilabel: bool = False,
) -> Predictions:
    one = np.eye(len(labels))
    clips = tuple(map(str, range(len(truth))))
    return Predictions(
        labels,
        clips,
        (None,) * len(clips),
        one[truth].astype(bool),
        one[chosen],
        multilabel,
    )


def colours(path: Path) -> set[tuple[int, ...]]:
    from matplotlib.image import imread

    pixels = imread(path)
    assert pixels.ndim == 3
    assert min(pixels.shape[:2]) > 300
    return {
        tuple(p) for p in (pixels[..., :3].reshape(-1, 3) * 255).round().astype(int)
    }


def blue(share: float) -> tuple[int, ...]:
    from matplotlib import colormaps

    return tuple(round(255 * c) for c in colormaps["Blues"](share)[:3])


def test_colours_are_shares_of_the_true_class(tmp_path: Path) -> None:
    path = tmp_path / "confusion.png"
    confusion_figure(
        predictions(("a", "b"), [0] * 4 + [1] * 2, [0, 0, 0, 1, 1, 1]), path
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    assert {blue(0.75), blue(0.25), blue(1.0), blue(0.0)} <= colours(path)


@pytest.mark.parametrize(
    "labels",
    [
        ("$a$", r"\frac{", "a_b^c"),
        ("a name far too long for an axis", "b", "c"),
        tuple(f"c{i}" for i in range(20)),
    ],
)
def test_odd_labels_and_classes_that_never_occur(
    labels: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "confusion.png"
    confusion_figure(predictions(labels, [0, 1], [0, 0]), path)
    assert {blue(1.0), blue(0.0)} <= colours(path)


def test_multilabel_has_no_confusion(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no confusion matrix"):
        confusion_figure(
            predictions(("a", "b"), [0], [0], multilabel=True),
            tmp_path / "confusion.png",
        )
    assert not list(tmp_path.iterdir())
