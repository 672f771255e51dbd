"""The base of the wav2vec 2.0 family's backbones, and the recipes of two papers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe, probe_recipe
from bench.contracts.weights import Checkpoint, Weights
from bench.errors import WeightsError
from bench.options import option

if TYPE_CHECKING:
    from torch import nn

    from bench.encoders.wav2vec2 import Architecture

CHEN = "Chen et al. 2024, arXiv 2405.04128"
THANH = (
    "Thanh et al. 2024, A Robust Pitch-Fusion Model for SER in Tonal Languages "
    "(ICASSP, pp. 12386-12390)"
)


@dataclass(frozen=True)
class SslOptions:
    """The options of every backbone of the family."""

    founding: ClassVar[tuple[str, ...]] = (
        "max_seconds",
        "dropout",
        "spec_augment",
        "checkpointing",
    )

    max_seconds: float = option(
        0.0, "seconds of a clip that are read; 0: all", low=0, high=10**6
    )
    dropout: float = option(
        0.1, "dropout before each linear layer of the head", low=0, high=0.99
    )
    spec_augment: Literal["auto", "on", "off"] = option(
        "auto",
        "mask spans of frames in training, as the checkpoint's configuration says; "
        "auto: on, but off when tiny",
    )
    checkpointing: bool = option(
        False, "recompute activations in the backward pass: less memory, a third slower"
    )


class SpeechEncoder(Backbone):
    """Fine-tuned: projection, transformer and head on the frozen front end; probed: its layers.

    The front end is frozen, as in both papers' code. Unlike theirs it reads each clip unpadded, and
    the mean over frames leaves the padding out, so a clip's result does not depend on its batch.
    """

    kind: ClassVar[Literal["wav2vec2", "hubert", "wavlm"]]

    reads = "waveform (frozen convolutional front end)"
    Options: ClassVar[type] = SslOptions

    def refuses(self, setup: Setup) -> str | None:
        if self.variant == "released" and setup.mode == "probe":
            return (
                "released is a recipe of fine-tuning, so there is nothing to probe; "
                "use --mode finetune"
            )
        return None

    def checkpoint(self, setup: Setup) -> Checkpoint:
        usual = self.checkpoints["*"]
        return self.checkpoints.get(setup.language, usual)

    def finetuning(self, setup: Setup) -> Recipe:
        """The recipe at full size: no paper's, the usual for the family."""
        return Recipe(batch_size=8, accumulate=2)

    def recipe(self, setup: Setup) -> Recipe:
        tiny = setup.scale == "tiny"
        if setup.mode == "probe":
            return probe_recipe(tiny)
        if tiny:
            return Recipe(epochs=5, batch_size=8, learning_rate=1e-3, patience=0)
        return self.finetuning(setup)

    def weights(self, setup: Setup) -> Weights:
        from bench.contracts.weights import RANDOM, resolve

        if setup.scale == "tiny":
            return RANDOM
        return resolve(setup.weights, self.checkpoint(setup))

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from bench.encoders.wav2vec2 import ConvFrontEnd, EncoderMeans

        weights, architecture = self._source(setup)
        seconds = setup.options.max_seconds
        if setup.mode == "probe":
            return {"states": EncoderMeans(weights, architecture, seconds)}
        return {"frontend": ConvFrontEnd(weights, architecture, seconds)}

    def network(self, setup: Setup) -> "nn.Module":
        from backbones._ssl_net import TransformerClassifier
        from bench.encoders.wav2vec2 import read_config
        from bench.training.layers import LayerProbe

        if setup.mode == "probe":
            config = read_config(*self._source(setup))
            states = config.num_hidden_layers + 1
            return LayerProbe("states", states, config.hidden_size, setup.classes)
        encoder, spec_augment = self._trained(setup)
        return TransformerClassifier(
            encoder, spec_augment, setup.classes, setup.options.dropout
        )

    def _trained(self, setup: Setup) -> tuple[Any, bool]:
        """The encoder to train, and whether SpecAugment masks what its transformer reads."""
        from bench.encoders.wav2vec2 import load
        from bench.training.layers import recompute

        options = setup.options
        encoder = load(*self._source(setup))
        if options.checkpointing:
            recompute(encoder)
        if options.spec_augment == "auto":
            return encoder, setup.scale == "full"
        return encoder, options.spec_augment == "on"

    def _source(self, setup: Setup) -> tuple[Weights, "Architecture | None"]:
        """The weights, and the sizes of this pairing's checkpoint where they are random."""
        from bench.encoders.wav2vec2 import ARCHITECTURES, read_config

        weights = self.weights(setup)
        if weights.random:
            full = ARCHITECTURES[self.checkpoint(setup).hub_id]
            return weights, full.tiny() if setup.scale == "tiny" else full
        if setup.weights:
            kind = read_config(weights, None).model_type
            if kind != self.kind:
                raise WeightsError(
                    f"{weights.source} holds a {kind} network, but {self.name} is {self.kind}: "
                    f"name another."
                )
        return weights, None


def chen(setup: Setup, learning_rate: float, batch_size: int, released: bool) -> Recipe:
    """Chen's notebooks on transformers' Trainer, with its defaults where they state nothing.

    Released: fp16, 1 epoch (multi-label HuBERT: half of one), no warm-up, no epoch chosen. Else: up
    to 20 epochs with a warm-up, stopped by the validation part.
    """
    common = Recipe(
        batch_size=batch_size,
        accumulate=2,
        learning_rate=1e-4 if setup.multilabel else learning_rate,
        weight_decay=0.0,
    )
    if not released:
        return common
    half = setup.multilabel and batch_size == 2
    share = 0.5 if half else 1.0
    return replace(_once(common, epochs=1), precision="fp16", epoch_share=share)


def thanh(released: bool) -> Recipe:
    """Thanh's `train_no_joint`: 30 epochs of batches of 2 at 1.5e-5, linear decay, no warm-up.

    Released: fp32 and the last epoch, since the code does not say which of its 30 checkpoints was
    reported. Else: the best epoch on the validation part, stopped early.
    """
    common = Recipe(
        epochs=30,
        batch_size=2,
        learning_rate=1.5e-5,
        weight_decay=0.0,
        warmup=0.0,
    )
    if released:
        return replace(_once(common, epochs=30), precision="fp32")
    return common


def _once(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe for exactly so many epochs, of which the last one counts."""
    return replace(
        recipe,
        epochs=epochs,
        warmup=0.0,
        patience=0,
        monitor="last",
    )
