"""The acoustic feature sets of openSMILE, by the optional package `opensmile`.

openSMILE's licence allows research and other non-commercial use alone. It is therefore an extra,
and none of it is kept here: where a set needs another framing, its configuration is rewritten in a
temporary folder for the moment of use.
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
from typing import TYPE_CHECKING, Any, Literal

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

SHORTEST = (
    0.2  # s; a shorter clip is continued with silence: below two frames openSMILE gives no number
)
FUNCTIONALS = {"IS10": 1582, "ComParE_2016": 6373, "eGeMAPSv02": 88}
DESCRIPTORS = {"IS10": 76, "ComParE_2016": 130, "eGeMAPSv02": 25}


@dataclass(frozen=True)
class Smile(Feature):
    """One of openSMILE's sets: its functionals over the clip, (1, width), or its descriptors,
    (frames, width).

    Descriptors are the low-level ones, then their derivatives (eGeMAPS has none). `frame_ms` and
    `hop_ms` are for IS10 alone; 0 leaves its own frames (25 and 60 ms every 10 ms). 128 and 32 ms
    are those of STRL-SER, with 1 + (milliseconds - 128) // 32 frames (59 in 2.0 s). Many short
    pieces are best given in one call of `extract`: it sets openSMILE up once. Raises UsageError if
    the package is not installed.

    IS10: Schuller et al., Interspeech 2010. ComParE: Schuller et al., Interspeech 2016. eGeMAPS:
    Eyben et al. 2016.
    """

    feature_set: FeatureSet = "ComParE_2016"
    level: Level = "functionals"
    frame_ms: int = 0
    hop_ms: int = 0

    def __post_init__(self) -> None:
        if bool(self.frame_ms) != bool(self.hop_ms) or (
            self.frame_ms and self.feature_set != "IS10"
        ):
            fault = f"{self.feature_set} with frames of {self.frame_ms} ms every {self.hop_ms} ms"
            raise UsageError(f"{fault}: frame_ms and hop_ms go together, and with IS10 alone")

    @property
    def fingerprint(self) -> str:
        """Also over the version of openSMILE."""
        return digest([super().fingerprint, _version()])

    @property
    def width(self) -> int:
        """Values per frame."""
        return (FUNCTIONALS if self.level == "functionals" else DESCRIPTORS)[self.feature_set]

    def extract(self, waveforms: "Sequence[Waveform]", device: "torch.device") -> "list[Array]":
        if gap := missing():
            raise UsageError(gap)
        with _smile(self) as smile:
            return [_measure(smile, w) for w in waveforms]


def missing() -> str:
    """What keeps openSMILE from running on this machine, as one sentence; empty where nothing does."""
    if find_spec("opensmile"):
        return ""
    return "openSMILE is not installed: pip install 'ser-bench[opensmile]' (its licence allows non-commercial use alone)"


def _measure(smile: Any, samples: "Waveform") -> "Array":
    # 16-bit samples inside, which would wrap around above full scale
    heard = np.clip(at_least(samples, round(SHORTEST * SAMPLE_RATE)), -1.0, 1.0 - 2**-15)
    return np.ascontiguousarray(smile(heard.astype(np.float32), SAMPLE_RATE)[0].T, dtype=np.float32)


@contextmanager
def _smile(feature: Smile) -> Iterator[Any]:
    import opensmile

    levels = (
        "lld" if feature.feature_set == "eGeMAPSv02" else "lld;lld_de"
    )  # read together, cut to the shorter one
    level = levels if feature.level == "lld" else opensmile.FeatureLevel.Functionals
    known = opensmile.FeatureSet[feature.feature_set]
    if not feature.frame_ms:
        yield opensmile.Smile(known, level)
        return
    with tempfile.TemporaryDirectory(prefix="ser-bench-") as folder:
        original = Path(opensmile.__file__).parent / "core" / "config" / f"{known.value}.conf"
        config = Path(folder) / original.name
        config.write_text(_reframed(original.read_text("utf-8"), feature), "utf-8")
        yield opensmile.Smile(str(config), level)


def _reframed(config: str, feature: Smile) -> str:
    """The configuration with other frames; a size of 0 means the whole clip there, and stays."""
    config = re.sub(r"(?m)^frameSize = 0\.\d+$", f"frameSize = {feature.frame_ms / 1000}", config)
    return re.sub(r"(?m)^frameStep = 0\.\d+$", f"frameStep = {feature.hop_ms / 1000}", config)


@cache
def _version() -> str:
    try:
        return metadata.version("opensmile")
    except metadata.PackageNotFoundError:
        return "absent"
