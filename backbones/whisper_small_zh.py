"""Whisper small after further training on Chinese (FLEURS cmn_hans_cn; 5,000 steps at 1e-5, WER
14.9 to 16.6).
"""

from backbones._whisper import Whisper, everywhere


class WhisperSmallZh(Whisper):
    summary = "Whisper small, trained further on Chinese speech recognition"
    size = "small"
    licence = "Apache-2.0"
    url = "https://huggingface.co/Jingmiao/whisper-small-chinese_base"
    checkpoints = everywhere(
        "Jingmiao/whisper-small-chinese_base", None, licence, 241_734_912
    )
