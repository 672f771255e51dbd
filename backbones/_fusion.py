"""The base of the two backbones that fuse wav2vec 2.0 with a pitch signal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from backbones._ssl import SpeechEncoder
from backbones.wav2vec2 import Wav2Vec2
from bench.contracts.backbone import Setup
from bench.contracts.recipe import Recipe
from bench.contracts.weights import Checkpoint
from bench.options import option

if TYPE_CHECKING:
    from backbones._ssl_net import TrainedEncoder
    from bench.features.pitch_signal import PitchSignal, Variant


@dataclass(frozen=True)
class FusionOptions:
    """The options of both."""

    founding: ClassVar[tuple[str, ...]] = (
        "max_seconds",
        "spec_augment",
        "checkpointing",
    )

    max_seconds: float = option(
        0.0, "seconds of a clip that are read; 0: all", low=0, high=10**6
    )
    spec_augment: Literal["auto", "on", "off"] = option(
        "auto",
        "mask spans of frames in training, as the checkpoint's configuration says; "
        "auto: on, but off when tiny",
    )
    checkpointing: bool = option(
        False, "recompute activations in the backward pass: less memory, a third slower"
    )


@dataclass(frozen=True)
class Design:
    """The parts of a variant of feature-fusion; the default is the paper without its defects."""

    streams: tuple[str, ...] = ("frontend", "pitch", "mfcc")
    cross: bool = True  # attention between audio and pitch, both ways, frame by frame
    # what self-attention sees of the pooled streams
    attend: Literal["tokens", "vector", "none"] = "tokens"
    residual: Literal["query", "source"] = "query"
    masked: bool = True
    # every clip's MFCCs are continued with zeros, which count, to so many; 0: its own
    mfcc_frames: int = 0


@dataclass(frozen=True)
class Sizes:
    """Sizes that do not follow from the encoder; the defaults are Wang's, and Thanh's 16 heads."""

    cross_heads: int = 16
    self_heads: int = 8
    recurrent: int = 256  # units of each direction of the LSTM
    # of the head of feature-fusion, and half as many in pitch-fusion's projection
    hidden: int = 512


TINY = Sizes(cross_heads=4, self_heads=4, recurrent=32, hidden=64)


class FusionBackbone(SpeechEncoder):
    """wav2vec 2.0's weights for the task's language, and random ones; only fine-tuned."""

    kind = "wav2vec2"
    Options = FusionOptions
    checkpoints: ClassVar[Mapping[str, Checkpoint]] = Wav2Vec2.checkpoints

    def refuses(self, setup: Setup) -> str | None:
        if setup.mode == "probe":
            return (
                "the pitch encoder and the fusion have no pre-trained layers to probe; "
                "use --mode finetune"
            )
        return None

    def signal(
        self, setup: Setup, variant: "Variant" = "paper", normalise: bool = True
    ) -> "PitchSignal":
        """The pitch on the sample axis: F0 in Hz, 0 where unvoiced, normalised as audio is.

        The unit matters. The pitch encoder's first norm divides the deviations of its only channel
        by their own size, so a clip's level and range remain only against the zeros: in octaves, or
        with the unvoiced frames bridged, they are lost (tests/backbones/test_fusion_cues.py).
        """
        from bench.features.pitch import Pitch
        from bench.features.pitch_signal import PitchSignal

        hertz = Pitch(log=False, unvoiced="zero")
        return PitchSignal(variant, hertz, normalise, setup.options.max_seconds)

    def sizes(self, setup: Setup) -> Sizes:
        if setup.scale == "tiny":
            return TINY
        return Sizes()

    def recipe(self, setup: Setup) -> Recipe:
        if setup.scale == "tiny":
            return Recipe(
                epochs=5,
                batch_size=8,
                learning_rate=1e-3,
                patience=0,
            )
        return self.finetuning(setup)

    def _encoder(self, setup: Setup) -> "TrainedEncoder":
        from backbones._ssl_net import TrainedEncoder

        return TrainedEncoder(*self._trained(setup))
