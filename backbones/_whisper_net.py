"""The networks of the Whisper backbones."""

from typing import Any

from torch import Tensor, nn

from bench.contracts.batch import Inputs, Padded
from bench.encoders.whisper import decode_start, encode, positions
from bench.training.layers import Head


class EncoderClassifier(nn.Module):
    """A trained encoder, the mean of its output over each clip's own positions, and the head.

    Reads `mel`, and `frames` (how many of them are the clip's own) where the log-mel is padded.
    """

    def __init__(self, encoder: Any, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = Head(encoder.config.d_model, classes, dropout)

    def forward(self, inputs: Inputs) -> Tensor:
        states = encode(self.encoder, inputs["mel"])
        if "frames" in inputs:
            states = Padded(states.values, positions(inputs["frames"].values[:, 0, 0].long()))
        return self.head(states.mean())  # type: ignore[no-any-return]


class DecoderClassifier(nn.Module):
    """A trained decoder that reads a frozen encoder's `states`; the head reads its output for the
    start token.
    """

    def __init__(self, decoder: Any, classes: int, dropout: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = Head(decoder.config.d_model, classes, dropout)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.head(decode_start(self.decoder, inputs["states"]))  # type: ignore[no-any-return]
