"""openSMILE functionals under a linear support vector machine: the baseline of the field's
challenges.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.contracts.backbone import Backbone, Setup
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.space import Choice, Range, Space
from bench.options import option

if TYPE_CHECKING:
    from torch import nn

    from bench.features.opensmile import Smile


@dataclass(frozen=True)
class SvmOptions:
    """The options of opensmile-svm."""

    founding: ClassVar[tuple[str, ...]] = ("cost", "balance")

    cost: float = option(
        0.0,
        "the machine's C; 0: the best of six by UA on the validation part",
        low=0,
        high=10**6,
    )
    balance: Literal["on", "off"] = option(
        "on", "weigh each class's clips by the inverse of their number"
    )


class OpensmileSvm(Backbone):
    """The same in both modes and at both scales; every seed gives the same result.

    Its probabilities are the softmax (or sigmoid) of decision values: they order the classes and
    are not calibrated.
    """

    summary = (
        "ComParE 2016's 6,373 functionals, a linear SVM: the baseline that reviewers ask for; "
        "extra opensmile"
    )
    reads = "openSMILE functionals"
    citation = (
        "Schuller et al. 2016, The Interspeech 2016 ComParE Challenge (the functionals, and a "
        "linear SVM on them); Eyben et al. 2016, GeMAPS, IEEE Trans. Affective Computing 7(2), "
        "190-202 (egemaps); "
        "Eyben et al. 2010, openSMILE (ACM Multimedia)"
    )
    licence = "MIT; openSMILE: audEERING's, for research and other non-commercial use"
    url = "https://github.com/audeering/opensmile-python"
    variants: ClassVar[Mapping[str, str]] = {"egemaps": "eGeMAPSv02's 88 functionals"}
    pretrained = False
    Options = SvmOptions

    def refuses(self, setup: Setup) -> str | None:
        from bench.features.opensmile import missing

        return (
            "needs the optional extra: pip install 'ser-bench[opensmile]'"
            if missing()
            else None
        )

    def recipe(self, setup: Setup) -> Recipe:
        """Read by nothing but the harness: the machine is solved, not descended to."""
        return Recipe(epochs=1, batch_size=64, precision="fp32")

    def space(self, setup: Setup) -> Space:
        """C = 0, the default, is a search of its own, among six."""
        return {
            "cost": Range(1e-6, 1.0, log=True),
            "balance": Choice(("on", "off")),
        }

    def features(self, setup: Setup) -> Mapping[str, Feature]:
        return {"functionals": self._functionals()}

    def network(self, setup: Setup) -> "nn.Module":
        from backbones._svm import LinearSvm

        balanced = setup.options.balance == "on"
        width = self._functionals().width
        return LinearSvm(
            "functionals",
            width,
            setup.classes,
            setup.multilabel,
            setup.options.cost,
            balanced,
        )

    def _functionals(self) -> "Smile":
        from bench.features.opensmile import Smile

        if self.variant == "egemaps":
            return Smile("eGeMAPSv02", "functionals")
        return Smile("ComParE_2016", "functionals")
