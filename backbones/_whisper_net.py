"""The networks of the Whisper backbones."""

from typing import Any

from torch import Tensor, nn

from bench.contracts.batch import Inputs, Padded
from bench.encoders.whisper import decode_start, encode, positions
from bench.training.layers import Head


class EncoderClassifier(nn.Module):
    """A trained encoder, the mean of its output over each clip's own positions, and a head.

    Reads `mel`, and `frames` (how many of them are the clip's own) where the log-mel is padded.
    """

    def __init__(self, encoder: Any, classes: int, dropout: float) -> None:
        super().__init__()
        width = encoder.config.d_model
        self.encoder = encoder
        self.head = Head(width, classes, dropout)

    def forward(self, inputs: Inputs) -> Tensor:
        states = encode(self.encoder, inputs["mel"])
        if "frames" in inputs:
            frames = inputs["frames"].values[:, 0, 0]
            own = positions(frames.long())
            states = Padded(states.values, own)
        mean = states.mean()
        return self.head(mean)  # type: ignore[no-any-return]


class DecoderClassifier(nn.Module):
    """A trained decoder that reads a frozen encoder's `states`; the head reads its output for the
    start token.
    """

    def __init__(self, decoder: Any, classes: int, dropout: float) -> None:
        super().__init__()
        width = decoder.config.d_model
        self.decoder = decoder
        self.head = Head(width, classes, dropout)

    def forward(self, inputs: Inputs) -> Tensor:
        output = decode_start(self.decoder, inputs["states"])
        return self.head(output)  # type: ignore[no-any-return]
