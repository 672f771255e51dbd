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
RATE = 50  # frames per second of audio: the finest that counts for an extent
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
        inputs: dict[str, Padded] = {}
        for name, padded in self.inputs.items():
            inputs[name] = padded.to(device)
        targets = self.targets.to(device, non_blocking=non_blocking)
        return Batch(inputs, targets, self.indices)


class Examples(Dataset[Example]):
    """The clips of one part of a fold, with the features that a backbone reads.

    targets: (clips, classes) float32 in {0, 1}; lengths: frames of each clip's longest feature;
    extents: those of its shortest one, but at most `RATE` per second: as a transformer has them.
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
        targets = [self._target(clip) for clip in self.clips]
        self.targets = torch.tensor(targets)
        self.lengths = [self._length(clip) for clip in self.clips]
        self.extents = [self._extent(clip) for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        clip = self.clips[index]
        arrays: dict[str, Tensor] = {}
        for name, extracted in self.features.items():
            array = extracted.array(clip.id)
            arrays[name] = torch.tensor(array)
        target = self.targets[index]
        return Example(arrays, target, index)

    def _target(self, clip: Clip) -> list[float]:
        target: list[float] = []
        for label in self.labels:
            is_true = label in clip.labels
            target.append(float(is_true))
        return target

    def _length(self, clip: Clip) -> int:
        lengths: list[int] = []
        for extracted in self.features.values():
            frames = extracted.frames(clip.id)
            lengths.append(frames)
        return max(lengths)

    def _extent(self, clip: Clip) -> int:
        extents: list[int] = []
        for extracted in self.features.values():
            seconds = extracted.seconds(clip.id)
            at_most = math.ceil(RATE * seconds)
            frames = extracted.frames(clip.id)
            extents.append(min(frames, at_most))
        return min(extents)


def collate(examples: Sequence[Example]) -> Batch:
    """The examples as one padded batch."""
    inputs: dict[str, Padded] = {}
    for name in examples[0].features:
        features = [example.features[name] for example in examples]
        inputs[name] = pad(features)

    targets = [example.target for example in examples]
    indices = [example.index for example in examples]
    return Batch(
        inputs,
        targets=torch.stack(targets),
        indices=torch.tensor(indices),
    )


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
        clips = len(self.lengths)
        batches = math.ceil(clips / self.batch_size)
        used = self.share * batches
        return math.ceil(used)

    def __iter__(self) -> Iterator[list[int]]:
        seed = self.seed * 1_000_003 + self.epoch
        generator = torch.Generator()
        generator.manual_seed(seed)
        order = _permutation(len(self.lengths), generator)

        batches: list[list[int]] = []
        run_size = self.batch_size * MEGA_BATCH
        for run in in_groups(order, run_size):
            by_length = sorted(run, key=self.lengths.__getitem__)
            batches += in_groups(by_length, self.batch_size)

        shuffled = _permutation(len(batches), generator)
        used = shuffled[: len(self)]
        for position in used:
            yield batches[position]


def in_order_of_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Batches of every index once, longest first, so that memory runs out at once or never."""
    indices = range(len(lengths))
    order = sorted(indices, key=lambda index: -lengths[index])
    return in_groups(order, batch_size)


def in_groups(items: list[int], size: int) -> list[list[int]]:
    """The items in groups of `size`; the last may be smaller."""
    groups: list[list[int]] = []
    for start in range(0, len(items), size):
        end = start + size
        groups.append(items[start:end])
    return groups


def data_loader(
    examples: Examples, order: Iterable[list[int]], device: torch.device
) -> Any:
    """Batches of the clips in `order`, read by processes of their own beside a GPU."""
    workers = 0
    if device.type == "cuda":
        cores = os.cpu_count() or 1
        workers = min(MAX_WORKERS, cores)

    loader: Any = DataLoader
    return loader(
        examples,
        batch_sampler=order,
        collate_fn=collate,
        num_workers=workers,
    )


def load_batches(
    examples: Examples, order: Iterable[list[int]], device: torch.device
) -> Iterator[Batch]:
    """Batches of the clips in `order`, on the device, read from the cache one at a time."""
    loader = data_loader(examples, order, device)
    return (batch.to(device) for batch in loader)


def _permutation(count: int, generator: torch.Generator) -> list[int]:
    permutation = torch.randperm(count, generator=generator)
    indices: list[int] = permutation.tolist()
    return indices
