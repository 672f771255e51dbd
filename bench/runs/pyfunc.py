"""A saved network behind MLflow's `mlflow.pyfunc.load_model`: audio in, probabilities out."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contracts.clip import Recording
from bench.data.audio import AudioError, decode
from bench.errors import BenchError
from bench.runs import inference
from bench.runs.ensemble import Networks
from bench.training import devices

if TYPE_CHECKING:
    import pandas

    from bench.contracts.feature import Waveform


class Model:
    """The network of one run."""

    def __init__(self, folder: Path) -> None:
        self.networks = Networks([folder], weights={})

    def predict(self, model_input: Any, params: Any = None) -> "pandas.DataFrame":
        """The probability of each class, one line per clip.

        Args:
            model_input: paths of audio files, or arrays of samples in mono at 16 kHz from -1 to 1:
                one of them, a list, a 2-D array with a clip per row, or the first column of a
                DataFrame.
            params: not used.

        Raises:
            BenchError: if a clip cannot be read, or is too short.
        """
        import pandas

        clips = _each(model_input)
        samples = [_samples(clip) for clip in clips]
        found = inference.predict_samples(
            self.networks,
            samples,
            devices.choose("auto"),
        )
        labels = self.networks.setup.labels
        return pandas.DataFrame(
            found,
            columns=list(labels),
        )


def _load_pyfunc(path: str) -> Model:
    """What MLflow calls with the folder of the model."""
    folder = Path(path)
    return Model(folder)


def _each(given: Any) -> Iterable[Any]:
    """The clips of an input."""
    if hasattr(given, "columns"):  # a DataFrame
        _, first = next(given.items())
        return list(first)
    if isinstance(given, str | Path) or _is_clip(given):
        return [given]
    return list(given)


def _is_clip(given: Any) -> bool:
    """Whether it is one clip's samples."""
    if not isinstance(given, np.ndarray):
        return False
    is_number = given.dtype.kind in "fiu"
    return is_number and given.ndim == 1


def _samples(clip: Any) -> "Waveform":
    if not isinstance(clip, str | Path):
        return np.asarray(clip, np.float32)
    recording = Recording(Path(clip))
    try:
        return decode(recording)
    except AudioError as error:
        raise BenchError(f"{clip}: {error.reason}") from error
