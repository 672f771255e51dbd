"""STRL-SER: descriptors of segments through CNN and BiLSTM, functionals, fusion by multi-head
attention.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.space import Choice, Space
from bench.options import option

if TYPE_CHECKING:
    from torch import nn

FRAME, HOP = 128, 32  # ms

# the temporal modules of variants; the others have a BiLSTM
TEMPORAL: Mapping[str, Literal["lstm", "transformer"]] = {
    "lstm": "lstm",
    "transformer": "transformer",
}


@dataclass(frozen=True)
class StrlOptions:
    """The options of STRL-SER; the defaults are those for RAVDESS (for IEMOCAP: segment=2.0,
    kernel_frames=5).
    """

    founding: ClassVar[tuple[str, ...]] = (
        "segment",
        "last",
        "kernel_descriptors",
        "kernel_frames",
        "heads",
        "mha_tokens",
        "functionals",
    )

    segment: float = option(
        1.4, "seconds of a segment; 0.352 at least", low=0.352, high=600
    )
    last: Literal["drop", "pad"] = option(
        "drop", "what remains after the last whole segment: left out, or padded"
    )
    kernel_descriptors: int = option(
        7, "height of the convolution over descriptors, b x 1", low=1, high=999
    )
    kernel_frames: int = option(
        3, "width of the convolution over frames, 1 x d", low=1, high=999
    )
    heads: Literal[1, 2, 4, 8, 16, 32] = option(
        8, "heads of the fusion (Tables 4 and 5)"
    )
    mha_tokens: Literal["groups", "dims"] = option(
        "groups",
        "what the fusion attends over: one token per part, or each of the 560 dimensions as in the "
        "text",
    )
    functionals: Literal["segment", "clip"] = option(
        "segment", "what the utterance module's functionals are taken over"
    )


class Strl(Backbone):
    """Training on segments that inherit their clip's label; a clip's probability is the mean of its
    segments'.

    The authors left out clips shorter than a segment, so that each segment length had another test
    set; here such a clip is continued with silence.
    """

    summary = (
        "multi-scale CNN with attention, BiLSTM and functionals, 8-head fusion, on segments; "
        "from scratch"
    )
    reads = (
        "openSMILE IS10: 76 descriptors (128 ms every 32 ms) and 1582 functionals, "
        "per segment of 1.4 s"
    )
    citation = (
        "Chen, Z. et al. 2023, Spatio-temporal representation learning enhanced speech emotion "
        "recognition with multi-head attention mechanisms (STRL-SER, Knowledge-Based Systems)"
    )
    licence = "MIT; openSMILE itself for research and other non-commercial use"
    pretrained = False
    variants: ClassVar[Mapping[str, str]] = {
        **{
            f"heads{n}": f"Tables 4 and 5: {n} head{'s' * (n > 1)}"
            for n in (1, 2, 4, 16, 32)
        },
        "lstm": "Tables 6 and 7: an LSTM of one direction",
        "transformer": "Tables 6 and 7: one transformer layer in place of the BiLSTM",
        "lld-only": "Tables 8 and 9: without functionals",
        "dims": "attention over each dimension of the features, as the text has it",
    }
    Options = StrlOptions

    def options(self) -> StrlOptions:
        if self.variant.startswith("heads"):
            heads = int(self.variant.removeprefix("heads"))
            return StrlOptions(heads=heads)  # type: ignore[arg-type]
        if self.variant == "dims":
            return StrlOptions(mha_tokens="dims")
        return StrlOptions()

    def refuses(self, setup: Setup) -> str | None:
        if setup.mode == "probe":
            return (
                "it is trained from its first layer on, so there is no frozen encoder to probe; "
                "use --mode finetune"
            )
        from bench.features.opensmile import missing

        return missing() or None

    def recipe(self, setup: Setup) -> Recipe:
        """150 epochs, Adam at 1e-3 x 0.95 per epoch; batches of 64 clips, about the paper's 128
        segments.
        """
        common: dict[str, Any] = {
            "optimizer": "adam",
            "schedule": "exponential",
            "weight_decay": 0.0,
            "warmup": 0.0,
        }
        if setup.scale == "tiny":
            return Recipe(
                epochs=6, batch_size=16, learning_rate=3e-3, patience=0, **common
            )
        return Recipe(
            epochs=150, batch_size=64, learning_rate=1e-3, patience=0, **common
        )

    def space(self, setup: Setup) -> Space:
        space = dict(super().space(setup))
        if not self.variant.startswith("heads"):
            space["heads"] = Choice((1, 2, 4, 8, 16, 32))
        return space

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        from backbones._strl import Segments
        from bench.features.opensmile import Smile

        options = setup.options
        pad_last = options.last == "pad"
        descriptors = Smile("IS10", "lld", FRAME, HOP)
        features: dict[str, Feature] = {
            "lld": Segments(descriptors, options.segment, pad_last)
        }
        if self.variant != "lld-only":
            functionals = Smile("IS10", "functionals", FRAME, HOP)
            seconds = 0.0 if options.functionals == "clip" else options.segment
            features["functionals"] = Segments(functionals, seconds, pad_last)
        return features

    def network(self, setup: Setup) -> "nn.Module":
        from backbones._strl import Sizes, build

        options = setup.options
        tiny = setup.scale == "tiny"
        return build(
            temporal=TEMPORAL.get(self.variant, "bilstm"),
            utterance=self.variant != "lld-only",
            groups=options.mha_tokens == "groups",
            heads=options.heads,
            kernels=(options.kernel_descriptors, options.kernel_frames),
            sizes=Sizes(4, 12, 16, 32) if tiny else Sizes(),
            classes=setup.classes,
            multilabel=setup.multilabel,
        )
