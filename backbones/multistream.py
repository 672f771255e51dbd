"""Waveform, MFCC and spectrogram in three convolutional streams, joined by non-local attention."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.weights import Checkpoint, Weights
from bench.options import option

if TYPE_CHECKING:
    from torch import nn

RESNET = Checkpoint("microsoft/resnet-18", None, "Apache-2.0", 11_689_512)
CHANNELS = (64, 64, 128, 128)  # of the four blocks of every stream


@dataclass(frozen=True)
class MultistreamOptions:
    """The options of multistream."""

    founding: ClassVar[tuple[str, ...]] = (
        "seconds",
        "rate",
        "padding",
        "spectrum",
        "tokens",
    )

    seconds: float = option(
        5.0,
        "length of every clip: shorter ones are padded, longer ones cut at both ends",
        low=4.1,
        high=600,
    )
    rate: Literal[8000, 16000] = option(
        16_000, "sample rate in Hz that the clips are brought to"
    )
    padding: Literal["mirror", "zero"] = option(
        "mirror", "what follows a short clip: its mirror image, or silence"
    )
    spectrum: Literal["mel", "linear"] = option(
        "mel",
        "the 128 bands of the STFT stream: mels of a 128 ms window, or the bins of one of 254 "
        "samples",
    )
    tokens: Literal["maps", "lstm"] = option(
        "maps",
        "what the 1D stream gives the attention: its maps before the last pooling, or its LSTM's "
        "states",
    )


@dataclass(frozen=True)
class Design:
    """The parts of one row of Table 5."""

    streams: tuple[str, ...] = ("wave", "mfcc", "spectrum")
    lstm: int = 128  # width of the LSTM after the 1D stream
    lstm_2d: int = 0  # after a 2D stream, which has one step; 0: none
    attention: bool = False
    resnet: bool = False


DESIGNS = {
    "": Design(attention=True),
    "1d": Design(("wave",), lstm=256),
    "2d": Design(("mfcc",), lstm_2d=256),
    "type1": Design(("wave", "mfcc"), lstm=256, lstm_2d=256),
    "type2": Design(("mfcc",)),
    "type2a": Design(("wave",)),
    "type3": Design(),
    "type4": Design(("mfcc",), attention=True),
    "spectrum": Design(("spectrum",)),
    "1d-attention": Design(("wave",), attention=True),
    "pretrained": Design(attention=True, resnet=True),
}


class Multistream(Backbone):
    """The proposed network; the variants are the other rows of Table 5.

    The paper leaves open where attention acts, what an STFT of 128 bands is, which ImageNet network
    was used, and how any of it was trained: the defaults are our reading. Its 500 shifted copies
    per class are no part of it.
    """

    summary = (
        "1D waveform, 2D MFCC and 2D log-mel streams of 4 convolutions, non-local attention; "
        "from scratch"
    )
    reads = "waveform, MFCC-128 and log-mel-128, mirror-padded to 5 s"
    citation = (
        "Ha et al. 2024, Emotional Inference from Speech Signals Informed by Multiple Stream DNNs "
        "Based Non-Local Attention Mechanism (EAI INIS 11(4), doi 10.4108/eetinis.v11i4.4734)"
    )
    licence = "MIT"
    url = "https://doi.org/10.4108/eetinis.v11i4.4734"
    variants: ClassVar[Mapping[str, str]] = {
        "1d": "the 1D stream with an LSTM of 256",
        "2d": "the MFCC stream with an LSTM of 256",
        "type1": "1D and MFCC streams, each with an LSTM of 256",
        "type2": "type 2 (b): the MFCC stream without LSTM",
        "type2a": "type 2 (a): the 1D stream with an LSTM of 128",
        "type3": "three streams without attention",
        "type4": "the MFCC stream with attention",
        "spectrum": "the STFT stream alone",
        "1d-attention": "the 1D stream with attention",
        "pretrained": f"2D streams are ImageNet's ResNet-18 ({RESNET.hub_id}): our reading of the "
        "paper's",
    }
    Options = MultistreamOptions

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.pretrained = self.variant == "pretrained"  # type: ignore[misc]

    def refuses(self, setup: Setup) -> str | None:
        if setup.mode == "probe":
            return (
                "it is trained from its first layer on, so there is no frozen encoder to probe; "
                "use --mode finetune"
            )
        return None

    def recipe(self, setup: Setup) -> Recipe:
        common: dict[str, Any] = {
            "optimizer": "adam",
            "schedule": "constant",
            "weight_decay": 0.0,
            "warmup": 0.0,
        }
        if setup.scale == "tiny":
            return Recipe(
                epochs=3, batch_size=16, learning_rate=3e-3, patience=0, **common
            )
        return Recipe(
            epochs=50, batch_size=32, learning_rate=1e-3, patience=10, **common
        )

    def weights(self, setup: Setup) -> Weights:
        from bench.contracts.weights import RANDOM, resolve

        if self.variant != "pretrained" or setup.scale == "tiny":
            return RANDOM
        return resolve(setup.weights, RESNET)

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from backbones._multistream import FixedMfcc, FixedSpectrum, FixedWaveform

        options = setup.options
        seconds, rate = options.seconds, options.rate
        mirror = options.padding == "mirror"
        linear = options.spectrum == "linear"
        every = {
            "wave": FixedWaveform(seconds, rate, mirror),
            "mfcc": FixedMfcc(seconds, rate, mirror),
            "spectrum": FixedSpectrum(seconds, rate, mirror, linear=linear),
        }
        design = DESIGNS[self.variant]
        return {name: every[name] for name in design.streams}

    def network(self, setup: Setup) -> "nn.Module":
        from backbones._multistream import MultiStream

        design = DESIGNS[self.variant]
        streams = {name: self._stream(name, design, setup) for name in design.streams}
        return MultiStream(streams, design.attention, setup.classes)

    def _stream(self, name: str, design: Design, setup: Setup) -> Any:
        from backbones._multistream import ConvStream, ResNetStream

        tiny = setup.scale == "tiny"
        shrink = 8 if tiny else 1
        channels = [count // shrink for count in CHANNELS]
        if name != "wave" and design.resnet:
            return ResNetStream(self.weights(setup), channels[-1], tiny)
        if name != "wave":
            return ConvStream(2, channels, design.lstm_2d // shrink)
        lstm = design.lstm // shrink
        if design.attention and setup.options.tokens == "maps":
            lstm = 0
        return ConvStream(1, channels, lstm)
