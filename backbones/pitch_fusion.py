"""Thanh et al.: wav2vec 2.0 and an encoder of the pitch contour, each attending to the other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from backbones._fusion import FusionBackbone
from backbones._ssl import THANH, thanh
from bench.contracts.backbone import Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from bench.features.pitch_signal import Variant

SIGNALS: Mapping[str, "Variant"] = {
    "released": "nccf-broken",
    "constant-pitch": "constant",
    "shuffled-pitch": "shuffled",
}


class PitchFusion(FusionBackbone):
    """The paper as meant: F0 (Hz, 0 where unvoiced) put on the sample axis by a correct
    interpolation, it and the audio normalised as the checkpoint was trained, padding masked
    throughout, the epoch chosen on the validation part.

    What a stream finds in the other is added to the other (the side of keys and values), as
    published.

    Released: Kaldi's NCCF (our implementation of it) in place of F0, wrongly interpolated, neither
    it nor the audio normalised, 30 epochs, no masks. Without masks a clip's result depends on its
    batch, which the harness forbids. So padding counts as signal in training batches, as released,
    while clips are scored alone, which the released code does at a batch of one; and padding is
    zeros behind the frozen front end, not in front of it.
    """

    summary = "wav2vec 2.0 and a pitch encoder, attending to each other"
    reads = "waveform (frozen convolutional front end), F0 at 16 kHz"
    citation = THANH
    licence = "MIT (the authors' code has none); checkpoints: Apache-2.0, Vietnamese CC-BY-NC-4.0"
    url = "https://doi.org/10.1109/ICASSP48485.2024.10448373"
    variants: ClassVar[Mapping[str, str]] = {
        "released": "the authors' code: NCCF wrongly interpolated in place of F0, nothing "
        "normalised, no masks",
        "constant-pitch": "control: the same pitch throughout every clip",
        "shuffled-pitch": "control: each clip's pitch out of order, without level and range",
    }

    def finetuning(self, setup: Setup) -> Recipe:
        return thanh(self.variant == "released")

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from bench.encoders.wav2vec2 import ConvFrontEnd

        released = self.variant == "released"
        signal = SIGNALS.get(self.variant, "paper")
        weights, architecture = self._source(setup)
        seconds = setup.options.max_seconds
        return {
            "frontend": ConvFrontEnd(weights, architecture, seconds, raw=released),
            "pitch": self.signal(setup, signal, normalise=not released),
        }

    def network(self, setup: Setup) -> "nn.Module":
        from backbones import _fusion_net as net

        encoder = self._encoder(setup)
        masked = self.variant != "released"
        return net.PitchFusion(encoder, setup.classes, self.sizes(setup), masked)
