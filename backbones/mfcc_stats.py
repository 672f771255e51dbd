"""Mean and deviation of MFCCs, a linear classifier: the floor that every other row must beat."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.space import Space, probing

if TYPE_CHECKING:
    from torch import nn


class MfccStats(Backbone):
    """The same small linear classifier in both modes and at both scales."""

    summary = (
        "mean and deviation of MFCC-39 over the clip, a linear classifier: "
        "the floor every other row must beat"
    )
    reads = "MFCC-39"
    citation = (
        "Davis & Mermelstein 1980, IEEE Trans. ASSP 28(4), 357-366 (the coefficients)"
    )
    licence = "MIT"
    pretrained = False

    def recipe(self, setup: Setup) -> Recipe:
        return Recipe(
            epochs=30,
            batch_size=64,
            learning_rate=1e-2,
            weight_decay=0.03,
            optimizer="adam",  # with its L2 penalty, logistic regression
            schedule="cosine",
            warmup=0.0,
            class_weights="balanced",
            patience=0,
            monitor="loss",
        )

    def space(self, setup: Setup) -> Space:
        return probing(self.recipe(setup))

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from bench.features.signal import Mfcc, Statistics

        return {"mfcc": Statistics(of=Mfcc())}

    def network(self, setup: Setup) -> "nn.Module":
        from bench.training.layers import MeanClassifier

        return MeanClassifier("mfcc", dim=78, classes=setup.classes)
