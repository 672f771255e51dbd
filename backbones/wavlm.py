"""WavLM base plus, and large."""

from collections.abc import Mapping
from typing import ClassVar

from backbones._ssl import SpeechEncoder
from bench.contracts.backbone import Setup
from bench.contracts.weights import Checkpoint

LARGE = Checkpoint(
    "microsoft/wavlm-large",
    "c1423ed94bb01d80a3f5ce5bc39f6026a0f4828c",
    "CC-BY-SA-3.0 (UniSpeech)",
    315_453_120,
)


class WavLM(SpeechEncoder):
    """Base plus and large, both on 94,000 h of English, for every language; the recipe is ours."""

    kind = "wavlm"
    summary = "WavLM base plus: 12 layers of 768"
    citation = (
        "Chen, S. et al. 2022, WavLM: Large-Scale Self-Supervised Pre-Training "
        "(arXiv 2110.13900)"
    )
    licence = "CC-BY-SA-3.0 (of the UniSpeech repository; its hub page states none)"
    url = "https://huggingface.co/microsoft/wavlm-base-plus"
    checkpoints: ClassVar[Mapping[str, Checkpoint]] = {
        "*": Checkpoint(
            "microsoft/wavlm-base-plus",
            "4c66d4806a428f2e922ccfa1a962776e232d487b",
            "CC-BY-SA-3.0 (UniSpeech)",
            94_381_936,
        )
    }
    variants: ClassVar[Mapping[str, str]] = {"large": "24 layers of 1024"}

    def checkpoint(self, setup: Setup) -> Checkpoint:
        if self.variant == "large":
            return LARGE
        return super().checkpoint(setup)
