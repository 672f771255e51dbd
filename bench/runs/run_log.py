"""A run under way: its metrics while it trains, and everything else at once at its end."""

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.errors import without_password, writing
from bench.runs.mlflow_client import Metric, MlflowException, Run, StoreError, impatient
from bench.runs.mlflow_runs import NETWORK, PAGE, PREDICTIONS, MlflowRuns, metrics
from bench.scoring.predictions import Predictions

FLUSH_SECONDS = 2.0  # one request per epoch would cost more than a probe's epoch


class RunLog:
    """A child run. `earlier`: runs of the same fingerprint, deleted once this one is recorded."""

    def __init__(self, runs: MlflowRuns, run: str, earlier: Sequence[Run]) -> None:
        self.runs = runs
        self.run = run
        self.earlier = earlier
        self.ended = False
        self._waiting: list[Metric] = []
        self._flushed = 0.0  # s, of the monotonic clock

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Loss and validation scores of one epoch, sent at most every FLUSH_SECONDS."""
        named = {}
        for name, value in values.items():
            training = name.startswith("train")
            named[name if training else f"valid {name}"] = value
        self._waiting += metrics(named, step=number)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def finish(
        self,
        predictions: Predictions,
        scores: Mapping[str, float],
        numbers: Mapping[str, float],
        notes: Sequence[str],
        save: Callable[[Path], None] | None = None,
    ) -> None:
        """Record the run whole: artifacts, scores, and last of all its status. `save` writes a
        network's folder.
        """
        self._measured({**scores, **numbers})
        self.runs.tag(self.run, self.runs.as_tags(self.run, {"notes": list(notes)}))
        with tempfile.TemporaryDirectory() as folder:
            with writing(folder):
                _write(predictions, Path(folder))
                if save:
                    network = Path(folder) / NETWORK
                    network.mkdir()
                    save(network)
            if save:
                self.runs.tag(self.run, {"network": "saved"})
            with writing(without_password(self.runs.artifacts or self.runs.client.uri)):
                self.runs.client.log_artifacts(self.run, folder)
        self._complete()

    def close(self, values: Mapping[str, float], notes: Mapping[str, str]) -> None:
        """Record a trial, which has scores on validation alone and no predictions."""
        self._measured(values)
        self.runs.tag(self.run, notes)
        self._complete()

    def fail(self, reason: str, traceback: str = "") -> None:
        """End the run as failed; the next command tries it again."""
        self._flush()
        self.runs.tag(self.run, {"reason": reason})
        if traceback:
            # where the disk is full, the reason alone is kept
            with suppress(OSError, StoreError, MlflowException):
                self.runs.client.log_text(self.run, traceback, "traceback.txt")
        self.runs.client.set_terminated(self.run, "FAILED")
        self._delete(run for run in self.earlier if run.info.status != "FINISHED")

    def abandon(self) -> None:
        """Delete an interrupted run, if the store answers; one that is recorded stays."""
        if self.ended:
            return
        with suppress(StoreError), impatient():
            self.runs.client.delete_run(self.run)

    def _measured(self, values: Mapping[str, float]) -> None:
        self._waiting += metrics(values)
        self._flush()

    def _complete(self) -> None:
        self.runs.client.set_terminated(self.run, "FINISHED")
        self.ended = True
        self._delete(self.earlier)

    def _flush(self) -> None:
        for start in range(0, len(self._waiting), PAGE):
            part = self._waiting[start : start + PAGE]
            self.runs.client.log_batch(self.run, metrics=part)
        self._waiting = []
        self._flushed = time.monotonic()

    def _delete(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self.runs.client.delete_run(run.info.run_id)


def _write(predictions: Predictions, folder: Path) -> None:
    """The artifacts of a run."""
    predictions.to_parquet(folder / PREDICTIONS)
    draw_confusion(predictions, folder)


def draw_confusion(predictions: Predictions, folder: Path) -> None:
    """The confusion matrix as a figure, unless a clip may have several labels."""
    from bench.scoring.confusion import confusion_figure

    if not predictions.multilabel:
        confusion_figure(predictions, folder / "confusion.png")
