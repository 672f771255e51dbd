"""wav2vec 2.0, with a checkpoint per language."""

from collections.abc import Mapping
from typing import ClassVar

from backbones._ssl import CHEN, THANH, SpeechEncoder, chen, thanh
from bench.contracts.backbone import Setup
from bench.contracts.recipe import Recipe
from bench.contracts.weights import Checkpoint


class Wav2Vec2(SpeechEncoder):
    """Base, base on 13,000 h of Vietnamese, or large XLSR-53 tuned to transcribe Mandarin.

    The recipes are Chen's for Mandarin, Thanh's for Vietnamese, ours for the others.
    """

    kind = "wav2vec2"
    summary = "wav2vec 2.0: 12 layers of 768, or 24 of 1024 (zh)"
    citation = f"Baevski et al. 2020, wav2vec 2.0 (arXiv 2006.11477); {CHEN}; {THANH}"
    licence = "Apache-2.0; Vietnamese checkpoint CC-BY-NC-4.0"
    url = "https://huggingface.co/facebook/wav2vec2-base"
    checkpoints: ClassVar[Mapping[str, Checkpoint]] = {
        "*": Checkpoint(
            "facebook/wav2vec2-base",
            "0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8",
            "Apache-2.0",
            94_371_712,
        ),
        "vi": Checkpoint(
            "nguyenvulebinh/wav2vec2-base-vi",
            "86bde51fa76dd7f2c4c1bb28d7475d622639f869",
            "CC-BY-NC-4.0",
            94_371_712,
        ),
        "zh": Checkpoint(
            "jonatasgrosman/wav2vec2-large-xlsr-53-chinese-zh-cn",
            "99ccb2737be22b8bb50dcfcc39ad4d567fb90cfd",
            "Apache-2.0",
            315_438_720,
        ),
    }
    variants: ClassVar[Mapping[str, str]] = {
        "released": "the papers' code: 1 epoch (Chen), or all 30 (Thanh, vi), without warm-up or "
        "early stopping"
    }

    def finetuning(self, setup: Setup) -> Recipe:
        released = self.variant == "released"
        if setup.language == "vi":
            return thanh(released)
        if setup.language == "zh" or released:
            return chen(setup, learning_rate=1e-4, batch_size=4, released=released)
        return super().finetuning(setup)
