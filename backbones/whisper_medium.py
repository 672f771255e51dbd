"""Whisper medium: 24 encoder layers of 1024 units, 307 M parameters in the encoder."""

from backbones._whisper import Whisper, everywhere


class WhisperMedium(Whisper):
    summary = "Whisper medium, 24 layers of 1024"
    size = "medium"
    licence = "Apache-2.0"
    url = "https://huggingface.co/openai/whisper-medium"
    checkpoints = everywhere(
        "openai/whisper-medium",
        "abdf7c39ab9d0397620ccaea8974cc764cd0953e",
        licence,
        763_857_920,
    )
