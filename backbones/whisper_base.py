"""Whisper base: 6 encoder layers of 512 units, 21 M parameters in the encoder."""

from backbones._whisper import Whisper, everywhere


class WhisperBase(Whisper):
    summary = "Whisper base, 6 layers of 512"
    size = "base"
    licence = "Apache-2.0"
    url = "https://huggingface.co/openai/whisper-base"
    checkpoints = everywhere(
        "openai/whisper-base",
        "e37978b90ca9030d5170a5c07aadb050351a65bb",
        licence,
        72_593_920,
    )
