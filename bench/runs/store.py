"""The store of runs, which MLflow keeps.

One experiment per task; one parent run per pairing, which carries a PairingRecord; one child per
fold and seed. A child counts as recorded once its status is FINISHED, which is written last.
"""

import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from filelock import FileLock

from bench.errors import UsageError, without_password
from bench.runs import pages
from bench.runs.database import Layout, alembic_head, ensure, readdress, url
from bench.runs.mlflow_client import (
    Client,
    DatasetInput,
    Param,
    Run,
    StoreError,
    impatient,
    unanswered,
)
from bench.runs.mlflow_runs import (
    FINISHED,
    NAME_LENGTH,
    PARENT,
    SEARCH,
    MlflowRuns,
    age,
    metrics,
    shortened,
    tagged,
    tags_of,
)
from bench.runs.record_reader import RecordReader, record_values
from bench.runs.records import PairingRecord, RunRecord
from bench.runs.run_log import RunLog, draw_confusion
from bench.runs.search_record import SearchRecord
from bench.runs.totals import Totals

TOTALS = "2"  # how a parent's figures were computed: as those of its row in a table
ENDED = ("FINISHED", "FAILED")
PARAMETER_LENGTH = 6000  # characters; MLflow's limit of a parameter's value
PARAMETERS = (
    "parameters.json"  # the artifact of a run with a longer parameter: all of them
)


class Store:
    """Recorded runs. `uri` is any MLflow tracking URI; None means an SQLite file under `results`.

    Raises:
        StoreError: if the store does not answer, or refuses.
        UsageError: if `results` cannot be a folder.
    """

    def __init__(self, uri: str | None, results: Path) -> None:
        database = (results / "mlflow.db").resolve()
        own = url(database)
        self.uri = uri or own
        try:
            results.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"the folder {results} cannot be used: {error.strerror}; name another with "
                "--results"
            ) from error
        is_own = self.uri == own
        self.artifacts = (results / "artifacts").resolve().as_uri() if is_own else None
        with FileLock(results / ".store.lock"):
            if self.artifacts:
                _ready(database, self.artifacts)
            self.client = _connect(self.uri)
        self.runs = MlflowRuns(self.client, self.artifacts)
        self.reader = RecordReader(self.runs)

    @property
    def name(self) -> str:
        """The URI as it may be shown."""
        return without_password(self.uri)

    def recorded(
        self, task: str, network: bool = False, among: Collection[str] | None = None
    ) -> set[str]:
        """Fingerprints of the runs that are recorded whole.

        What is lost is not recorded: a run counts if its artifacts are there, its predictions can
        be read, and its pairing was not deleted.

        Args:
            task: the task of the runs.
            network: only those whose network was saved.
            among: only these fingerprints, which spares looking after the others; None: all.
        """
        recorded = set()
        query = _finished(network, kind="run")
        for run in self.runs.search(self.runs.experiment(task), query):
            fingerprint = tags_of(run).get("fingerprint", "")
            asked = among is None or fingerprint in among
            if fingerprint and asked and self._counts(run, network):
                recorded.add(fingerprint)
        return recorded

    def has(self, task: str, fingerprint: str, network: bool = False) -> bool:
        """Whether this one run is among `recorded`."""
        query = _finished(network, kind="run", fingerprint=fingerprint)
        found = self.runs.search(self.runs.experiment(task), query)
        return any(self._counts(run, network) for run in found)

    def open_pairing(
        self,
        record: PairingRecord,
        key: str,
        failed: str = "",
        corpus: DatasetInput | None = None,
    ) -> str:
        """The id of a pairing's parent run, which is created if none has this key.

        Its record, and its reason for failing, are renewed.
        """
        label = " ".join([record.backbone, record.mode, record.protocol, record.scale])
        parent = self.runs.parent(record.task, "pairing", key, label, "bench run")
        state = {"failed": failed, "updated": _now()}
        own = self.runs.as_tags(parent, record_values(record))
        self.runs.tag(parent, {**state, **own})
        self._describe(parent, record, corpus)
        if failed or record.skipped:
            self.end_pairing(parent, "FAILED" if failed else "FINISHED")
        return parent

    def close_pairing(self, parent: str, found: Totals | None, failed: bool) -> None:
        """Record what the runs of the pairing add up to, and end its parent run."""
        if found:
            self._log_totals(parent, found)
        self.runs.tag(parent, {"totals": TOTALS})
        status = "FAILED" if failed else "FINISHED"
        self.end_pairing(parent, status)

    def end_pairing(self, parent: str, status: str) -> None:
        """End a parent run: FINISHED or FAILED."""
        self.client.set_terminated(parent, status)

    def cut_short(self, parent: str, why: BaseException) -> None:
        """End a parent run whose work has been given up, if the store answers: KILLED where it was
        interrupted, else FAILED. It may go on later.
        """
        interrupted = isinstance(why, KeyboardInterrupt)
        status = "KILLED" if interrupted else "FAILED"
        with suppress(StoreError), impatient():
            self.client.set_terminated(parent, status)

    def is_closed(self, parent: str) -> bool:
        """Whether a parent run has ended with all that `close_pairing` records."""
        run = self.client.get_run(parent)
        tags = tags_of(run)
        has_totals = tags.get("totals") == TOTALS
        return has_totals and run.info.status in ENDED

    def keep_table(self, parent: str, page: str) -> None:
        """Keep the comparison table with a pairing, as an HTML page."""
        self.client.log_text(parent, page, "table.html")

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
        system: str = "",
        corpus: DatasetInput | None = None,
    ) -> RunLog:
        """A child run under way. `system`: what its name begins with.

        Earlier runs of the same fingerprint are deleted once this one is recorded.
        """
        experiment = self.runs.experiment(task)
        earlier = list(self.runs.search(experiment, tagged(fingerprint=fingerprint)))
        title = pages.title(system, fold, seed)
        name = shortened(title, NAME_LENGTH)
        made = pages.origin("bench tune" if kind == "trial" else "bench run")
        child = self.client.create_run(
            experiment, run_name=name, tags={PARENT: parent, **made}
        )
        run = child.info.run_id
        own = {
            "kind": kind,
            "fingerprint": fingerprint,
            "fold": fold,
            "seed": str(seed),
        }
        self.runs.tag(run, {**own, **tags})
        self._log_parameters(run, parameters)
        if corpus:
            self.client.log_inputs(run, [corpus])
        return RunLog(self.runs, run, earlier)

    def open_search(self, task: str, name: str, pairing: str, label: str) -> str:
        """The id of the parent run of a search's trials, which is created if none has this name.

        `pairing` is the key of the pairing that is searched.
        """
        search = self.runs.parent(
            task, "search", name, f"search: {label}", "bench tune"
        )
        self.runs.tag(search, {"pairing": pairing})
        return search

    def keep_search(
        self, search: str, record: SearchRecord, plots: Path | None = None
    ) -> None:
        """Save the state of a search; with its plots, the search is complete."""
        self.client.log_dict(search, record.to_json(), SEARCH)
        if plots:
            self.client.log_artifacts(search, str(plots), "plots")
            self.runs.tag(search, {"complete": _now()})
            self.client.set_terminated(search, "FINISHED")

    def search(self, task: str, pairing: str) -> SearchRecord | None:
        """The newest complete search for the pairing with this key."""
        query = tagged(kind="search", pairing=pairing)
        found = self.runs.search(self.runs.experiment(task), query)
        complete = [run for run in found if "complete" in tags_of(run)]
        for run in sorted(complete, key=_completed, reverse=True):
            record = self.reader.search(run)
            if record:
                return record
        return None

    def searches(self, tasks: Sequence[str] | None = None) -> list[SearchRecord]:
        """All searches, complete or not, oldest first; of the given tasks, or of all."""
        found: list[Run] = []
        for experiment in self.runs.experiments(tasks):
            found += self.runs.search(experiment, tagged(kind="search"))
        by_name: dict[str, SearchRecord] = {}
        for run in sorted(found, key=age):
            record = self.reader.search(run)
            if record:
                by_name[record.name] = record
        return list(by_name.values())

    def records(self, tasks: Sequence[str] | None = None) -> list[PairingRecord]:
        """Every recorded pairing with its runs, oldest first; of the given tasks, or of all."""
        found: list[tuple[float, PairingRecord]] = []
        for experiment in self.runs.experiments(tasks):
            found += self.reader.pairings(experiment)
        found.sort(key=lambda pair: pair[0])
        return [record for _, record in found]

    def runs_of(self, parent: str, split: str = "") -> list[RunRecord]:
        """The ended runs of one parent, oldest first; `split`: of this division into folds alone,
        by its hash, which old runs do not tell.
        """
        found = self.runs.children(parent)
        ended = [run for run in found if run.info.status != "RUNNING"]
        records = [self.reader.run(run) for run in sorted(ended, key=age)]
        if not split:
            return records
        return [record for record in records if record.split in ("", split)]

    def _counts(self, run: Run, network: bool) -> bool:
        """Whether a finished run is in tables, and whole."""
        parent = run.data.tags.get(PARENT, "")
        return self.runs.is_active(parent) and self.reader.is_whole(run, network)

    def _log_totals(self, parent: str, found: Totals) -> None:
        numbers = metrics(found.numbers)
        self.client.log_batch(
            parent,
            metrics=numbers,
        )
        with TemporaryDirectory() as folder:
            path = Path(folder)
            draw_confusion(found.pooled, path)
            self.client.log_artifacts(parent, folder)

    def _describe(
        self, parent: str, record: PairingRecord, corpus: DatasetInput | None
    ) -> None:
        """What MLflow's pages show of a parent run, as far as it has none yet."""
        known = self.client.get_run(parent)
        params = {}
        for name, word in pages.asked(record).items():
            if name not in known.data.params:
                params[name] = word
        self._log_parameters(parent, params)
        has_corpus = known.inputs.dataset_inputs
        if corpus and not has_corpus:
            self.client.log_inputs(parent, [corpus])

    def _log_parameters(self, run: str, parameters: Mapping[str, object]) -> None:
        whole = {name: str(value) for name, value in parameters.items()}
        params = []
        for name, text in whole.items():
            params.append(Param(name, shortened(text, PARAMETER_LENGTH)))
        if any(param.value != whole[param.key] for param in params):
            self.client.log_dict(run, whole, PARAMETERS)
        self.client.log_batch(run, params=params)


def _ready(path: Path, artifacts: str) -> None:
    """A whole database, whose artifacts are beside it even if both have been moved."""
    layout = Layout(
        create=_connect,
        head=lambda: alembic_head("mlflow", "store/db_migrations"),
        content="runs",
    )
    try:
        ensure(path, layout)
        readdress(path, artifacts)
    except sqlite3.Error as error:
        raise unanswered(url(path), error) from error


def _connect(uri: str) -> Client:
    """A client whose store has answered."""
    try:
        with impatient():
            client = Client(uri)
            client.search_experiments(max_results=1)
    except StoreError:
        raise
    except Exception as error:  # SQLAlchemy and each database driver raise their own
        raise unanswered(uri, error) from error
    return client


def _finished(network: bool, **tags: str) -> str:
    """A query for runs that have finished; with `network`, for those with a saved one."""
    if network:
        tags["network"] = "saved"
    return f"{tagged(**tags)} and {FINISHED}"


def _completed(search: Run) -> float:
    """When a search was completed, in s since the epoch; 0 if that cannot be read."""
    try:
        return float(tags_of(search)["complete"])
    except ValueError:
        return 0.0


def _now() -> str:
    return f"{time.time():.3f}"  # s since the epoch
