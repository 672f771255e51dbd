"""MLflow's runs as the harness uses them: an experiment per task, parents by key, prefixed tags."""

import time
from collections.abc import Iterator, Mapping, Sequence

from bench.runs.mlflow_client import Client, Metric, MlflowException, Run, RunTag, ViewType

PREFIX = "ser."  # of every tag that the harness reads back
PARENT = "mlflow.parentRunId"  # the tag that makes a run the child of another
FINISHED = "attributes.status = 'FINISHED'"
PAGE = 1000  # runs, or metrics, of one request
NETWORK = "network"  # the artifact folder of a saved network
SEARCH = "search.json"  # the artifact that sums up a search


class MlflowRuns:
    """The runs of a tracking store. `artifacts`: where new experiments keep theirs."""

    def __init__(self, client: Client, artifacts: str | None) -> None:
        self.client = client
        self.artifacts = artifacts
        self._ids: dict[str, str] = {}  # task -> experiment

    def experiment(self, task: str) -> str:
        """The id of the task's experiment, which is created if there is none."""
        if task not in self._ids:
            self._ids[task] = self._find(task) or self._create(task)
        return self._ids[task]

    def experiments(self, tasks: Sequence[str] | None) -> list[str]:
        """The ids of the experiments of these tasks, or of all, by name."""
        active = self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
        wanted = [each for each in active if tasks is None or each.name in tasks]
        wanted.sort(key=lambda each: each.name)
        return [each.experiment_id for each in wanted]

    def search(self, experiment: str, query: str) -> Iterator[Run]:
        """All runs of an experiment that match a query."""
        token = None
        while True:
            page = self.client.search_runs([experiment], query, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def parent(self, task: str, kind: str, key: str, label: str) -> str:
        """The id of the parent run with this key, which is created if there is none.

        Of two that were created at one moment the older one counts.
        """
        experiment = self.experiment(task)
        query = tagged(kind=kind, key=key)
        if not any(True for _ in self.search(experiment, query)):
            tags = {PREFIX + "kind": kind, PREFIX + "key": key}
            self.client.create_run(experiment, run_name=label, tags=tags)
        oldest = min(self.search(experiment, query), key=age)
        return str(oldest.info.run_id)

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags, whose names get the prefix."""
        self.client.log_batch(run, tags=[RunTag(PREFIX + k, v) for k, v in tags.items()])

    def _find(self, task: str) -> str | None:
        experiment = self.client.get_experiment_by_name(task)
        return str(experiment.experiment_id) if experiment else None

    def _create(self, task: str) -> str:
        try:
            return str(self.client.create_experiment(task, self.artifacts))
        except MlflowException:
            created = self._find(task)  # by another process in the meantime
            if created is None:
                raise
            return created


def tagged(**tags: str) -> str:
    """A query for runs with these tags."""
    return " and ".join(f"tags.`{PREFIX}{name}` = '{value}'" for name, value in tags.items())


def tags_of(run: Run) -> dict[str, str]:
    """The tags that the harness has set, without their prefix."""
    tags = run.data.tags
    return {name.removeprefix(PREFIX): tags[name] for name in tags if name.startswith(PREFIX)}


def age(run: Run) -> tuple[int, str]:
    """A key that sorts runs from the oldest to the newest."""
    return run.info.start_time, run.info.run_id


def metrics(values: Mapping[str, float], step: int = 0) -> list[Metric]:
    """Numbers as MLflow's metrics of this moment."""
    now = int(time.time() * 1000)  # ms
    return [Metric(_metric_name(name), value, now, step) for name, value in values.items()]


def _metric_name(name: str) -> str:
    """A score's name in the characters that MLflow allows: `F1 (sad)` as `F1/sad`."""
    path = name.replace(" (", "/").replace(")", "")
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in path)
