"""The base of the Whisper backbones: features, networks and recipes of each mode and variant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe, probe_recipe
from bench.contracts.weights import Checkpoint
from bench.options import option

if TYPE_CHECKING:
    from torch import nn

    from bench.encoders.whisper import Padding
    from bench.encoders.whisper_checkpoint import Dims

CHEN = "Chen et al. 2024, arXiv 2405.04128"
WHISPER = (
    "Radford et al. 2023, Robust Speech Recognition via Large-Scale Weak Supervision "
    "(arXiv 2212.04356)"
)


def everywhere(
    hub_id: str, revision: str | None, licence: str, parameters: int
) -> Mapping[str, Checkpoint]:
    """One checkpoint for every language: Whisper is multilingual."""
    checkpoint = Checkpoint(hub_id, revision, licence, parameters)
    return {"*": checkpoint}


@dataclass(frozen=True)
class WhisperOptions:
    """The options of every Whisper backbone."""

    founding: ClassVar[tuple[str, ...]] = (
        "pad",
        "max_seconds",
        "dropout",
        "checkpointing",
    )

    pad: Literal["auto", "own", "30s"] = option(
        "auto",
        "what the encoder sees: the clip's own length, or a window of 30 s; "
        "auto: own in finetune, 30s in probe",
    )
    max_seconds: float = option(
        0.0,
        "seconds of a clip that are read; 0: all, in windows of 30 s",
        low=0,
        high=10**6,
    )
    dropout: float = option(
        0.0, "dropout before each linear layer of the head", low=0, high=0.99
    )
    checkpointing: bool = option(
        False, "recompute activations in the backward pass: less memory, a third slower"
    )


class Whisper(Backbone):
    """A Whisper encoder of one size; `released` is the system of Chen et al.'s code."""

    size: ClassVar[str]  # a key of `bench.encoders.whisper_checkpoint.SIZES`
    batch_size: ClassVar[int] = 16  # of Chen's notebooks

    reads = "log-mel (Whisper's)"
    variants: ClassVar[Mapping[str, str]] = {
        "released": "Chen's code: encoder frozen, 30 s windows, decoder trained on its start token "
        "alone, 1 epoch"
    }
    citation = f"{WHISPER}; {CHEN}"
    Options = WhisperOptions

    def refuses(self, setup: Setup) -> str | None:
        if self.variant == "released" and setup.mode == "probe":
            return (
                "released trains Whisper's decoder, so there is nothing to probe; "
                "use --mode finetune"
            )
        return None

    def options(self) -> WhisperOptions:
        if self.variant == "released":
            return WhisperOptions(pad="30s", max_seconds=30.0)
        return WhisperOptions()

    def recipe(self, setup: Setup) -> Recipe:
        tiny = setup.scale == "tiny"
        if setup.mode == "probe":
            return probe_recipe(tiny)
        if tiny:
            return Recipe(epochs=10, batch_size=16, learning_rate=1e-3, patience=0)
        if self.variant == "released":
            return self._released(setup)
        return self._fixed()

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from bench.encoders.whisper import (
            OwnFrames,
            WhisperMeans,
            WhisperStates,
            log_mel,
        )

        dims = self._dims(setup)
        padding = _padding(setup)
        seconds = setup.options.max_seconds
        if self.variant == "released":
            return {
                "states": WhisperStates(self.weights(setup), dims, padding, seconds)
            }
        if setup.mode == "probe":
            return {"states": WhisperMeans(self.weights(setup), dims, padding, seconds)}
        features = {"mel": log_mel(dims.mels, padding, seconds)}
        if padding == "30s":
            features["frames"] = OwnFrames(seconds)
        return features

    def network(self, setup: Setup) -> "nn.Module":
        from backbones._whisper_net import DecoderClassifier, EncoderClassifier
        from bench.encoders.whisper_checkpoint import load
        from bench.training.layers import LayerProbe, recompute

        dims = self._dims(setup)
        if setup.mode == "probe":
            states = dims.encoder_layers + 1
            return LayerProbe("states", states, dims.width, setup.classes)
        released = self.variant == "released"
        trained: Any = load(
            "decoder" if released else "encoder", self.weights(setup), dims
        )
        if setup.options.checkpointing:
            recompute(trained)
        classifier = DecoderClassifier if released else EncoderClassifier
        return classifier(trained, setup.classes, setup.options.dropout)

    def _dims(self, setup: Setup) -> "Dims":
        from bench.encoders.whisper_checkpoint import SIZES, read_dims, tiny

        if setup.scale == "tiny":
            return tiny(self.size)
        if setup.weights in (None, "random"):
            return SIZES[self.size]
        return read_dims(self.weights(setup))

    def _fixed(self) -> Recipe:
        """Ours: the whole encoder at a low rate, stopped by the validation part."""
        small = self.batch_size < 16
        return Recipe(
            epochs=10,
            batch_size=self.batch_size,
            accumulate=4 if small else 1,
            learning_rate=2e-5,
            patience=3,
        )

    def _released(self, setup: Setup) -> Recipe:
        """Chen's notebooks on transformers' Trainer, with its defaults where they state nothing.

        No epoch is chosen.
        """
        epochs = 3 if setup.multilabel and self.batch_size == 16 else 1
        return Recipe(
            epochs=epochs,
            batch_size=self.batch_size,
            accumulate=2,
            learning_rate=1e-4,
            weight_decay=0.0,
            warmup=0.0,
            patience=0,
            monitor="last",
            precision="fp16",
        )


def _padding(setup: Setup) -> "Padding":
    if setup.options.pad != "auto":
        return setup.options.pad  # type: ignore[no-any-return]
    probing = setup.mode == "probe"
    return "30s" if probing else "own"
