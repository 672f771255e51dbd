"""The contract of a feature: a deterministic transform of one clip's waveform, computed once and
cached by content.

A feature is a frozen dataclass. Its fields are everything its result depends on (a `Weights` among
them where a pre-trained network takes part), so that its fingerprint changes when, and only when,
its result may. A field that is added to a released feature has a default that changes no result;
`founding` names the fields that came before it (see `bench.fingerprint.content`).
"""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contracts.weights import Weights
from bench.fingerprint import content, digest, origin
from bench.source.digest import class_digest

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Waveform = NDArray[
        np.float32
    ]  # (samples,) mono, 16 kHz, within [-1, 1] but for overshoot of the resampler
    Array = NDArray[np.float32]  # (frames, *dims)


SAMPLE_RATE = 16_000  # Hz; every waveform of the harness


@dataclasses.dataclass(frozen=True)
class Feature(ABC):
    """waveform -> (frames, *dims) float32; one row per clip where `pooled`."""

    version: ClassVar[int] = 1  # raise it when the same fields give other results
    founding: ClassVar[tuple[str, ...] | None] = None  # the fields of its release
    cached: ClassVar[bool] = True  # False: cheaper to compute than to read
    pooled: ClassVar[bool] = False

    @abstractmethod
    def extract(
        self, waveforms: "Sequence[Waveform]", device: "torch.device"
    ) -> "list[Array]":
        """The feature of each waveform. A clip's result does not depend on the others in a call."""

    @property
    def title(self) -> str:
        """The feature's name for users, such as `log-mel`; by default, from the class's name."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__)
        return words.strip("_").lower()

    @property
    def parameters(self) -> int:
        """Frozen parameters that take part (0 for signal processing)."""
        return 0

    @property
    def fingerprint(self) -> str:
        """32 hex digits over the feature's name, version, fields and, outside our packages, module.

        Of a class in no installed package over its source, too, where it can be read.
        """
        whole = {
            "feature": type(self).__qualname__,
            "version": self.version,
            "fields": content(self, _plain),
            **origin(type(self)),
        }
        source = class_digest(type(self))
        if source:
            whole["source"] = source
        return digest(whole)


def _plain(value: Any) -> Any:
    if isinstance(value, Weights):
        return {"weights": value.digest}
    if isinstance(
        value, Feature
    ):  # one feature of another: its name and version count, too
        return {"feature": value.fingerprint}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return content(value, _plain)
    return value
