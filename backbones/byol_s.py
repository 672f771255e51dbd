"""BYOL-S: a small convolutional network, self-supervised on the speech of AudioSet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe, probe_recipe
from bench.options import option

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ByolOptions:
    """The options of BYOL-S."""

    founding: ClassVar[tuple[str, ...]] = ("norm", "dropout")

    norm: Literal["clip", "audioset"] = option(
        "clip",
        "log-mel standardised by the clip's own mean and deviation, or by AudioSet's",
    )
    dropout: float = option(
        0.3, "dropout before the classifier, when fine-tuned", low=0, high=0.99
    )


class ByolS(Backbone):
    """AudioNTT2020 with 512 dimensions.

    Its weights are on no hub: `--weights byol-s=PATH` names the .pth file.
    """

    summary = (
        "BYOL-S: 3 convolution and 2 linear layers, 0.6 M parameters; "
        "random weights unless a path is given"
    )
    reads = "log-mel (64 HTK mels)"
    citation = (
        "Elbanna et al. 2022, BYOL-S: Learning Self-supervised Speech Representations by "
        "Bootstrapping (arXiv 2206.12038); Niizumi et al. 2021, BYOL for Audio (arXiv 2103.06695)"
    )
    licence = "MIT"
    url = "https://github.com/Neclow/SERAB"
    Options = ByolOptions

    def recipe(self, setup: Setup) -> Recipe:
        tiny = setup.scale == "tiny"
        if setup.mode == "probe":
            return probe_recipe(tiny)
        if tiny:
            return Recipe(epochs=6, batch_size=16, learning_rate=2e-3, patience=0)
        # 8 clips at a time: twice as fast on a CPU as 32, whose memory is mapped anew at every step
        return Recipe(
            epochs=12,
            batch_size=8,
            accumulate=2,
            learning_rate=3e-4,
            class_weights="balanced",
            patience=4,
        )

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from backbones._byol import ByolEmbedding, ByolInput

        logmel = ByolInput(setup.options.norm)
        if setup.mode == "finetune":
            return {"logmel": logmel}
        weights = self.weights(setup)
        channels, dim = _sizes(setup)
        return {"embedding": ByolEmbedding(weights, logmel, channels, dim)}

    def network(self, setup: Setup) -> "nn.Module":
        from backbones._byol import FineTuned, load
        from bench.training.layers import LayerProbe

        channels, dim = _sizes(setup)
        if setup.mode == "probe":
            return LayerProbe("embedding", layers=1, dim=dim, classes=setup.classes)
        encoder = load(self.weights(setup), channels=channels, dim=dim)
        return FineTuned(encoder, setup.classes, setup.options.dropout)


def _sizes(setup: Setup) -> tuple[int, int]:
    """Channels of the convolutions, dimensions of the embedding."""
    if setup.scale == "tiny":
        return 16, 64
    return 64, 512
