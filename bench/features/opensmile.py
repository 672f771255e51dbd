"""The acoustic feature sets of openSMILE, by the optional package `opensmile`.

openSMILE's licence allows only research and other non-commercial use. It is therefore an extra, and
no part of it is kept here: where a set needs other frames, its configuration is rewritten in a
temporary folder while it is used.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.errors import UsageError
from bench.features.signal import at_least
from bench.fingerprint import digest

if TYPE_CHECKING:
    import torch

    from bench.contracts.feature import Array, Waveform

FeatureSet = Literal["IS10", "ComParE_2016", "eGeMAPSv02"]
Level = Literal["lld", "functionals"]

# s; a shorter clip is continued with silence, since openSMILE gives no number below two frames
SHORTEST = 0.2
LARGEST = (
    1.0 - 2**-15
)  # sample; openSMILE computes with 16 bits, which wrap around above it
FUNCTIONALS = {"IS10": 1582, "ComParE_2016": 6373, "eGeMAPSv02": 88}
DESCRIPTORS = {"IS10": 76, "ComParE_2016": 130, "eGeMAPSv02": 25}

# the lines of a configuration that set its frames
FRAME_SIZE = re.compile(r"^frameSize = 0\.\d+$", re.MULTILINE)
FRAME_STEP = re.compile(r"^frameStep = 0\.\d+$", re.MULTILINE)


@dataclass(frozen=True)
class Smile(Feature):
    """A feature set of openSMILE: functionals of the clip, (1, width), or its low-level descriptors
    and their derivatives, (frames, width).

    eGeMAPS has no derivatives. `frame_ms` and `hop_ms` apply only to IS10; 0 keeps its own frames
    (25 and 60 ms every 10 ms). STRL-SER uses 128 and 32 ms, which give
    1 + (milliseconds - 128) // 32 frames (59 in 2.0 s). Each call of `extract` sets openSMILE up
    once, so pass many short pieces together.

    IS10: Schuller et al., Interspeech 2010. ComParE: Schuller et al., Interspeech 2016. eGeMAPS:
    Eyben et al. 2016.

    Raises:
        UsageError: `frame_ms` and `hop_ms` do not fit the set, or openSMILE is not installed.
    """

    founding: ClassVar[tuple[str, ...]] = ("feature_set", "level", "frame_ms", "hop_ms")

    feature_set: FeatureSet = "ComParE_2016"
    level: Level = "functionals"
    frame_ms: int = 0
    hop_ms: int = 0

    def __post_init__(self) -> None:
        has_size = bool(self.frame_ms)
        has_step = bool(self.hop_ms)
        incomplete = has_size != has_step
        unsupported = has_size and self.feature_set != "IS10"
        if not incomplete and not unsupported:
            return

        size = f"{self.frame_ms} ms"
        step = f"{self.hop_ms} ms"
        fault = f"{self.feature_set} with frames of {size} every {step}"
        advice = "frame_ms and hop_ms must be set together, and only for IS10"
        raise UsageError(f"{fault}: {advice}")

    @property
    def title(self) -> str:
        return f"openSMILE {self.feature_set}"

    @property
    def fingerprint(self) -> str:
        """The usual fingerprint, and the version of openSMILE."""
        fields = super().fingerprint
        version = _version()
        return digest([fields, version])

    @property
    def width(self) -> int:
        """Values per frame."""
        if self.level == "functionals":
            return FUNCTIONALS[self.feature_set]
        return DESCRIPTORS[self.feature_set]

    def extract(
        self, waveforms: "Sequence[Waveform]", device: "torch.device"
    ) -> "list[Array]":
        obstacle = missing()
        if obstacle:
            raise UsageError(obstacle)
        with _smile(self) as smile:
            return [_measure(smile, samples) for samples in waveforms]


def missing() -> str:
    """Why openSMILE cannot run on this machine, as one sentence; empty if it can."""
    if find_spec("opensmile"):
        return ""
    command = "pip install 'ser-bench[opensmile]'"
    return f"openSMILE is not installed: {command} (its licence allows only non-commercial use)"


def _measure(smile: Any, samples: "Waveform") -> "Array":
    count = round(SHORTEST * SAMPLE_RATE)
    padded = at_least(samples, count)
    limited = np.clip(padded, -1.0, LARGEST)
    limited = limited.astype(np.float32)

    measured = smile(limited, SAMPLE_RATE)
    frames = measured[0].T
    return np.ascontiguousarray(frames, dtype=np.float32)


@contextmanager
def _smile(feature: Smile) -> Iterator[Any]:
    import opensmile

    feature_set = opensmile.FeatureSet[feature.feature_set]
    level = opensmile.FeatureLevel.Functionals
    if feature.level == "lld":
        # both levels are read together and cut to the shorter one
        has_derivatives = feature.feature_set != "eGeMAPSv02"
        level = "lld;lld_de" if has_derivatives else "lld"
    if not feature.frame_ms:
        yield opensmile.Smile(feature_set, level)
        return

    package = Path(opensmile.__file__).parent
    folder = package / "core" / "config"
    original = folder / f"{feature_set.value}.conf"
    published = original.read_text("utf-8")
    reframed = _reframed(published, feature)
    with tempfile.TemporaryDirectory(prefix="ser-bench-") as temporary:
        config = Path(temporary) / original.name
        config.write_text(reframed, "utf-8")
        yield opensmile.Smile(str(config), level)


def _reframed(config: str, feature: Smile) -> str:
    """The configuration with other frames; a size of 0 means the whole clip and is kept."""
    size = feature.frame_ms / 1000
    config = FRAME_SIZE.sub(f"frameSize = {size}", config)

    step = feature.hop_ms / 1000
    return FRAME_STEP.sub(f"frameStep = {step}", config)


@cache
def _version() -> str:
    try:
        return metadata.version("opensmile")
    except metadata.PackageNotFoundError:
        return "absent"
