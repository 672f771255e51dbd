"""Whisper tiny: 4 encoder layers of 384 units, 8 M parameters in the encoder."""

from backbones._whisper import Whisper, everywhere


class WhisperTiny(Whisper):
    summary = "Whisper tiny, 4 layers of 384"
    usual = False
    size = "tiny"
    licence = "Apache-2.0"
    url = "https://huggingface.co/openai/whisper-tiny"
    checkpoints = everywhere(
        "openai/whisper-tiny",
        "169d4a4341b33bc18d8881c4b69c2e104e1cc0af",
        licence,
        37_760_640,
    )
