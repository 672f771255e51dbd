"""Optuna: proposes the trials of a search, keeps them, stops the hopeless ones. The only module
that names it.
"""

import hashlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy.exc
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from bench.contracts.space import Choice, Range, Space
from bench.errors import BenchError
from bench.settings import Tuning

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings(
    "ignore", message="Heartbeat of storage", module="optuna"
)  # `alive` sends it

BEAT = 5  # s between a worker's signs of life
GRACE = 20  # s without one after which a worker counts as dead, and its trial is given to another
# s after which a trial without any value counts as one whose worker died while it was being
# proposed
NAMELESS = 60
STARTUP = 10  # trials at random before the sampler learns, and before the pruner judges
SQLITE_WAIT = 60  # s that one worker waits for another's write

REASON, LOSS, SECONDS, EPOCHS = "reason", "loss", "seconds", "epochs"  # user attributes of a trial
STATES: Mapping[TrialState, Literal["complete", "pruned", "failed"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class StudyError(BenchError):
    """A database of searches that does not answer, or a search without a result."""


@dataclass(frozen=True)
class Done:
    """A trial that has come to its end. score: of validation, to be made large; loss: decides
    between equal scores.
    """

    number: int
    values: Mapping[str, Any]
    state: Literal["complete", "pruned", "failed"]
    score: float | None
    loss: float | None
    seconds: float
    reason: str = ""


class Study:
    """One search: so many trials of a space, shared by all processes that open it under its name.

    `first`: values that the first trial takes, so that no search ends below what it began with. A
    trial's proposals hang on its number and on the trials before it, not on who runs it; a killed
    worker's trial is run again by another. Raises StudyError.
    """

    def __init__(
        self, url: str, name: str, space: Space, first: Mapping[str, Any], tuning: Tuning
    ) -> None:
        self.space, self.budget = (
            {n: _distribution(domain) for n, domain in space.items()},
            tuning.trials,
        )
        try:
            self.storage = _storage(url)
            self.study = self._open(name, first, tuning)
        except Exception as error:  # SQLAlchemy and each database driver raise their own
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StudyError(
                f"the database of searches {_without_password(url)} does not answer: {text}"
            ) from error

    def claim(self, count: int) -> "list[Trial]":
        """The next trials to run, at most `count`; none if all are done or in hand elsewhere."""
        self._revive()
        claimed: list[Trial] = []
        while len(claimed) < count and self._counted() < self.budget:
            asked = self.study.ask()
            trial = Trial(self, asked)
            trial.beat()
            if (
                self._counted(before=asked.number) >= self.budget
            ):  # another worker took the last one at this moment
                self.study.tell(asked, state=TrialState.FAIL)
                break
            trial.values = {
                name: _suggest(asked, name, domain) for name, domain in self.space.items()
            }
            claimed.append(trial)
        return claimed

    def settled(self) -> bool:
        """Whether nothing is left to do, nor under way anywhere."""
        under_way = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return self._counted() >= self.budget and not under_way

    def done(self) -> list[Done]:
        """Every trial that counts towards the budget and has ended, by number."""
        return [
            _done(t)
            for t in self.study.get_trials(deepcopy=False)
            if _counts(t) and t.state in STATES
        ]

    def importances(self) -> dict[str, float]:
        """Each value's share in the score's variation (fANOVA, Hutter et al. 2014); empty where too
        few trials say.
        """
        if (
            len(
                {
                    t.value
                    for t in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
                }
            )
            < 2
        ):
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return {
            name: float(v)
            for name, v in optuna.importance.get_param_importances(
                self.study, evaluator=evaluator
            ).items()
        }

    def plots(self, folder: Path, title: str, score: str) -> list[Path]:
        """History, importances, slices and parallel coordinates as PNG files. `score`: what the
        axes call it.
        """
        import matplotlib as mpl

        mpl.use("agg")
        from matplotlib import pyplot
        from optuna.visualization import matplotlib as draw

        kinds: dict[str, Callable[..., Any]] = {
            "history": draw.plot_optimization_history,
            "slices": draw.plot_slice,
        }
        kinds |= {"parallel": draw.plot_parallel_coordinate}
        kinds |= {"importances": draw.plot_param_importances} if self.importances() else {}
        folder.mkdir(parents=True, exist_ok=True)
        for name, plot in kinds.items():
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", UserWarning
                )  # of axes along which all trials are the same
                axes = plot(self.study, target_name=score)
            figure = (axes.ravel()[0] if hasattr(axes, "ravel") else axes).get_figure()
            figure.suptitle(title, fontsize=9)
            figure.set_size_inches(max(8.0, 1.6 * len(self.space)), 5.0)
            figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
            pyplot.close(figure)
        return [folder / f"{name}.png" for name in kinds]

    @contextmanager
    def alive(self, trials: "Sequence[Trial]") -> Iterator[None]:
        """While the block runs, the other workers are told that these trials are in hand."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT):
                for trial in trials:
                    trial.beat()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _open(self, name: str, first: Mapping[str, Any], tuning: Tuning) -> optuna.Study:
        sampler, pruner = _Numbered(tuning.sampler, tuning.seed), _pruner(tuning.pruner)
        common: dict[str, Any] = {
            "study_name": name,
            "storage": self.storage,
            "sampler": sampler,
            "pruner": pruner,
        }
        try:
            study = optuna.create_study(direction="maximize", **common)
        except optuna.exceptions.DuplicatedStudyError:
            return optuna.load_study(**common)
        if first:
            study.enqueue_trial(dict(first))
        return study

    def _counted(self, before: int | None = None) -> int:
        return sum(
            _counts(t)
            for t in self.study.get_trials(deepcopy=False)
            if before is None or t.number < before
        )

    def _revive(self) -> None:
        """Give the trials of dead workers to the living."""
        fail_stale_trials(self.study)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            started = trial.datetime_start or datetime.now()
            if not trial.params and datetime.now() - started > timedelta(seconds=NAMELESS):
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


class Trial:
    """A trial in hand."""

    def __init__(self, study: Study, trial: optuna.Trial) -> None:
        self.study, self.trial, self.number = study, trial, trial.number
        self.values: dict[str, Any] = {}
        self.started = time.monotonic()

    def beat(self) -> None:
        self.study.storage.record_heartbeat(self.trial._trial_id)

    def hopeless(self, score: float, step: int) -> bool:
        """Whether the trial, with this validation score at this step, should be given up."""
        self.trial.report(score, step)
        return self.trial.should_prune()

    def complete(self, score: float, loss: float) -> None:
        self._note({LOSS: loss})
        self.study.study.tell(self.trial, score, skip_if_finished=True)

    def prune(self) -> None:
        self._note({})
        self.study.study.tell(self.trial, state=TrialState.PRUNED, skip_if_finished=True)

    def fail(self, reason: str) -> None:
        """End a trial that its own values broke: it counts, and is not tried again."""
        self._note({REASON: reason[:500]})
        self.study.study.tell(self.trial, state=TrialState.FAIL, skip_if_finished=True)

    def _note(self, attributes: Mapping[str, Any]) -> None:
        for name, value in {**attributes, SECONDS: time.monotonic() - self.started}.items():
            self.trial.set_user_attr(name, value)


def best(done: Sequence[Done]) -> Done:
    """The trial with the highest score, of equal ones that with the lowest loss. Raises StudyError."""
    complete = [trial for trial in done if trial.score is not None]
    if not complete:
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in done if trial.reason))
        raise StudyError(f"no trial came to its end: {reasons or 'all were given up'}")
    return max(complete, key=lambda trial: (trial.score, -(trial.loss or 0.0), -trial.number))


class _Numbered(BaseSampler):
    """A sampler seeded by each trial's number: no other process, nor a resumed one, draws the same
    trial again.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed, self.inner = kind, seed, self._seeded(kind, seed, 0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self.inner = self._seeded(self.kind, self.seed, trial.number)
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    @staticmethod
    def _seeded(kind: str, seed: int, number: int) -> BaseSampler:
        own = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")
        return (
            RandomSampler(own)
            if kind == "random"
            else TPESampler(seed=own, n_startup_trials=STARTUP)
        )


def _storage(url: str) -> RDBStorage:
    arguments = (
        {"connect_args": {"timeout": SQLITE_WAIT}}
        if url.startswith("sqlite")
        else {"pool_pre_ping": True}
    )
    again = RetryHeartbeatStaleTrialCallback()
    common: dict[str, Any] = {"heartbeat_interval": BEAT, "grace_period": GRACE}
    try:
        return RDBStorage(url, arguments, heartbeat_stale_trial_callback=again, **common)
    except (
        sqlalchemy.exc.DatabaseError,
        RuntimeError,
    ):  # perhaps two processes laid out a new database at once
        time.sleep(1.0)
        return RDBStorage(url, arguments, heartbeat_stale_trial_callback=again, **common)


def _pruner(kind: str) -> optuna.pruners.BasePruner:
    if kind == "halving":
        return optuna.pruners.SuccessiveHalvingPruner()
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP // 2, n_warmup_steps=2)
    return optuna.pruners.NopPruner()


def _distribution(domain: Range | Choice) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def _suggest(trial: optuna.Trial, name: str, domain: BaseDistribution) -> Any:
    if isinstance(domain, CategoricalDistribution):
        return trial.suggest_categorical(name, domain.choices)
    if isinstance(domain, IntDistribution):
        return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    assert isinstance(domain, FloatDistribution)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)


def _counts(trial: FrozenTrial) -> bool:
    """Not what a dead worker left, nor a trial too many: those failed without a reason of their
    own.
    """
    if trial.state is TrialState.FAIL:
        return REASON in trial.user_attrs
    return trial.state is not TrialState.WAITING


def _done(trial: FrozenTrial) -> Done:
    about = trial.user_attrs
    score = trial.value if trial.state is TrialState.COMPLETE else None
    return Done(
        trial.number,
        trial.params,
        STATES[trial.state],
        score,
        about.get(LOSS),
        about.get(SECONDS, 0.0),
        about.get(REASON, ""),
    )


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
