"""Whisper small: 12 encoder layers of 768 units, 88 M parameters in the encoder."""

from backbones._whisper import Whisper, everywhere


class WhisperSmall(Whisper):
    summary = "Whisper small, 12 layers of 768"
    size = "small"
    licence = "Apache-2.0"
    url = "https://huggingface.co/openai/whisper-small"
    checkpoints = everywhere(
        "openai/whisper-small",
        "973afd24965f72e36ca33b3055d56a652f456b4d",
        licence,
        241_734_912,
    )
