"""MLflow's runs as the harness uses them: an experiment per task, parents by key, prefixed tags."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench.fingerprint import digest
from bench.progress import display
from bench.runs import pages
from bench.runs.mlflow_client import (
    Client,
    Experiment,
    Metric,
    MlflowException,
    Run,
    RunTag,
    StoreError,
    ViewType,
)
from bench.scoring.names import metric_name

PREFIX = "ser."  # of every tag that the harness reads back
TASK = PREFIX + "task"  # the tag of an experiment that names its task
SAME_NAME = 100  # experiments that may have had a task's name before they were renamed
PARENT = "mlflow.parentRunId"  # the tag that makes a run the child of another
DONE = "FINISHED"  # the status of a run that is recorded
FINISHED = f"attributes.status = '{DONE}'"
PAGE = 1000  # runs, or metrics, of one request
TEXT_LENGTH = (
    4000  # characters of a tag; MLflow cuts longer ones at 8,000 without a word
)
NAME_LENGTH = 250  # characters of a run's name; databases refuse longer ones
FILE = "file:"  # begins a tag whose value did not fit: the rest is the name of its artifact
PREDICTIONS = (
    "predictions.parquet"  # the artifact of a run that everything is computed from
)
NETWORK = "network"  # the artifact folder of a saved network
SEARCH = "search.json"  # the artifact that sums up a search


class MlflowRuns:
    """The runs of a tracking store. `artifacts`: where new experiments keep theirs."""

    def __init__(self, client: Client, artifacts: str | None) -> None:
        self.client = client
        self.artifacts = artifacts
        self._ids: dict[str, str] = {}  # task -> experiment
        self._active: set[str] = set()  # runs that are known not to be deleted

    def experiment(self, task: str) -> str:
        """The id of the task's experiment, whatever its name in MLflow is now.

        It is created if there is none, and restored if it was deleted.
        """
        if task not in self._ids:
            found = self._find(task)
            self._ids[task] = self._opened(found, task) if found else self._create(task)
        return self._ids[task]

    def experiments(self, tasks: Sequence[str] | None) -> list[str]:
        """The ids of the experiments of these tasks, or of all, by name."""
        active = self._experiments(ViewType.ACTIVE_ONLY)
        wanted = [each for each in active if tasks is None or _task(each) in tasks]
        wanted.sort(key=lambda each: each.name)
        return [each.experiment_id for each in wanted]

    def opened(self) -> Iterator[tuple[str, str]]:
        """Each task with the id of its experiment, which is as a new one would be."""
        for experiment in self._experiments(ViewType.ACTIVE_ONLY):
            task = experiment.tags.get(TASK)
            if task:
                number = self._opened(experiment, task)
                yield task, number

    def search(self, experiment: str, query: str) -> Iterator[Run]:
        """All runs of an experiment that match a query."""
        token = None
        while True:
            page = self.client.search_runs(
                [experiment], query, max_results=PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def parent(
        self,
        task: str,
        kind: str,
        key: str,
        label: str,
        command: str,
        started: int | None = None,
    ) -> str:
        """The id of the parent run with this key, which is created if there is none.

        `command`: what makes it; `started`: when it did, in ms since the epoch; None: now.

        Of two that were created at one moment the older one counts.
        """
        experiment = self.experiment(task)
        query = tagged(kind=kind, key=key)
        if not any(True for _ in self.search(experiment, query)):
            own = {PREFIX + "kind": kind, PREFIX + "key": key}
            tags = {**own, **pages.origin(command)}
            name = shortened(label, NAME_LENGTH)
            self.client.create_run(experiment, started, tags, name)
        oldest = min(self.search(experiment, query), key=age)
        return str(oldest.info.run_id)

    def children(self, parent: str) -> Iterator[Run]:
        """Every run of a parent, one under way included."""
        experiment = self.client.get_run(parent).info.experiment_id
        return self.search(experiment, f"tags.`{PARENT}` = '{parent}'")

    def is_active(self, run: str) -> bool:
        """Whether there is a run of this id, and it was not deleted."""
        if run and run not in self._active:
            try:
                stage = self.client.get_run(run).info.lifecycle_stage
            except MlflowException:
                return False
            if stage == "active":
                self._active.add(run)
        return run in self._active

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags, whose names get the prefix. A text that is too long ends in `…`."""
        texts = {
            PREFIX + name: shortened(text, TEXT_LENGTH) for name, text in tags.items()
        }
        self.client.log_batch(
            run, tags=[RunTag(name, text) for name, text in texts.items()]
        )

    def as_tags(self, run: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Values as tags of a run, in JSON. One that does not fit becomes an artifact."""
        tags = {}
        for name, value in values.items():
            text = json.dumps(value, ensure_ascii=False)
            if len(text) > TEXT_LENGTH:
                file = f"{name}-{digest(value)[:8]}.json"
                self.client.log_text(run, text, file)
                text = FILE + file
            tags[name] = text
        return tags

    def value(self, run: Run, text: str) -> Any:
        """The value of a tag of `as_tags`, from its text.

        Raises:
            ValueError: if it is no JSON.
            Exception: of many kinds, if it was an artifact that is lost.
        """
        if not text.startswith(FILE):
            return json.loads(text)
        with self.artifact(run, text.removeprefix(FILE)) as path:
            return json.loads(path.read_text("utf-8"))

    @contextmanager
    def artifact(self, run: Run, name: str) -> Iterator[Path]:
        """An artifact of a run as a file: its own, or a copy that is deleted afterwards."""
        folder = self.folder(run)
        if folder:
            yield folder / name
            return
        with TemporaryDirectory() as copies:
            yield Path(self.client.download_artifacts(run.info.run_id, name, copies))

    def folder(self, run: Run) -> Path | None:
        """The folder of a run's artifacts, if the store is the results folder's own."""
        address = str(run.info.artifact_uri)
        if self.artifacts is None or not address.startswith(f"{self.artifacts}/"):
            return None
        return Path(url2pathname(urlsplit(address).path))

    def _experiments(self, view: int) -> Iterator[Experiment]:
        token = None
        while True:
            page = self.client.search_experiments(view_type=view, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _find(self, task: str) -> Experiment | None:
        """The experiment of a task; of several, one that is not deleted, and the oldest."""
        same = [each for each in self._experiments(ViewType.ALL) if _task(each) == task]
        return min(same, key=_precedence, default=None)

    def _opened(self, experiment: Experiment, task: str) -> str:
        """The id of an experiment that can be used, and keeps its task if it is renamed."""
        number = str(experiment.experiment_id)
        if _is_deleted(experiment):
            self.client.restore_experiment(number)
            display.say(
                f"the experiment {experiment.name} had been deleted in MLflow: it is restored with "
                f"its runs, and what is recorded there counts again"
            )
        lacking = {TASK: task, **pages.experiment_tags()}
        for name, value in lacking.items():
            if name not in experiment.tags:
                self.client.set_experiment_tag(number, name, value)
        return number

    def _create(self, task: str) -> str:
        """A new experiment, called like the task unless another task's has that name."""
        tags = {TASK: task, **pages.experiment_tags()}
        names = [task, *(f"{task} ({number})" for number in range(2, SAME_NAME))]
        for name in names:
            try:
                created = self.client.create_experiment(name, self.artifacts, tags)
                return str(created)
            except MlflowException:
                by_another = self._find(task)  # another process, in the meantime
                if by_another:
                    return self._opened(by_another, task)
                if not self.client.get_experiment_by_name(name):
                    raise
        raise StoreError(
            f"{len(names)} experiments are called {task}: rename some in MLflow"
        )


def _task(experiment: Experiment) -> str:
    """The task whose runs an experiment holds."""
    return str(experiment.tags.get(TASK, experiment.name))


def _is_deleted(experiment: Experiment) -> bool:
    return bool(experiment.lifecycle_stage == "deleted")


def _precedence(experiment: Experiment) -> tuple[bool, int]:
    return _is_deleted(experiment), experiment.creation_time or 0


def tagged(**tags: str) -> str:
    """A query for runs with these tags."""
    return " and ".join(
        f"tags.`{PREFIX}{name}` = '{value}'" for name, value in tags.items()
    )


def tags_of(run: Run) -> dict[str, str]:
    """The tags that the harness has set, without their prefix."""
    return own_tags(run.data.tags)


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of the tags that are the harness's, without their prefix."""
    found = {}
    for name, text in tags.items():
        if name.startswith(PREFIX):
            found[name.removeprefix(PREFIX)] = text
    return found


def shortened(text: str, length: int) -> str:
    """The text, or if it is too long its beginning and `…`."""
    return text if len(text) <= length else text[: length - 1] + "…"


def age(run: Run) -> tuple[int, str]:
    """A key that sorts runs from the oldest to the newest."""
    return run.info.start_time, run.info.run_id


def metrics(values: Mapping[str, float], step: int = 0) -> list[Metric]:
    """Numbers as MLflow's metrics of this moment."""
    now = int(time.time() * 1000)  # ms
    return [
        Metric(metric_name(name), value, now, step) for name, value in values.items()
    ]
