"""MLflow's runs as the records that tables and every other reader see.

Whatever stands in MLflow can be read: a record that is damaged, or of another program, is a failed
one with its reason.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import UnionType
from typing import Any, get_origin, get_type_hints

from bench.errors import BenchError, one_line, without_password
from bench.progress import display
from bench.runs.mlflow_client import HTTPError, MlflowException, Run, StoreError
from bench.runs.mlflow_runs import (
    NETWORK,
    PARENT,
    PREDICTIONS,
    PREFIX,
    SEARCH,
    MlflowRuns,
    age,
    tagged,
    tags_of,
)
from bench.runs.records import PairingRecord, RunRecord, by_split
from bench.runs.search_record import SearchRecord
from bench.scoring.predictions import Predictions

RECORD = "record."  # of the tags that hold a PairingRecord, a field each
NEEDED = ("fingerprint", "fold", "seed")  # tags of every run of ours
REASON_LENGTH = 200  # characters of another library's message


class LostError(BenchError):
    """Something recorded that is gone or damaged."""


class RecordReader:
    """Reads records out of MLflow's runs."""

    def __init__(self, runs: MlflowRuns) -> None:
        self.runs = runs
        self._readable: set[object] = set()  # what `is_whole` has read before

    def pairings(self, experiment: str) -> Iterator[tuple[float, PairingRecord]]:
        """Each pairing, after the time at which it was last opened (s since the epoch)."""
        for parents, record in self.grouped(experiment):
            yield max(map(_updated, parents)), record

    def grouped(self, experiment: str) -> Iterator[tuple[Sequence[Run], PairingRecord]]:
        """Each pairing after its parents: two that were created at one moment are one pairing.

        Runs of folds that are drawn otherwise by now are a pairing of their own.
        """
        parents = self._parents(experiment)
        children = self._children(experiment, parents)
        for key, same in parents.items():
            newest = max(same, key=_updated)
            record = self._pairing(newest, children.get(key, []))
            for each in by_split(record):
                yield same, each

    def run(self, run: Run) -> RunRecord:
        """The record of an ended run; a failed one if it cannot be read."""
        try:
            return self._run(run)
        except (LostError, ValueError, OverflowError) as error:
            reason = f"MLflow's run {run.info.run_id} cannot be read: {one_line(error)}"
            return _unreadable(reason, run)

    def is_whole(self, run: Run, network: bool = False) -> bool:
        """Whether what a finished run has recorded is still there.

        Predictions of the results folder's own store are read; of another store's it is asked
        whether they exist. With `network`, its saved network must exist, too.
        """
        folder = self.runs.folder(run)
        if folder is None:
            return self._is_listed(run, network)
        if network and not _has_files(folder / NETWORK):
            return False
        try:
            state = (folder / PREDICTIONS).stat()
        except OSError:
            return False
        version = (run.info.run_id, state.st_mtime_ns, state.st_size)
        if version not in self._readable and not self._can_be_read(run):
            return False
        self._readable.add(version)
        return True

    def search(self, run: Run) -> SearchRecord | None:
        """The record of a search; None if it is lost, or was killed before a trial ended."""
        artifacts = self.runs.client.list_artifacts(run.info.run_id)
        if all(file.path != SEARCH for file in artifacts):
            return None
        try:
            content = self.runs.value(run, f"file:{SEARCH}")
            return SearchRecord.from_json(content)
        except StoreError:
            raise
        except Exception as error:  # JSON and dataclasses raise many kinds
            name = run.info.run_id
            display.say(
                f"the search {name} cannot be read, and does not count: {_reason(error)}"
            )
            return None

    def _parents(self, experiment: str) -> dict[str, list[Run]]:
        """The parent runs of the pairings, by key."""
        query = f"{tagged(kind='pairing')} and tags.`{PREFIX}updated` != ''"
        parents: dict[str, list[Run]] = {}
        for parent in self.runs.search(experiment, query):
            key = tags_of(parent).get("key", parent.info.run_id)
            parents.setdefault(key, []).append(parent)
        return parents

    def _children(
        self, experiment: str, parents: Mapping[str, Sequence[Run]]
    ) -> dict[str, list[Run]]:
        """The ended runs of the pairings, oldest first, by the key of their parents."""
        keys = {
            parent.info.run_id: key for key, same in parents.items() for parent in same
        }
        children: dict[str, list[Run]] = {}
        for run in sorted(self.runs.search(experiment, tagged(kind="run")), key=age):
            key = keys.get(run.data.tags.get(PARENT))
            if key is not None and run.info.status != "RUNNING":
                children.setdefault(key, []).append(run)
        return children

    def _pairing(self, parent: Run, children: Sequence[Run]) -> PairingRecord:
        fields, faults = self._fields(parent)
        if faults:
            reason = f"its record cannot be read: {'; '.join(faults)}"
            reason += f" (MLflow's run {parent.info.run_id}); its next `bench run` writes it anew"
            return PairingRecord(
                **{**self._placeholders(parent), **fields},
                runs=(_unreadable(reason, parent),),
            )
        runs = [self.run(run) for run in children]
        fields = {**_corpus(children), **fields}
        failed = tags_of(parent).get("failed")
        if failed:
            runs.append(RunRecord("", "", 0, "failed", failed))
        return PairingRecord(**fields, runs=tuple(runs))

    def _placeholders(self, parent: Run) -> dict[str, str]:
        """What stands for the fields that every record has."""
        experiment = self.runs.client.get_experiment(parent.info.experiment_id)
        name = parent.info.run_name or parent.info.run_id
        unknown = dict.fromkeys(_required(), "unknown")
        return {**unknown, "task": str(experiment.name), "backbone": str(name)}

    def _fields(self, parent: Run) -> tuple[dict[str, Any], list[str]]:
        """The fields of a pairing's record that were known when it was written, and its faults."""
        tags = tags_of(parent)
        fields: dict[str, Any] = {}
        faults = []
        for name, kind in _kinds().items():
            text = tags.get(RECORD + name)
            if text is None:
                if name in _required():
                    faults.append(f"it has no tag {PREFIX}{RECORD}{name}")
                continue
            try:
                fields[name] = self._field(parent, text, kind)
            except StoreError:
                raise
            except Exception as error:  # of JSON, of the file system, of MLflow
                faults.append(
                    f"the tag {PREFIX}{RECORD}{name} is damaged ({_reason(error)})"
                )
        return fields, faults

    def _field(self, parent: Run, text: str, kind: Any) -> Any:
        value = self.runs.value(parent, text)
        if isinstance(value, list):
            value = tuple(map(str, value))
        if not isinstance(value, kind):
            raise ValueError("it holds another kind of value")
        return value

    def _run(self, run: Run) -> RunRecord:
        tags = tags_of(run)
        numbers = run.data.metrics
        lacking = [PREFIX + name for name in NEEDED if name not in tags]
        if lacking:
            raise LostError(f"it has no tag {', '.join(lacking)}")
        record = RunRecord(
            fingerprint=tags["fingerprint"],
            fold=tags["fold"],
            seed=int(tags["seed"]),
            split=tags.get("split", ""),
            status="failed",
            parameters=int(numbers.get("parameters", 0)),
            trainable_parameters=int(numbers.get("trainable_parameters", 0)),
            train_seconds=numbers.get("train_seconds", 0.0),
            peak_memory_mb=numbers.get("peak_memory_mb", 0.0),
            notes=self._notes(run, tags),
            id=run.info.run_id,
            pairing=run.data.tags[PARENT],
        )
        if run.info.status != "FINISHED":
            return dataclasses.replace(record, reason=tags.get("reason", "interrupted"))
        return dataclasses.replace(
            record,
            status="ok",
            predictions=partial(self._predictions, run),
            network=partial(self._network, record.id) if "network" in tags else None,
        )

    def _notes(self, run: Run, tags: Mapping[str, str]) -> tuple[str, ...]:
        try:
            return tuple(map(str, self.runs.value(run, tags.get("notes", "[]"))))
        except StoreError:
            raise
        except (
            Exception
        ) as error:  # as in `_fields`; the run's scores do not depend on them
            return (f"notes of a run cannot be read ({_reason(error)})",)

    def _network(self, run: str, folder: Path) -> Path:
        try:
            copy = self.runs.client.download_artifacts(run, NETWORK, str(folder))
        except StoreError:
            raise
        except (OSError, HTTPError, MlflowException) as error:
            store = without_password(self.runs.client.uri)
            raise LostError(
                f"{store} has lost the network of run {run}: its `bench run --save-weights` makes "
                f"it again"
            ) from error
        return Path(copy)

    def _predictions(self, run: Run) -> Predictions:
        name = run.info.run_id
        try:
            with self.runs.artifact(run, PREDICTIONS) as path:
                if not path.exists():
                    raise FileNotFoundError(path)
                return Predictions.from_parquet(path)
        except StoreError:
            raise
        except (FileNotFoundError, HTTPError, MlflowException) as error:
            store = without_password(self.runs.client.uri)
            raise LostError(f"{store} has lost the artifacts of run {name}") from error
        except (
            Exception
        ) as error:  # Arrow's own, and all that noise in a file can lead to
            raise LostError(
                f"run {name}: {PREDICTIONS} is damaged ({_reason(error)})"
            ) from error

    def _can_be_read(self, run: Run) -> bool:
        try:
            self._predictions(run)
        except LostError:
            return False
        return True

    def _is_listed(self, run: Run, network: bool) -> bool:
        """Whether the store names what the run has recorded."""
        wanted = {PREDICTIONS, NETWORK} if network else {PREDICTIONS}
        version = (run.info.run_id, network)
        if version not in self._readable:
            try:
                listed = self.runs.client.list_artifacts(run.info.run_id)
            except MlflowException:
                return False
            if not wanted.issubset(file.path for file in listed):
                return False
            self._readable.add(version)
        return True


def record_values(record: PairingRecord) -> dict[str, Any]:
    """The tags that hold a pairing's record, all but its runs, as values."""
    values = dataclasses.asdict(record)
    del values["runs"]
    return {RECORD + name: value for name, value in values.items()}


def _corpus(children: Sequence[Run]) -> dict[str, str]:
    """Corpus and split as the newest run of a pairing tells them, for records that do not."""
    found: dict[str, str] = {}
    for run in children:
        tags = tags_of(run)
        for name in ("corpus", "split"):
            if name in tags:
                found[name] = tags[name]
    return found


@cache
def _kinds() -> dict[str, Any]:
    """The fields that a record keeps in tags, each with the type of its value."""
    kinds = {}
    hints = get_type_hints(PairingRecord)
    for field in dataclasses.fields(PairingRecord):
        if field.name != "runs":
            hint = hints[field.name]
            origin = get_origin(hint)
            kinds[field.name] = hint if origin in (None, UnionType) else origin
    return kinds


@cache
def _required() -> frozenset[str]:
    """The fields that every record has."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(PairingRecord)
    return frozenset(
        f.name for f in fields if f.default is f.default_factory is missing
    )


def _unreadable(reason: str, run: Run) -> RunRecord:
    return RunRecord("", "", 0, "failed", reason, id=run.info.run_id, lost=True)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _reason(error: Exception) -> str:
    return one_line(error, REASON_LENGTH)


def _updated(parent: Run) -> float:
    try:
        return float(tags_of(parent).get("updated", ""))
    except ValueError:
        return 0.0
