"""Batches in pieces that bound the memory: by a fixed budget, so that figures are equal on every
machine.

A transformer's memory grows with the clips of a batch and the square of their frames.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.contracts.batch import Padded
from bench.training.batching import RATE, Batch

# clips times the square of the longest one's frames: 1 of 35 s, 8 of 12 s, 32 of 6 s
BUDGET = (35 * RATE) ** 2


def bounded(groups: Iterable[list[int]], extents: Sequence[int]) -> Iterator[list[int]]:
    """Groups of indices, divided where they are beyond the budget. `extents`: see `Examples`."""
    for group in groups:
        size = clips_at_once(extents, group)
        for start in range(0, len(group), size):
            yield group[start : start + size]


def pieces(network: nn.Module, batch: Batch, extents: Sequence[int]) -> Iterator[Batch]:
    """A training batch in pieces whose gradients add up to its own, all as long as it is.

    A batch whose clips meet in a batch norm is one piece: there each changes what the others give.
    """
    clips = len(batch.indices)
    size = clips_at_once(extents, batch.indices.tolist())
    if size >= clips or _mixes_clips(network):
        yield batch
        return
    for start in range(0, clips, size):
        rows = slice(start, start + size)
        inputs = {name: _rows(padded, rows) for name, padded in batch.inputs.items()}
        yield Batch(inputs, batch.targets[rows], batch.indices[rows])


def clips_at_once(extents: Sequence[int], indices: Sequence[int]) -> int:
    """How many clips, as long as the longest of these, are within the budget: at least one."""
    longest = max(extents[index] for index in indices)
    squared = max(1, longest) ** 2
    return max(1, BUDGET // squared)


def _mixes_clips(network: nn.Module) -> bool:
    modules: Iterable[Any] = network.modules()
    return any(isinstance(module, _BatchNorm) for module in modules)


def _rows(padded: Padded, rows: slice) -> Padded:
    values: Tensor = padded.values[rows]
    return Padded(values, padded.lengths[rows])
