"""One trial of a search: a training on each of its folds, scored on validation alone. No test clip
is read.
"""

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
from bench.runs.pairing import Pairing, Ready
from bench.runs.store import RunLog
from bench.runs.system import System, altered
from bench.runs.workplace import Material, Place, explain
from bench.search import parallel_heads
from bench.search.optuna_study import Trial
from bench.training.job import TrainingJob
from bench.training.layers import MeanClassifier
from bench.training.loop import train
from bench.training.prediction import TrainingError

if TYPE_CHECKING:
    from bench.contracts.space import Space

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Part:
    """What one study decides: the recipe of the fold with this name, or of all (""), by validation
    on `folds`.
    """

    name: str
    folds: tuple[Fold, ...]


class Trials:
    """Does and records the trials of one search. `search`: its own name; `parent`: its run in the
    store.
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
        self.pairing, self.ready, self.parts, self.space, self.place = (
            pairing,
            ready,
            parts,
            space,
            place,
        )
        self.search, self.parent, self.seed = search, parent, seed
        clips = {
            clip for part in parts for fold in part.folds for clip in (*fold.train, *fold.valid)
        }
        self.material = Material(ready.corpus, place.cache, place.device, clips)

    @property
    def objective(self) -> str:
        """The validation score that is to be made large."""
        return "F1 macro" if self.ready.system.setup.multilabel else "UA"

    @cached_property
    def together(self) -> bool:
        """Whether trials can train side by side: small networks that differ in their recipes alone."""
        system = self.ready.system
        if not {f.name for f in dataclasses.fields(system.recipe)}.issuperset(self.space):
            return False
        if system.setup.mode != "probe" and (
            self.pairing.backbone.pretrained or not self._linear(system)
        ):
            return False
        training = self.material.examples(system, self.parts[0].folds[0].train)
        return parallel_heads.supports(lambda: self._network(system), training, self.place.device)

    def run(self, trials: Sequence[Trial], part: Part) -> None:
        """Bring every trial to its end: complete, given up, or failed for a reason that lies in its
        own values.

        Raises BenchError for what would break any trial.
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

    def _side_by_side(self, trials: Sequence[Trial], part: Part, logs: Sequence[RunLog]) -> None:
        systems = [self._system(trial) for trial in trials]
        recipes, found = [system.recipe for system in systems], []
        for fold in part.folds:
            training, validation = (
                self.material.examples(systems[0], ids) for ids in (fold.train, fold.valid)
            )
            make, device = partial(self._network, systems[0]), self.place.device
            found.append(
                parallel_heads.train_heads(make, recipes, training, validation, self.seed, device)
            )
        for trial, log, heads in zip(trials, logs, zip(*found, strict=True), strict=True):
            for epoch, values in enumerate((v for head in heads for v in head.history), start=1):
                log.epoch(epoch, values)
            if any(head.diverged for head in heads):
                self._fail(trial, log, "the loss is not finite")
            else:
                self._complete(trial, log, [head.scores for head in heads])

    def _alone(self, trial: Trial, part: Part, log: RunLog) -> None:
        """Train on each fold in turn; give the trial up once its scores so far are hopeless."""
        system, found = self._system(trial), list[Scores]()
        try:
            for fold in part.folds:
                found.append(self._train(trial, system, fold, found, log))
        except _HopelessError:
            trial.prune()
            log.close({}, {"state": "pruned"})
        except TrainingError as error:
            self._fail(trial, log, str(error))
        except BenchError:
            raise
        except Exception as error:
            self._fail(trial, log, explain(error, self.pairing.task.private)[0])
        else:
            self._complete(trial, log, found)

    def _train(
        self, trial: Trial, system: System, fold: Fold, before: Sequence[Scores], log: RunLog
    ) -> Scores:
        """Validation scores of the best epoch on one fold."""
        first = (
            len(before) * system.recipe.epochs
        )  # of this fold's epochs, where those of all folds are counted on

        def report(epoch: int, values: Scores) -> None:
            log.epoch(first + epoch, values)
            if trial.hopeless(fmean(f[self.objective] for f in (*before, values)), first + epoch):
                raise _HopelessError

        training, validation = (
            self.material.examples(system, ids) for ids in (fold.train, fold.valid)
        )
        checkpoint = self.place.folder / "checkpoints" / f"{self._fingerprint(trial, fold.name)}.pt"
        torch.manual_seed(self.seed)
        job = TrainingJob(
            network=self._network(system),
            recipe=system.recipe,
            training=training,
            validation=validation,
            seed=self.seed,
            device=self.place.device,
            report=report,
            checkpoint=checkpoint,
            title=f"trial {trial.number}",
        )
        try:
            trained = train(job)
        finally:
            checkpoint.unlink(missing_ok=True)
        return trained.history[trained.best_epoch - 1]

    def _complete(self, trial: Trial, log: RunLog, found: Sequence[Scores]) -> None:
        means = {
            name: fmean(scores[name] for scores in found)
            for name in found[0]
            if name != "train loss"
        }
        log.close({f"best {name}": value for name, value in means.items()}, {"state": "complete"})
        trial.complete(means[self.objective], means["loss"])

    def _fail(self, trial: Trial, log: RunLog, reason: str) -> None:
        log.close({}, {"state": "failed", "reason": reason})
        trial.fail(reason)

    def _log(self, trial: Trial, part: Part) -> RunLog:
        record, system = self.pairing.record, self._system(trial)
        parameters = {**flat(system.recipe), **flat(system.setup.options), "seed": self.seed}
        tags = {
            "backbone": record.backbone,
            "task": record.task,
            "mode": record.mode,
            "trial": str(trial.number),
        }
        mark, store, fold = (
            self._fingerprint(trial, part.name),
            self.place.store,
            part.name or "all folds",
        )
        return store.start(
            record.task, self.parent, mark, fold, self.seed, parameters, tags, kind="trial"
        )

    def _system(self, trial: Trial) -> System:
        return altered(self.pairing.backbone, self.ready.system, trial.values)

    def _linear(self, system: System) -> bool:
        return isinstance(self._network(system), MeanClassifier)

    def _network(self, system: System) -> nn.Module:
        return self.pairing.backbone.network(system.setup)

    def _fingerprint(self, trial: Trial, name: str) -> str:
        return digest([self.search, name, trial.values])


class _HopelessError(Exception):
    """A trial that is given up."""
