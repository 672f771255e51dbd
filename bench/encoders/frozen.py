"""Frozen networks that features compute with: the latest one of each kind is kept until `release`.

The harness releases them once features are extracted, so that the network to be trained finds the
memory free.
"""

from collections.abc import Callable
from functools import _lru_cache_wrapper, lru_cache
from typing import Any

SEED = 0  # of frozen random weights: the same in every run, whatever the run's own seed

_KEPT: list["_lru_cache_wrapper[Any]"] = []


def frozen_network(load: Callable[..., Any]) -> "_lru_cache_wrapper[Any]":
    """A decorator of functions that load a frozen network.

    The network is kept for the next call with the same arguments. Random weights are drawn from
    `SEED`; torch's own generator is left as it was.
    """

    def seeded(*arguments: Any) -> Any:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                SEED
            )  # torch.manual_seed seeds the GPU's, too
            return load(*arguments).requires_grad_(False)

    kept = lru_cache(maxsize=1)(seeded)
    _KEPT.append(kept)
    return kept


def release() -> None:
    """Forget every network that is kept."""
    for kept in _KEPT:
        kept.cache_clear()
