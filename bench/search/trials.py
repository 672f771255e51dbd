"""Trials of a search: trainings on its folds, scored on validation alone. No test clip is read."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import nn

from bench.contracts.task import Fold
from bench.errors import BenchError
from bench.fingerprint import digest
from bench.options import flat
from bench.runs import pages
from bench.runs.pairing import Pairing, Ready
from bench.runs.run_log import RunLog
from bench.runs.system import System, altered
from bench.runs.workplace import Material, Place, explain
from bench.search import parallel_heads
from bench.search.optuna_study import Trial
from bench.search.parallel_heads import HeadScore
from bench.training.job import Report, TrainingJob
from bench.training.layers import MeanClassifier
from bench.training.loop import train
from bench.training.prediction import TrainingError

if TYPE_CHECKING:
    from bench.contracts.space import Space

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Part:
    """What one study decides: the recipe of the fold `name`, or of all folds (empty name).

    `folds`: those that its trials are validated on.
    """

    name: str
    folds: tuple[Fold, ...]


class Trials:
    """Runs and records the trials of one search.

    `search`: the search's name; `parent`: its run in the store.
    """

    def __init__(
        self,
        pairing: Pairing,
        ready: Ready,
        parts: Sequence[Part],
        space: "Space",
        place: Place,
        search: str,
        parent: str,
        seed: int,
    ) -> None:
        self.pairing = pairing
        self.ready = ready
        self.parts = parts
        self.corpus = pages.dataset(self.ready.division.corpus)
        self.space = space
        self.place = place
        self.search = search
        self.parent = parent
        self.seed = seed
        self.material = Material(
            ready.division.corpus, place.cache, place.device, _clips(parts)
        )

    @property
    def objective(self) -> str:
        """The validation score that the search maximises."""
        return "F1 macro" if self.ready.system.setup.multilabel else "UA"

    @cached_property
    def together(self) -> bool:
        """Whether trials can train side by side: small networks whose recipes alone differ."""
        system = self.ready.system
        recipe_fields = {field.name for field in dataclasses.fields(system.recipe)}
        if not recipe_fields.issuperset(self.space):
            return False
        if system.setup.mode != "probe":
            if self.pairing.backbone.pretrained:
                return False
            if not isinstance(self._network(system), MeanClassifier):
                return False
        training = self.material.examples(system, self.parts[0].folds[0].train)
        return parallel_heads.supports(
            lambda: self._network(system), training, self.place.device
        )

    def run(self, trials: Sequence[Trial], part: Part) -> None:
        """End every trial: complete, pruned, or failed for a reason that lies in its own values.

        Raises:
            BenchError: what would break any trial.
        """
        logs = [self._log(trial, part) for trial in trials]
        try:
            if self.together:
                self._side_by_side(trials, part, logs)
            else:
                for trial, log in zip(trials, logs, strict=True):
                    self._alone(trial, part, log)
        except BaseException:
            for log in logs:
                log.abandon()
            raise

    def _side_by_side(
        self, trials: Sequence[Trial], part: Part, logs: Sequence[RunLog]
    ) -> None:
        systems = [self._system(trial) for trial in trials]
        recipes = [system.recipe for system in systems]
        make = partial(self._network, systems[0])
        heads_by_fold = []
        for fold in part.folds:
            training = self.material.examples(systems[0], fold.train)
            validation = self.material.examples(systems[0], fold.valid)
            heads = parallel_heads.train_heads(
                make, recipes, training, validation, self.seed, self.place.device
            )
            heads_by_fold.append(heads)
        heads_by_trial = zip(*heads_by_fold, strict=True)
        for trial, log, own_heads in zip(trials, logs, heads_by_trial, strict=True):
            self._record_heads(trial, log, own_heads)

    def _record_heads(
        self, trial: Trial, log: RunLog, heads: Sequence[HeadScore]
    ) -> None:
        """Record a trial by the heads that were trained for it, one per fold."""
        history: list[Scores] = []
        for head in heads:
            history.extend(head.history)
        for epoch, scores in enumerate(history, start=1):
            log.epoch(epoch, scores)
        if any(head.diverged for head in heads):
            self._fail(trial, log, "the loss is not finite")
        else:
            self._complete(trial, log, [head.scores for head in heads])

    def _alone(self, trial: Trial, part: Part, log: RunLog) -> None:
        """Train on each fold in turn; prune the trial once its scores so far are hopeless."""
        system = self._system(trial)
        scores: list[Scores] = []
        try:
            for fold in part.folds:
                scores.append(self._train(trial, system, fold, scores, log))
        except _HopelessError:
            trial.prune()
            log.close({}, {"state": "pruned"})
        except TrainingError as error:
            self._fail(trial, log, str(error))
        except BenchError:
            raise
        except Exception as error:
            reason, _ = explain(error, self.pairing.task.private)
            self._fail(trial, log, reason)
        else:
            self._complete(trial, log, scores)

    def _train(
        self,
        trial: Trial,
        system: System,
        fold: Fold,
        before: Sequence[Scores],
        log: RunLog,
    ) -> Scores:
        """Validation scores of the best epoch on one fold; `before`: those of earlier folds."""
        earlier_epochs = len(before) * system.recipe.epochs

        def report(epoch: int, scores: Scores) -> None:
            step = earlier_epochs + epoch
            log.epoch(step, scores)
            so_far = [of_fold[self.objective] for of_fold in before]
            so_far.append(scores[self.objective])
            if trial.hopeless(fmean(so_far), step):
                raise _HopelessError

        job = self._job(trial, system, fold, report)
        try:
            trained = train(job)
        finally:
            job.checkpoint.unlink(missing_ok=True)
        return trained.history[trained.best_epoch - 1]

    def _job(
        self, trial: Trial, system: System, fold: Fold, report: Report
    ) -> TrainingJob:
        name = f"{self._fingerprint(trial, fold.name)}.pt"
        training = self.material.examples(system, fold.train)
        validation = self.material.examples(system, fold.valid)
        torch.manual_seed(self.seed)
        return TrainingJob(
            network=self._network(system),
            recipe=system.recipe,
            training=training,
            validation=validation,
            seed=self.seed,
            device=self.place.device,
            report=report,
            checkpoint=self.place.folder / "checkpoints" / name,
            title=f"trial {trial.number}",
        )

    def _complete(self, trial: Trial, log: RunLog, scores: Sequence[Scores]) -> None:
        """Record the mean scores over folds."""
        means: dict[str, float] = {}
        for name in scores[0]:
            if name != "train loss":
                means[name] = fmean(of_fold[name] for of_fold in scores)
        best = {f"best {name}": mean for name, mean in means.items()}
        log.close(best, {"state": "complete"})
        trial.complete(means[self.objective], means["loss"])

    def _fail(self, trial: Trial, log: RunLog, reason: str) -> None:
        log.close({}, {"state": "failed", "reason": reason})
        trial.fail(reason)

    def _log(self, trial: Trial, part: Part) -> RunLog:
        record = self.pairing.record
        system = self._system(trial)
        parameters = {
            **flat(system.recipe),
            **flat(system.setup.options),
            "seed": self.seed,
            **pages.asked(record),
        }
        tags = {
            "backbone": record.backbone,
            "task": record.task,
            "mode": record.mode,
            "trial": str(trial.number),
        }
        return self.place.store.start(
            record.task,
            self.parent,
            self._fingerprint(trial, part.name),
            part.name or "all folds",
            self.seed,
            parameters,
            tags,
            kind="trial",
            system=f"{record.backbone} · trial {trial.number}",
            corpus=self.corpus,
        )

    def _system(self, trial: Trial) -> System:
        return altered(self.pairing.backbone, self.ready.system, trial.values)

    def _network(self, system: System) -> nn.Module:
        return self.pairing.backbone.network(system.setup)

    def _fingerprint(self, trial: Trial, name: str) -> str:
        return digest([self.search, name, trial.values])


class _HopelessError(Exception):
    """A trial to prune."""


def _clips(parts: Sequence[Part]) -> set[str]:
    """The clips that a search reads: training and validation parts alone."""
    clips: set[str] = set()
    for part in parts:
        for fold in part.folds:
            clips.update(fold.train, fold.valid)
    return clips
