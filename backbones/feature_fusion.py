"""Wang et al.'s proposed model: wav2vec 2.0, a pitch encoder and a BiLSTM on MFCCs, fused by
attention.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from backbones._fusion import Design, FusionBackbone, FusionOptions
from bench.contracts.backbone import Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.options import option

if TYPE_CHECKING:
    from torch import nn

DESIGNS: Mapping[str, Design] = {
    "": Design(),
    "released": Design(
        attend="vector", residual="source", masked=False, mfcc_frames=1001
    ),
    "wav2vec2-only": Design(("frontend",), cross=False, attend="none"),
    "pitch-only": Design(("pitch",), cross=False, attend="none"),
    "mfcc-only": Design(("mfcc",), cross=False, attend="none"),
    "vanilla": Design(cross=False, attend="none"),
    "cross-only": Design(attend="none"),
    "self-only": Design(cross=False),
}


@dataclass(frozen=True)
class FeatureFusionOptions(FusionOptions):
    founding: ClassVar[tuple[str, ...]] = ("max_seconds", "dropout")

    max_seconds: float = option(
        10.0,
        "seconds of a clip that are read (released: 10 at most); 0: all",
        low=0,
        high=10**6,
    )
    dropout: float = option(
        0.5, "dropout before each linear layer of the head", low=0, high=0.99
    )


class FeatureFusion(FusionBackbone):
    """The paper as meant, where the authors' code differs: what a stream finds in the other is
    added to the stream itself (Eq. 3), self-attention relates three feature tokens (Eq. 6), the
    pitch is F0 (Hz, 0 where unvoiced), padding is masked throughout. Ours: a linear map to the
    tokens' width for the MFCCs, and MFCCs standardised by the training part. Two classes have two
    outputs and a softmax, where the authors' code has one and a sigmoid.

    The paper does not say what its ablations leave in place. Read here: Table III, one stream's
    average and the head; Table IV, `vanilla` the three averages side by side, `cross-only` with
    cross-attention before the average, `self-only` with self-attention after it.

    Released: self-attention over one vector; what a stream finds is added to the stream it is found
    in; the largest piptrack candidate in place of F0; MFCCs continued with zeros to 10 s, and the
    zeros averaged; no masks. Without masks a clip's result depends on its batch, which the harness
    forbids. So padding counts as signal in training batches, as released, while clips are scored
    alone; and padding is zeros behind the frozen front end, not in front of it.
    """

    summary = (
        "wav2vec 2.0, a pitch encoder and MFCCs in a BiLSTM, "
        "fused by cross- and self-attention"
    )
    reads = "waveform (frozen convolutional front end), F0 at 16 kHz, MFCC-39"
    citation = (
        "Wang et al. 2025, Deep Learning-Based Feature Fusion for Emotion Analysis and Suicide "
        "Risk Differentiation in Chinese Psychological Support Hotlines (arXiv 2501.08696)"
    )
    licence = "MIT (the authors' code has none); checkpoints: Apache-2.0, Vietnamese CC-BY-NC-4.0"
    url = "https://arxiv.org/abs/2501.08696"
    Options = FeatureFusionOptions
    variants: ClassVar[Mapping[str, str]] = {
        "released": "the authors' code: self-attention over one vector, piptrack's maximum in "
        "place of F0, no masks",
        "wav2vec2-only": "Table III: wav2vec 2.0 alone",
        "pitch-only": "Table III: the pitch encoder alone",
        "mfcc-only": "Table III: the BiLSTM on MFCCs alone",
        "vanilla": "Table IV: the three features side by side, no attention between them",
        "cross-only": "Table IV: cross-attention between audio and pitch, no self-attention",
        "self-only": "Table IV: self-attention over the three features, no cross-attention",
    }

    @property
    def design(self) -> Design:
        return DESIGNS[self.variant]

    def finetuning(self, setup: Setup) -> Recipe:
        """30 epochs of batches of 8 at 3e-5, constant, fp32. Released: the epoch by F1 of a class
        on a validation part.

        Mended: by UA, and training stops early.
        """
        common = Recipe(
            epochs=30,
            batch_size=8,
            learning_rate=3e-5,
            weight_decay=0.01,
            schedule="constant",
            warmup=0.0,
            clip_norm=0.0,
            precision="fp32",
        )
        return (
            replace(common, patience=0, monitor="F1 macro")
            if self.variant == "released"
            else common
        )

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from bench.encoders.wav2vec2 import ConvFrontEnd
        from bench.features.signal import Mfcc

        seconds = setup.options.max_seconds
        every: dict[str, Feature] = {
            "frontend": ConvFrontEnd(*self._source(setup), seconds),
            "pitch": self.signal(
                setup, "piptrack" if self.variant == "released" else "paper"
            ),
            "mfcc": Mfcc(max_seconds=seconds),
        }
        return {name: every[name] for name in self.design.streams}

    def network(self, setup: Setup) -> "nn.Module":
        from backbones import _fusion_net as net
        from bench.encoders.wav2vec2 import read_config

        audio = self._encoder(setup) if "frontend" in self.design.streams else None
        config = audio.encoder.config if audio else read_config(*self._source(setup))
        return net.FeatureFusion(
            audio,
            config,
            self.design,
            self.sizes(setup),
            setup.classes,
            setup.options.dropout,
        )
