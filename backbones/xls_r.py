"""XLS-R 300M: wav2vec 2.0 large on 128 languages."""

from collections.abc import Mapping
from typing import ClassVar

from backbones._ssl import SpeechEncoder
from bench.contracts.weights import Checkpoint


class XlsR(SpeechEncoder):
    """One checkpoint for every language; the recipe is ours."""

    kind = "wav2vec2"
    summary = "XLS-R 300M: 24 layers of 1024, 128 languages"
    citation = (
        "Babu et al. 2022, XLS-R: Self-supervised Cross-lingual Speech Representation Learning "
        "(arXiv 2111.09296)"
    )
    licence = "Apache-2.0"
    url = "https://huggingface.co/facebook/wav2vec2-xls-r-300m"
    checkpoints: ClassVar[Mapping[str, Checkpoint]] = {
        "*": Checkpoint(
            "facebook/wav2vec2-xls-r-300m",
            "1a640f32ac3e39899438a2931f9924c02f080a54",
            "Apache-2.0",
            315_438_720,
        )
    }
