"""Whisper large-v3-turbo: the encoder of large-v3 as fine-tuned beside a decoder of 4 layers."""

from backbones._whisper import Whisper, everywhere


class WhisperLargeV3Turbo(Whisper):
    summary = "Whisper large-v3-turbo: large-v3's encoder size, 4 decoder layers"
    size = "large-v3-turbo"
    batch_size = 4
    licence = "MIT"
    url = "https://huggingface.co/openai/whisper-large-v3-turbo"
    checkpoints = everywhere(
        "openai/whisper-large-v3-turbo",
        "41f01f3fe87f28c78e2fbf8b568835947dd65ed9",
        licence,
        808_878_080,
    )
