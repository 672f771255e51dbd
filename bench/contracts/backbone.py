"""The contract of a backbone: the features a system reads, the network it trains, its recipe, its
provenance.

A backbone is one file in `backbones/` with one subclass of `Backbone`; the file's name is the
backbone's name (`_` reads `-`). Import torch and the like inside the methods: `bench list` imports
every backbone file.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.contracts.feature import Feature
from bench.contracts.plugin import Plugin
from bench.contracts.recipe import Recipe
from bench.contracts.space import Range, Space, fine_tuning, probing
from bench.contracts.weights import Checkpoint, Weights

if TYPE_CHECKING:
    from torch import nn


Mode = Literal["finetune", "probe"]
Scale = Literal["full", "tiny"]


@dataclass(frozen=True)
class NoOptions:
    """A backbone without options of its own."""

    founding: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Setup:
    """One pairing, as a backbone sees it."""

    labels: tuple[str, ...]
    multilabel: bool
    language: str  # ISO 639-1, of the task
    mode: Mode
    scale: (
        Scale  # tiny: same architecture, tiny sizes, random weights, nothing downloaded
    )
    weights: (
        str | None
    )  # the user's: a hub id, a path, or "random"; None: the backbone's own checkpoint
    variant: str  # "" for the default
    options: Any  # an instance of the backbone's Options

    @property
    def classes(self) -> int:
        return len(self.labels)


class Backbone(Plugin, ABC):
    """A system under test.

    `network` returns a torch module whose `forward(inputs: bench.contracts.batch.Inputs) -> Tensor`
    gives logits of shape (batch, classes); softmax (or, in a multi-label task, a sigmoid) follows
    outside. In training it may instead give a `Padded` of (batch, parts, classes): the loss is over
    all parts, each with its clip's targets. Batches of long clips come in pieces, whose gradients
    add up, unless the network has a batch norm (`bench.training.pieces`). A module may define
    `calibrate(inputs: Iterable[Inputs]) -> None`: it is called with all batches of the training
    part, before training, for statistics such as a mean and a deviation.

    A module may define `fit(inputs: Iterable[Inputs], targets: Tensor, valid_inputs:
    Iterable[Inputs], valid_targets: Tensor) -> None` where a library or a closed form trains it:
    batches of the training and of the validation part in the order of the targets (clips, classes).
    It is called once in place of `calibrate` and of gradient descent, and what it learns must be in
    the module's parameters and buffers; of the recipe only the batch size counts.
    """

    summary: ClassVar[str]
    reads: ClassVar[str]  # the features, in a few words
    citation: ClassVar[str]
    licence: ClassVar[str]
    url: ClassVar[str] = ""
    checkpoints: ClassVar[
        Mapping[str, Checkpoint]
    ] = {}  # language -> checkpoint; "*" serves the others
    version: ClassVar[int] = 1  # raise it when the same settings train another network
    pretrained: ClassVar[bool] = (
        True  # False: there is nothing to pre-train, so random weights need no footnote
    )
    # a frozen dataclass of `bench.options.option` fields; `founding` in it names those it was
    # released with
    Options: ClassVar[type] = NoOptions

    def refuses(self, setup: Setup) -> str | None:
        """Why this pairing makes no sense, or None. The table shows the reason."""
        return None

    def options(self) -> Any:
        """The options of this variant, before the user's own."""
        return self.Options()

    @abstractmethod
    def recipe(self, setup: Setup) -> Recipe:
        """The published recipe, or a sound one for `setup.mode` and `setup.scale`."""

    def space(self, setup: Setup) -> Space:
        """What a search may change, and within which bounds: recipe fields and options, by name."""
        recipe, options = self.recipe(setup), setup.options
        if setup.mode == "probe":
            return probing(recipe)
        dropout = {"dropout": Range(0.0, 0.5)} if hasattr(options, "dropout") else {}
        return {**fine_tuning(recipe), **dropout}

    @abstractmethod
    def features(self, setup: Setup) -> Mapping[str, Feature]:
        """What the network reads, by input name. Everything before the first trainable parameter
        belongs here.
        """

    @abstractmethod
    def network(self, setup: Setup) -> "nn.Module":
        """The network, freshly initialised (torch's seed is already set) or with its pre-trained
        weights loaded.
        """

    def weights(self, setup: Setup) -> Weights:
        """The weights this pairing uses: the user's, else the checkpoint for the task's language,
        else random.
        """
        from bench.contracts.weights import resolve

        if setup.scale == "tiny":
            return Weights("random", "random")
        checkpoint = self.checkpoints.get(setup.language) or self.checkpoints.get("*")
        return resolve(setup.weights, checkpoint)
