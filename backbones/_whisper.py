"""What the Whisper backbones share: features, networks and recipes for each mode and variant."""

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
WHISPER = "Radford et al. 2023, Robust Speech Recognition via Large-Scale Weak Supervision (arXiv 2212.04356)"


def everywhere(
    hub_id: str, revision: str | None, licence: str, parameters: int
) -> Mapping[str, Checkpoint]:
    """One checkpoint for every language: Whisper is multilingual."""
    return {"*": Checkpoint(hub_id, revision, licence, parameters)}


@dataclass(frozen=True)
class WhisperOptions:
    """The options of every Whisper backbone."""

    founding: ClassVar[tuple[str, ...]] = ("pad", "max_seconds", "dropout", "checkpointing")

    pad: Literal["auto", "own", "30s"] = option(
        "auto",
        "what the encoder sees: the clip's own length, or a window of 30 s; auto: own in finetune, 30s in probe",
    )
    max_seconds: float = option(
        0.0, "seconds of a clip that are read; 0: all, in windows of 30 s", low=0
    )
    dropout: float = option(0.0, "dropout before each linear layer of the head", low=0, high=0.99)
    checkpointing: bool = option(
        False, "recompute activations in the backward pass: less memory, a third slower"
    )


class Whisper(Backbone):
    """A Whisper encoder of one size; `released` is the system of Chen et al.'s code."""

    size: ClassVar[str]  # a key of `bench.encoders.whisper_checkpoint.SIZES`
    batch_size: ClassVar[int] = 16  # of Chen's notebooks

    reads = "log-mel (Whisper's)"
    variants: ClassVar[Mapping[str, str]] = {
        "released": "Chen's code: encoder frozen, 30 s windows, decoder trained on its start token alone, 1 epoch"
    }
    citation = f"{WHISPER}; {CHEN}"
    Options = WhisperOptions

    def refuses(self, setup: Setup) -> str | None:
        if self.variant == "released" and setup.mode == "probe":
            return "released trains Whisper's decoder, so there is nothing to probe; use --mode finetune"
        return None

    def options(self) -> WhisperOptions:
        return (
            WhisperOptions(pad="30s", max_seconds=30.0)
            if self.variant == "released"
            else WhisperOptions()
        )

    def recipe(self, setup: Setup) -> Recipe:
        tiny = setup.scale == "tiny"
        if setup.mode == "probe":
            return probe_recipe(tiny)
        if tiny:
            return Recipe(epochs=10, batch_size=16, learning_rate=1e-3, patience=0)
        return self._released(setup) if self.variant == "released" else self._mended()

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from bench.encoders.whisper import OwnFrames, WhisperMeans, WhisperStates, log_mel

        dims, padding, seconds = self._dims(setup), _padding(setup), setup.options.max_seconds
        if self.variant == "released":
            return {"states": WhisperStates(self.weights(setup), dims, padding, seconds)}
        if setup.mode == "probe":
            return {"states": WhisperMeans(self.weights(setup), dims, padding, seconds)}
        mel = {"mel": log_mel(dims.mels, padding, seconds)}
        return mel if padding == "own" else {**mel, "frames": OwnFrames(seconds)}

    def network(self, setup: Setup) -> "nn.Module":
        from backbones._whisper_net import DecoderClassifier, EncoderClassifier
        from bench.encoders.whisper_checkpoint import load
        from bench.training.layers import LayerProbe, recompute

        dims = self._dims(setup)
        if setup.mode == "probe":
            return LayerProbe("states", dims.encoder_layers + 1, dims.width, setup.classes)
        released = self.variant == "released"
        part: Any = load("decoder" if released else "encoder", self.weights(setup), dims)
        if setup.options.checkpointing:
            recompute(part)
        return (DecoderClassifier if released else EncoderClassifier)(
            part, setup.classes, setup.options.dropout
        )

    def _dims(self, setup: Setup) -> "Dims":
        from bench.encoders.whisper_checkpoint import SIZES, read_dims, tiny

        if setup.scale == "tiny":
            return tiny(self.size)
        return (
            SIZES[self.size]
            if setup.weights in (None, "random")
            else read_dims(self.weights(setup))
        )

    def _mended(self) -> Recipe:
        """The whole encoder at a rate that keeps what it knows, until the validation part says stop
        (ours).
        """
        small = self.batch_size < 16
        return Recipe(
            epochs=10,
            batch_size=self.batch_size,
            accumulate=4 if small else 1,
            learning_rate=2e-5,
            patience=3,
        )

    def _released(self, setup: Setup) -> Recipe:
        """Chen's notebooks on transformers' Trainer, whose defaults hold where they say nothing; no
        epoch is chosen.
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
    return "30s" if setup.mode == "probe" else "own"
