"""MLflow's runs as the records that tables and every other reader see."""

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import without_password
from bench.runs.mlflow_client import MlflowException, Run, StoreError
from bench.runs.mlflow_runs import NETWORK, PARENT, PREFIX, SEARCH, MlflowRuns, tagged, tags_of
from bench.runs.records import PairingRecord, RunRecord
from bench.runs.search_record import SearchRecord
from bench.scoring.predictions import Predictions

RECORD = "record."  # of the tags that hold a PairingRecord, a field each


class RecordReader:
    """Reads records out of MLflow's runs."""

    def __init__(self, runs: MlflowRuns) -> None:
        self.runs = runs

    def pairings(self, experiment: str) -> Iterator[tuple[float, PairingRecord]]:
        """Each pairing, after the time at which it was last opened (s since the epoch).

        Two parents of one pairing, created at one moment, are one here.
        """
        parents = self._parents(experiment)
        children = self._children(experiment, parents)
        for key, same in parents.items():
            tags = max(map(tags_of, same), key=_updated)
            yield _updated(tags), self._pairing(tags, children.get(key, []))

    def run(self, run: Run) -> RunRecord:
        """The record of an ended run."""
        tags, numbers = tags_of(run), run.data.metrics
        record = RunRecord(
            fingerprint=tags["fingerprint"],
            fold=tags["fold"],
            seed=int(tags["seed"]),
            status="failed",
            parameters=int(numbers.get("parameters", 0)),
            trainable_parameters=int(numbers.get("trainable_parameters", 0)),
            train_seconds=numbers.get("train_seconds", 0.0),
            peak_memory_mb=numbers.get("peak_memory_mb", 0.0),
            notes=tuple(json.loads(tags.get("notes", "[]"))),
            id=run.info.run_id,
            pairing=run.data.tags[PARENT],
        )
        if run.info.status != "FINISHED":
            return dataclasses.replace(record, reason=tags.get("reason", "interrupted"))
        return dataclasses.replace(
            record,
            status="ok",
            predictions=partial(self._predictions, record.id),
            network=partial(self._network, record.id) if "network" in tags else None,
        )

    def search(self, run: Run) -> SearchRecord | None:
        """The record of a search; None if it was killed before its first trial ended."""
        artifacts = self.runs.client.list_artifacts(run.info.run_id)
        if all(file.path != SEARCH for file in artifacts):
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = self.runs.client.download_artifacts(run.info.run_id, SEARCH, folder)
            return SearchRecord.from_json(json.loads(Path(path).read_text("utf-8")))

    def _parents(self, experiment: str) -> dict[str, list[Run]]:
        """The parent runs of the pairings, by key."""
        query = f"{tagged(kind='pairing')} and tags.`{PREFIX}updated` != ''"
        parents: dict[str, list[Run]] = {}
        for parent in self.runs.search(experiment, query):
            parents.setdefault(tags_of(parent)["key"], []).append(parent)
        return parents

    def _children(
        self, experiment: str, parents: Mapping[str, Sequence[Run]]
    ) -> dict[str, list[Run]]:
        """The ended runs of the pairings, by the key of their parents."""
        keys = {parent.info.run_id: key for key, same in parents.items() for parent in same}
        children: dict[str, list[Run]] = {}
        for run in self.runs.search(experiment, tagged(kind="run")):
            key = keys.get(run.data.tags[PARENT])
            if key is not None and run.info.status != "RUNNING":
                children.setdefault(key, []).append(run)
        return children

    def _pairing(self, tags: Mapping[str, str], children: Sequence[Run]) -> PairingRecord:
        runs = [self.run(run) for run in children]
        if tags.get("failed"):
            reason = tags["failed"]
            runs.append(RunRecord(fingerprint="", fold="", seed=0, status="failed", reason=reason))
        return PairingRecord(**_fields(tags), runs=tuple(runs))

    def _network(self, run: str, folder: Path) -> Path:
        return Path(self.runs.client.download_artifacts(run, NETWORK, str(folder)))

    def _predictions(self, run: str) -> Predictions:
        client = self.runs.client
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = client.download_artifacts(run, "predictions.parquet", folder)
            except (MlflowException, OSError) as error:
                store = without_password(client.uri)
                raise StoreError(f"{store} has lost the artifacts of run {run}") from error
            return Predictions.from_parquet(Path(path))


def record_tags(record: PairingRecord) -> dict[str, str]:
    """The tags that hold a pairing's record, all but its runs."""
    values = dataclasses.asdict(record)
    del values["runs"]
    return {RECORD + name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _fields(tags: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a pairing's record that were known when it was written."""
    fields = {}
    for field in dataclasses.fields(PairingRecord):
        text = tags.get(RECORD + field.name)
        if text is not None:
            value = json.loads(text)
            fields[field.name] = tuple(value) if isinstance(value, list) else value
    return fields


def _updated(tags: Mapping[str, str]) -> float:
    return float(tags["updated"])
