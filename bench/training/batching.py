"""Clips as a network reads them: padded batches of cached features, and targets."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bench.contracts.batch import Padded, pad
from bench.contracts.clip import Clip
from bench.features.extraction import Extracted

MEGA_BATCH = 20  # batches that are shuffled together before they are sorted by length
MAX_WORKERS = 4  # processes that read batches beside a GPU


@dataclass(frozen=True)
class Example:
    """One clip: its features by input name, (frames, *dims) each, and its target (classes,)."""

    features: Mapping[str, Tensor]
    target: Tensor
    index: int


@dataclass(frozen=True)
class Batch:
    """Several examples, padded.

    targets: (batch, classes) float32 in {0, 1}; indices: (batch,) into the part.
    """

    inputs: Mapping[str, Padded]
    targets: Tensor
    indices: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = True) -> "Batch":
        """The batch with inputs and targets on `device`."""
        inputs = {name: padded.to(device) for name, padded in self.inputs.items()}
        targets = self.targets.to(device, non_blocking=non_blocking)
        return Batch(inputs, targets, self.indices)


class Examples(Dataset[Example]):
    """The clips of one part of a fold, with the features that a backbone reads.

    targets: (clips, classes) float32 in {0, 1}; lengths: frames of each clip's longest feature.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: tuple[str, ...],
        multilabel: bool,
        features: Mapping[str, Extracted],
    ) -> None:
        self.clips = tuple(clips)
        self.labels = labels
        self.multilabel = multilabel
        self.features = features
        self.targets = torch.tensor([self._target(clip) for clip in self.clips])
        self.lengths = [self._length(clip) for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        clip = self.clips[index]
        arrays: dict[str, Tensor] = {}
        for name, extracted in self.features.items():
            arrays[name] = torch.tensor(extracted.array(clip.id))
        return Example(arrays, self.targets[index], index)

    def _target(self, clip: Clip) -> list[float]:
        return [float(label in clip.labels) for label in self.labels]

    def _length(self, clip: Clip) -> int:
        return max(extracted.frames(clip.id) for extracted in self.features.values())


def collate(examples: Sequence[Example]) -> Batch:
    """The examples as one padded batch."""
    inputs: dict[str, Padded] = {}
    for name in examples[0].features:
        inputs[name] = pad([example.features[name] for example in examples])
    targets = torch.stack([example.target for example in examples])
    indices = torch.tensor([example.index for example in examples])
    return Batch(inputs, targets, indices)


class LengthBatches(Sampler[list[int]]):
    """Batches of similar length, in an order that depends only on seed and epoch.

    All clips are shuffled; each run of MEGA_BATCH batches is sorted by length and divided; the
    batches are shuffled again, and the first `share` of them is used.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, share: float = 1.0
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.share = share
        self.epoch = 0

    def __len__(self) -> int:
        batches = math.ceil(len(self.lengths) / self.batch_size)
        return math.ceil(self.share * batches)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        batches: list[list[int]] = []
        for run in _divided(order, self.batch_size * MEGA_BATCH):
            by_length = sorted(run, key=self.lengths.__getitem__)
            batches += _divided(by_length, self.batch_size)
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        for position in shuffled[: len(self)]:
            yield batches[position]


def in_order_of_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Batches of every index once, longest first, so that memory runs out at once or never."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return _divided(order, batch_size)


def data_loader(examples: Examples, order: Iterable[list[int]], device: torch.device) -> Any:
    """Batches of the clips in `order`, read by processes of their own beside a GPU."""
    workers = min(MAX_WORKERS, os.cpu_count() or 1) if device.type == "cuda" else 0
    loader: Any = DataLoader
    return loader(examples, batch_sampler=order, collate_fn=collate, num_workers=workers)


def load_batches(
    examples: Examples, order: Iterable[list[int]], device: torch.device
) -> Iterator[Batch]:
    """Batches of the clips in `order`, on the device, read from the cache one at a time."""
    return (batch.to(device) for batch in data_loader(examples, order, device))


def _divided(items: list[int], size: int) -> list[list[int]]:
    """The items in groups of `size`; the last may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]
