"""MLflow: the only store of runs. Only this module and `bench.runs.mlflow_client` name it.

One experiment per task; one parent run per pairing, which carries a PairingRecord; one child per
fold and seed. A child counts as recorded once its status is FINISHED, which is written last.
"""

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from filelock import FileLock

from bench.errors import UsageError
from bench.runs.mlflow_client import Client, StoreError, impatient, unanswered, without_password
from bench.runs.records import PairingRecord, RunRecord
from bench.runs.search_record import SearchRecord
from bench.scoring.predictions import Predictions

# isort: split
from mlflow.entities import Metric, Param, Run, RunTag, ViewType  # after what makes it quiet
from mlflow.exceptions import MlflowException

PREFIX = "ser."  # of every tag that the harness reads back
NETWORK = "network"  # the artifact folder of a saved network
SEARCH = "search.json"  # the artifact that sums up a search
FLUSH_SECONDS = 2.0  # one request per epoch would cost more than a probe's epoch
NUMBERS = ("parameters", "trainable_parameters", "train_seconds", "peak_memory_mb")


class Store:
    """Recorded runs. `uri` is any MLflow tracking URI; None means an SQLite file under `results`."""

    def __init__(self, uri: str | None, results: Path) -> None:
        own = f"sqlite:///{(results / 'mlflow.db').resolve()}"
        self.uri = uri or own
        self.artifacts = (results / "artifacts").resolve().as_uri() if self.uri == own else None
        try:
            results.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"the folder {results} cannot be used: {error.strerror}; name another with --results"
            ) from error
        self.experiments: dict[str, str] = {}
        try:
            with (
                FileLock(results / ".store.lock"),
                impatient(),
            ):  # two processes that create one database break it
                self.client = Client(self.uri)
                self.client.search_experiments(max_results=1)
        except StoreError:
            raise
        except Exception as error:  # SQLAlchemy and each database driver raise their own
            raise unanswered(self.uri, error) from error

    @property
    def name(self) -> str:
        """The URI as it may be shown."""
        return without_password(self.uri)

    def recorded(self, task: str, network: bool = False) -> set[str]:
        """Fingerprints of the runs that are recorded whole; `network`: of those whose network was
        saved, too.
        """
        query = f"tags.`{PREFIX}kind` = 'run' and attributes.status = 'FINISHED'"
        query += f" and tags.`{PREFIX}network` = 'saved'" if network else ""
        return {
            run.data.tags[PREFIX + "fingerprint"]
            for run in self._search(self._experiment(task), query)
        }

    def has(self, task: str, fingerprint: str, network: bool = False) -> bool:
        """Whether this one run is among `recorded`."""
        query = f"tags.`{PREFIX}fingerprint` = '{fingerprint}' and attributes.status = 'FINISHED'"
        query += f" and tags.`{PREFIX}network` = 'saved'" if network else ""
        return any(True for _ in self._search(self._experiment(task), query))

    def open_pairing(self, record: PairingRecord, key: str, failed: str = "") -> str:
        """The parent run of a pairing: found by `key` or made; its record and its reason for
        failing are renewed.
        """
        label = " ".join([record.backbone, record.mode, record.protocol, record.scale])
        parent = self._parent(record.task, "pairing", key, label)
        content = {k: v for k, v in dataclasses.asdict(record).items() if k != "runs"}
        tags = {"failed": failed[:4000], "updated": f"{time.time():.3f}"}
        tags |= {
            f"record.{name}": json.dumps(value, ensure_ascii=False)
            for name, value in content.items()
        }
        self._tag(parent, tags)
        return parent

    def close_pairing(self, parent: str, totals: Mapping[str, float], failed: bool) -> None:
        """Scores of the pairing as a whole, for those who look at MLflow's own pages."""
        now = int(time.time() * 1000)
        self.client.log_batch(
            parent, metrics=[Metric(_key(k), v, now, 0) for k, v in totals.items()]
        )
        self.client.set_terminated(parent, "FAILED" if failed else "FINISHED")

    def start(
        self,
        task: str,
        parent: str,
        fingerprint: str,
        fold: str,
        seed: int,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        kind: Literal["run", "trial"] = "run",
    ) -> "RunLog":
        """A child run under way. Earlier runs of the same fingerprint go when this one is recorded."""
        experiment = self._experiment(task)
        same = f"tags.`{PREFIX}fingerprint` = '{fingerprint}'"
        earlier = list(self._search(experiment, same))
        child = self.client.create_run(
            experiment, run_name=f"{fold}, seed {seed}", tags={"mlflow.parentRunId": parent}
        )
        own = {"kind": kind, "fingerprint": fingerprint, "fold": fold, "seed": str(seed)}
        self._tag(child.info.run_id, {**own, **tags})
        self.client.log_batch(
            child.info.run_id, params=[Param(k, str(v)[:6000]) for k, v in parameters.items()]
        )
        return RunLog(self, child.info.run_id, earlier)

    def open_search(self, task: str, name: str, pairing: str, label: str) -> str:
        """The parent run of a search's trials: found by `name`, or made for the pairing with this
        key.
        """
        search = self._parent(task, "search", name, f"search: {label}")
        self._tag(search, {"pairing": pairing})
        return search

    def keep_search(self, search: str, record: SearchRecord, plots: Path | None = None) -> None:
        """Save the state of a search; with its plots, the search is complete."""
        self.client.log_dict(search, record.to_json(), SEARCH)
        if plots:
            self.client.log_artifacts(search, str(plots), "plots")
            self._tag(search, {"complete": f"{time.time():.3f}"})
            self.client.set_terminated(search, "FINISHED")

    def search(self, task: str, pairing: str) -> SearchRecord | None:
        """The newest complete search for the pairing with this key."""
        query = f"tags.`{PREFIX}kind` = 'search' and tags.`{PREFIX}pairing` = '{pairing}'"
        done = [
            run
            for run in self._search(self._experiment(task), query)
            if PREFIX + "complete" in run.data.tags
        ]
        newest = max(done, key=lambda run: float(run.data.tags[PREFIX + "complete"]), default=None)
        return self._search_record(newest) if newest else None

    def searches(self, tasks: Sequence[str] | None = None) -> list[SearchRecord]:
        """All searches, complete or not, oldest first; of the given tasks, or of all."""
        found = [
            run
            for e in self._experiments(tasks)
            for run in self._search(e, f"tags.`{PREFIX}kind` = 'search'")
        ]
        by_name: dict[str, SearchRecord] = {}
        for run in sorted(found, key=_age):
            record = self._search_record(run)
            if record:
                by_name[record.name] = record
        return list(by_name.values())

    def records(self, tasks: Sequence[str] | None = None) -> list[PairingRecord]:
        """Every recorded pairing with its runs, oldest first; of the given tasks, or of all."""
        found = [
            pair for experiment in self._experiments(tasks) for pair in self._pairings(experiment)
        ]
        return [record for _, record in sorted(found, key=lambda pair: pair[0])]

    def runs_of(self, parent: str) -> list[RunRecord]:
        """The ended runs of one parent."""
        experiment = self.client.get_run(parent).info.experiment_id
        found = self._search(experiment, f"tags.`mlflow.parentRunId` = '{parent}'")
        return [self._run(run) for run in found if run.info.status != "RUNNING"]

    def _pairings(self, experiment: str) -> Iterator[tuple[float, PairingRecord]]:
        """Each pairing with when it was last opened. Two parents of one pairing, made at one
        moment, are one here.
        """
        parents: dict[str, list[Run]] = {}
        for parent in self._search(
            experiment, f"tags.`{PREFIX}kind` = 'pairing' and tags.`{PREFIX}updated` != ''"
        ):
            parents.setdefault(parent.data.tags[PREFIX + "key"], []).append(parent)
        keys = {parent.info.run_id: key for key, same in parents.items() for parent in same}
        children: dict[str, list[Run]] = {}
        for run in self._search(experiment, f"tags.`{PREFIX}kind` = 'run'"):
            if (
                key := keys.get(run.data.tags["mlflow.parentRunId"])
            ) is not None and run.info.status != "RUNNING":
                children.setdefault(key, []).append(run)
        for key, same in parents.items():
            tags = max(
                same, key=lambda parent: float(parent.data.tags[PREFIX + "updated"])
            ).data.tags
            names = [f.name for f in dataclasses.fields(PairingRecord) if f.name != "runs"]
            values = {n: json.loads(tags[t]) for n in names if (t := f"{PREFIX}record.{n}") in tags}
            values |= {n: tuple(v) for n, v in values.items() if isinstance(v, list)}
            runs = tuple(self._run(run) for run in children.get(key, ()))
            if failed := tags.get(PREFIX + "failed"):
                runs = (
                    *runs,
                    RunRecord(fingerprint="", fold="", seed=0, status="failed", reason=failed),
                )
            yield float(tags[PREFIX + "updated"]), PairingRecord(**values, runs=runs)

    def _run(self, run: Run) -> RunRecord:
        tags, metrics = run.data.tags, run.data.metrics
        done = run.info.status == "FINISHED"
        return RunRecord(
            fingerprint=tags[PREFIX + "fingerprint"],
            fold=tags[PREFIX + "fold"],
            seed=int(tags[PREFIX + "seed"]),
            status="ok" if done else "failed",
            reason="" if done else tags.get(PREFIX + "reason", "interrupted"),
            parameters=int(metrics.get("parameters", 0)),
            trainable_parameters=int(metrics.get("trainable_parameters", 0)),
            train_seconds=metrics.get("train_seconds", 0.0),
            peak_memory_mb=metrics.get("peak_memory_mb", 0.0),
            notes=tuple(json.loads(tags.get(PREFIX + "notes", "[]"))),
            predictions=(lambda: self._predictions(run.info.run_id)) if done else None,
            id=run.info.run_id,
            pairing=tags["mlflow.parentRunId"],
            network=partial(self._network, run.info.run_id)
            if done and PREFIX + "network" in tags
            else None,
        )

    def _search_record(self, run: Run) -> SearchRecord | None:
        if all(file.path != SEARCH for file in self.client.list_artifacts(run.info.run_id)):
            return None  # a search that was killed before its first trial ended
        with tempfile.TemporaryDirectory() as folder:
            path = self.client.download_artifacts(run.info.run_id, SEARCH, folder)
            return SearchRecord.from_json(json.loads(Path(path).read_text("utf-8")))

    def _experiments(self, tasks: Sequence[str] | None) -> list[str]:
        every = self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
        wanted = [e for e in every if tasks is None or e.name in tasks]
        return [e.experiment_id for e in sorted(wanted, key=lambda e: e.name)]

    def _network(self, run: str, folder: Path) -> Path:
        return Path(self.client.download_artifacts(run, NETWORK, str(folder)))

    def _predictions(self, run: str) -> Predictions:
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = self.client.download_artifacts(run, "predictions.parquet", folder)
            except (MlflowException, OSError) as error:
                raise StoreError(f"{self.name} has lost the artifacts of run {run}") from error
            return Predictions.from_parquet(Path(path))

    def _parent(self, task: str, kind: str, key: str, label: str) -> str:
        """The parent run with this key: found, or made. Of two that are made at one moment the
        older one counts.
        """
        experiment = self._experiment(task)
        query = f"tags.`{PREFIX}kind` = '{kind}' and tags.`{PREFIX}key` = '{key}'"
        if not any(True for _ in self._search(experiment, query)):
            self.client.create_run(
                experiment, run_name=label, tags={PREFIX + "kind": kind, PREFIX + "key": key}
            )
        return str(min(self._search(experiment, query), key=_age).info.run_id)

    def _experiment(self, task: str) -> str:
        if task not in self.experiments:
            found = self.client.get_experiment_by_name(task)
            try:
                made = (
                    found.experiment_id
                    if found
                    else self.client.create_experiment(task, self.artifacts)
                )
            except MlflowException:  # another process made it in between
                made = self.client.get_experiment_by_name(task).experiment_id
            self.experiments[task] = made
        return self.experiments[task]

    def _search(self, experiment: str, query: str) -> Iterator[Run]:
        token = None
        while True:
            page = self.client.search_runs([experiment], query, max_results=1000, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def _tag(self, run: str, tags: Mapping[str, str]) -> None:
        self.client.log_batch(run, tags=[RunTag(PREFIX + k, v) for k, v in tags.items()])


class RunLog:
    """A child run: metrics while it is under way, then everything at once at its end."""

    def __init__(self, store: Store, run: str, earlier: Sequence[Run]) -> None:
        self.store, self.run, self.earlier = store, run, earlier
        self.waiting: list[Metric] = []
        self.flushed = 0.0
        self.ended = False

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Loss and validation scores of one epoch, sent at most every FLUSH_SECONDS."""
        now = int(time.time() * 1000)
        names = {name: f"{'' if name.startswith('train') else 'valid '}{name}" for name in values}
        self.waiting += [Metric(_key(names[k]), v, now, number) for k, v in values.items()]
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
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
        from bench.scoring.confusion import confusion_figure

        now = int(time.time() * 1000)
        self.waiting += [Metric(_key(k), v, now, 0) for k, v in {**scores, **numbers}.items()]
        self._flush()
        self.store._tag(self.run, {"notes": json.dumps(list(notes), ensure_ascii=False)})
        with tempfile.TemporaryDirectory() as folder:
            predictions.to_parquet(Path(folder) / "predictions.parquet")
            if not predictions.multilabel:
                confusion_figure(predictions, Path(folder) / "confusion.png")
            if save:
                (Path(folder) / NETWORK).mkdir()
                save(Path(folder) / NETWORK)
                self.store._tag(self.run, {"network": "saved"})
            self.store.client.log_artifacts(self.run, folder)
        self.store.client.set_terminated(self.run, "FINISHED")
        self.ended = True
        self._forget(self.earlier)

    def close(self, values: Mapping[str, float], notes: Mapping[str, str]) -> None:
        """Record a trial, which has scores on validation alone and no predictions."""
        now = int(time.time() * 1000)
        self.waiting += [Metric(_key(k), v, now, 0) for k, v in values.items()]
        self._flush()
        self.store._tag(self.run, notes)
        self.store.client.set_terminated(self.run, "FINISHED")
        self.ended = True
        self._forget(self.earlier)

    def fail(self, reason: str, traceback: str = "") -> None:
        """End the run as failed; it is tried again next time."""
        self._flush()
        self.store._tag(self.run, {"reason": reason[:4000]})
        if traceback:
            self.store.client.log_text(self.run, traceback, "traceback.txt")
        self.store.client.set_terminated(self.run, "FAILED")
        self._forget([run for run in self.earlier if run.info.status != "FINISHED"])

    def abandon(self) -> None:
        """Take an interrupted run out of the store, if that answers; one that is recorded stays."""
        if self.ended:
            return
        with suppress(StoreError), impatient():
            self.store.client.delete_run(self.run)

    def _flush(self) -> None:
        for start in range(0, len(self.waiting), 1000):  # MLflow's limit of one request
            self.store.client.log_batch(self.run, metrics=self.waiting[start : start + 1000])
        self.waiting, self.flushed = [], time.monotonic()

    def _forget(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self.store.client.delete_run(run.info.run_id)


def _age(run: Run) -> tuple[int, str]:
    return run.info.start_time, run.info.run_id


def _key(name: str) -> str:
    """A score's name with the characters that MLflow takes: `F1 (sad)` as `F1/sad`."""
    return "".join(
        c if c.isalnum() or c in "_-. /" else "_" for c in name.replace(" (", "/").replace(")", "")
    )
