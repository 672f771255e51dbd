"""HuBERT base, with a checkpoint per language."""

from collections.abc import Mapping
from typing import ClassVar

from backbones._ssl import CHEN, SpeechEncoder, chen
from bench.contracts.backbone import Setup
from bench.contracts.recipe import Recipe
from bench.contracts.weights import Checkpoint

ENGLISH = Checkpoint(
    "facebook/hubert-base-ls960",
    "dba3bb02fda4248b6e082697eee756de8fe8aa8a",
    "Apache-2.0",
    94_371_712,
)


class Hubert(SpeechEncoder):
    """Base, trained on 960 h of English or, for Mandarin, 10,000 h of it at Chen's rate."""

    kind = "hubert"
    summary = "HuBERT base: 12 layers of 768"
    citation = f"Hsu et al. 2021, HuBERT (arXiv 2106.07447); {CHEN}"
    licence = "Apache-2.0; Chinese checkpoint MIT"
    url = "https://huggingface.co/facebook/hubert-base-ls960"
    checkpoints: ClassVar[Mapping[str, Checkpoint]] = {
        "*": ENGLISH,
        "zh": Checkpoint(
            "TencentGameMate/chinese-hubert-base",
            "fce0375452b1dd6c080ac3248d423d4d037bc831",
            "MIT",
            94_371_712,
        ),
    }
    variants: ClassVar[Mapping[str, str]] = {
        "released": "Chen's code: the English checkpoint on Chinese speech, 1 epoch, no warm-up"
    }

    def checkpoint(self, setup: Setup) -> Checkpoint:
        if self.variant == "released":
            return ENGLISH
        return super().checkpoint(setup)

    def finetuning(self, setup: Setup) -> Recipe:
        released = self.variant == "released"
        if setup.language == "zh" or released:
            return chen(setup, learning_rate=1e-5, batch_size=2, released=released)
        return super().finetuning(setup)
