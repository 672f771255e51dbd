"""Whisper large-v3: 32 encoder layers of 1280 units on 128 mels, 637 M encoder parameters."""

from backbones._whisper import Whisper, everywhere


class WhisperLargeV3(Whisper):
    summary = "Whisper large-v3, 32 layers of 1280, 128 mels"
    size = "large-v3"
    batch_size = 4
    licence = "Apache-2.0"
    url = "https://huggingface.co/openai/whisper-large-v3"
    checkpoints = everywhere(
        "openai/whisper-large-v3",
        "06f233fe06e710322aca913c1bc4249a0d71fce1",
        licence,
        1_543_490_560,
    )
