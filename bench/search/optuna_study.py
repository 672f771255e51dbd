"""Optuna's studies: they propose the trials of a search, keep them and prune the poor ones.

Only the modules `bench.search.optuna_*` import Optuna.
"""

import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from filelock import FileLock
from optuna.storages import (
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    fail_stale_trials,
)
from optuna.trial import FrozenTrial, TrialState

from bench.contracts.space import Space
from bench.errors import BenchError, and_more, first_sentence, without_password
from bench.progress import display
from bench.runs import database
from bench.runs.database import Layout, alembic_head, ensure
from bench.runs.search_record import State, TrialRecord
from bench.search import optuna_plots
from bench.search.optuna_proposals import NumberedSampler, distribution, pruner, suggest
from bench.settings import Tuning

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
# the heartbeats are sent by `Study.alive`
warnings.filterwarnings("ignore", message="Heartbeat of storage", module="optuna")

BEAT = 5.0  # s between a worker's heartbeats
RETRY = 0.5  # s after which one that could not be sent is sent again
SECOND_LOOK = 2.0  # s that a worker has to send one, once it is taken for dead
GRACE = (
    20  # s without one after which a worker counts as dead and its trial is repeated
)
NAMELESS = (
    60  # s after which a trial without values counts as left by a worker that died
)
SQLITE_WAIT = 60  # s that one worker waits for another's write

# user attributes of a trial
REASON = "reason"
LOSS = "loss"
SECONDS = "seconds"

ENDED: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class StudyError(BenchError):
    """A database of searches that does not answer, or a search without a result."""


class Study:
    """One study: a fixed number of trials in a space, shared by all processes that open its name.

    `first`: the values of the first trial, so that no search ends below its starting point. What a
    trial proposes depends on its number and on the trials before it, not on the process that runs
    it; the trial of a killed worker is run again by another.

    Raises:
        StudyError: the database does not answer.
    """

    def __init__(
        self,
        url: str,
        name: str,
        space: Space,
        first: Mapping[str, Any],
        tuning: Tuning,
    ) -> None:
        self.space = {name: distribution(domain) for name, domain in space.items()}
        self.budget = tuning.trials
        try:
            self.storage = _storage(url)
            self.study = self._open(name, first, tuning)
        except (
            Exception
        ) as error:  # SQLAlchemy and each database driver raise their own
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            shown = without_password(url)
            message = f"the database of searches {shown} does not answer: {text}"
            raise StudyError(message) from error

    def claim(self, count: int) -> "list[Trial]":
        """At most `count` trials to run; none if all have ended or run elsewhere."""
        self._revive()
        claimed: list[Trial] = []
        # where many workers write at once, each step may take long
        with self.alive(claimed):
            while len(claimed) < count and self._counted() < self.budget:
                asked = self.study.ask()
                trial = Trial(self, asked)
                claimed.append(trial)
                trial.beat()
                if self._counted(before=asked.number) >= self.budget:
                    # another worker took the last one at this moment
                    self.study.tell(claimed.pop().trial, state=TrialState.FAIL)
                    break
                for name, domain in self.space.items():
                    trial.values[name] = suggest(asked, name, domain)
        return claimed

    def settled(self) -> bool:
        """Whether the budget is spent and no trial is running anywhere."""
        spent = self._counted() >= self.budget
        return spent and not self._running()

    def ended(self) -> list[TrialRecord]:
        """The trials that count towards the budget and have ended, by number."""
        records = []
        for trial in self.study.get_trials(deepcopy=False):
            if _counts(trial) and trial.state in ENDED:
                records.append(_record(trial))
        return records

    def importances(self) -> dict[str, float]:
        """Each value's share in the variation of the score; empty if too few trials are known."""
        return optuna_plots.importances(self.study)

    def plots(self, folder: Path, title: str, score: str) -> list[Path]:
        """PNG files of the study, as `optuna_plots.plots` draws them."""
        return optuna_plots.plots(self.study, folder, title, score)

    @contextmanager
    def alive(self, trials: "Sequence[Trial]") -> Iterator[None]:
        """While the block runs, send heartbeats that tell other workers to leave these trials.

        One that cannot be sent is tried again for as long as others leave the trials alone.
        """
        ended = threading.Event()

        def beat() -> None:
            last = time.monotonic()
            pause = BEAT
            while not ended.wait(pause):
                try:
                    for trial in trials:
                        trial.beat()
                except Exception as error:  # of Optuna and of each database driver
                    pause = RETRY
                    if time.monotonic() - last > GRACE:
                        _say_lost(trials, error)
                        return
                else:
                    pause = BEAT
                    last = time.monotonic()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _open(
        self, name: str, first: Mapping[str, Any], tuning: Tuning
    ) -> optuna.Study:
        common: dict[str, Any] = {
            "study_name": name,
            "storage": self.storage,
            "sampler": NumberedSampler(tuning.sampler, tuning.seed),
            "pruner": pruner(tuning.pruner),
        }
        try:
            study = optuna.create_study(direction="maximize", **common)
        except optuna.exceptions.DuplicatedStudyError:
            return optuna.load_study(**common)
        if first:
            study.enqueue_trial(dict(first))
        return study

    def _running(self) -> list[FrozenTrial]:
        states = (TrialState.RUNNING,)
        return self.study.get_trials(deepcopy=False, states=states)

    def _counted(self, before: int | None = None) -> int:
        """How many trials count towards the budget; `before`: only those with lower numbers."""
        trials = self.study.get_trials(deepcopy=False)
        if before is not None:
            trials = [trial for trial in trials if trial.number < before]
        return sum(_counts(trial) for trial in trials)

    def _stale(self) -> Sequence[int]:
        """The trials that have had no heartbeat for long."""
        return self.storage._get_stale_trial_ids(self.study._study_id)

    def _revive(self) -> None:
        """Release the trials of dead workers."""
        if self._stale():
            # a database that was locked for long has kept the living from their heartbeats, too
            time.sleep(SECOND_LOOK)
            fail_stale_trials(self.study)
        now = datetime.now()
        for trial in self._running():
            started = trial.datetime_start or now
            age = (now - started).total_seconds()
            if not trial.params and age > NAMELESS:
                self.study.tell(
                    trial.number,
                    state=TrialState.FAIL,
                    skip_if_finished=True,
                )


class Trial:
    """A trial that this process runs."""

    def __init__(self, study: Study, trial: optuna.Trial) -> None:
        self.study = study
        self.trial = trial
        self.number = trial.number
        self.values: dict[str, Any] = {}
        self.started = time.monotonic()

    def beat(self) -> None:
        """Tell other workers that this trial is running."""
        self.study.storage.record_heartbeat(self.trial._trial_id)

    def hopeless(self, score: float, step: int) -> bool:
        """Whether to prune the trial, whose validation score at this step is given."""
        self.trial.report(score, step)
        return self.trial.should_prune()

    def complete(self, score: float, loss: float) -> None:
        """End the trial with its validation score and loss."""
        self._end({LOSS: loss}, score=score)

    def prune(self) -> None:
        """End the trial without a score."""
        self._end({}, TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """End a trial that failed because of its own values: it counts and is not repeated."""
        self._end({REASON: reason[:500]}, TrialState.FAIL)

    def _end(
        self,
        attributes: Mapping[str, Any],
        state: TrialState | None = None,
        score: float | None = None,
    ) -> None:
        for name, value in attributes.items():
            self.trial.set_user_attr(name, value)
        seconds = time.monotonic() - self.started
        self.trial.set_user_attr(SECONDS, seconds)
        self.study.study.tell(
            self.trial,
            score,
            state=state,
            skip_if_finished=True,
        )


def best_trial(trials: Sequence[TrialRecord]) -> TrialRecord:
    """The complete trial with the highest score; among equals the lowest loss, then the first.

    Raises:
        StudyError: no trial is complete.
    """

    def quality(trial: TrialRecord) -> tuple[float, float, int]:
        assert trial.score is not None
        return (trial.score, -(trial.loss or 0.0), -trial.number)

    complete = [trial for trial in trials if trial.score is not None]
    if not complete:
        reasons = dict.fromkeys(trial.reason for trial in trials if trial.reason)
        explanation = "; ".join(reasons) or "all were pruned"
        raise StudyError(f"no trial was completed: {explanation}")
    return max(complete, key=quality)


def _say_lost(trials: Sequence[Trial], error: Exception) -> None:
    """Say that other workers may take the trials for left."""
    numbers = and_more(trial.number for trial in trials)
    display.say(
        f"the database of searches has not answered for {GRACE} s ({first_sentence(error)}): other "
        f"workers may repeat the trials under way here ({numbers})"
    )


def own_database(folder: Path) -> str:
    """The URL of the database of trials in a results folder, which is laid out if there is none."""
    path = (folder / "optuna.db").resolve()
    layout = Layout(
        create=RDBStorage,
        head=lambda: alembic_head("optuna", "storages/_rdb/alembic"),
        content="trials",
    )
    with FileLock(folder / ".optuna.lock"):
        ensure(path, layout)
    return database.url(path)


def _storage(url: str) -> RDBStorage:
    def connect() -> RDBStorage:
        return RDBStorage(
            url,
            engine,
            heartbeat_interval=max(1, round(BEAT)),
            grace_period=GRACE,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )

    sqlite = {"connect_args": {"timeout": SQLITE_WAIT}}
    engine = sqlite if url.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        return connect()
    except (sqlalchemy.exc.DatabaseError, RuntimeError):
        # two processes may create the tables of a new database at once
        time.sleep(1.0)
        return connect()


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the budget.

    One that failed without a reason does not: a dead worker left it, or it was one too many.
    """
    if trial.state is TrialState.FAIL:
        return REASON in trial.user_attrs
    return trial.state is not TrialState.WAITING


def _record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        values=trial.params,
        state=ENDED[trial.state],
        score=trial.value if trial.state is TrialState.COMPLETE else None,
        loss=attributes.get(LOSS),
        seconds=attributes.get(SECONDS, 0.0),
        reason=attributes.get(REASON, ""),
    )
