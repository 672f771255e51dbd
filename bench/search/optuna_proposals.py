"""How Optuna proposes a trial's values and which trials it prunes."""

import hashlib
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from bench.contracts.space import Choice, Range

STARTUP = (
    10  # random trials before the sampler learns; the pruner judges after half as many
)


class NumberedSampler(BaseSampler):
    """A sampler seeded by each trial's number.

    No other process and no resumed search draws the same trial twice. `kind`: `tpe` or `random`.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.kind = kind
        self.seed = seed
        self.inner = self._seeded(0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self.inner = self._seeded(trial.number)
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self.inner.sample_independent(
            study, trial, param_name, param_distribution
        )

    def _seeded(self, number: int) -> BaseSampler:
        hashed = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
        seed = int.from_bytes(hashed[:4], "big")
        if self.kind == "random":
            return RandomSampler(seed)
        return TPESampler(seed=seed, n_startup_trials=STARTUP)


def pruner(kind: str) -> BasePruner:
    """The pruner `halving`, `median` or `none`."""
    if kind == "halving":
        return SuccessiveHalvingPruner()
    if kind == "median":
        return MedianPruner(n_startup_trials=STARTUP // 2, n_warmup_steps=2)
    return NopPruner()


def distribution(domain: Range | Choice) -> BaseDistribution:
    """Optuna's form of a domain."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def suggest(trial: optuna.Trial, name: str, domain: BaseDistribution) -> Any:
    """The trial's value of this name, drawn by the study's sampler."""
    if isinstance(domain, CategoricalDistribution):
        return trial.suggest_categorical(name, domain.choices)
    if isinstance(domain, IntDistribution):
        return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    assert isinstance(domain, FloatDistribution)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
