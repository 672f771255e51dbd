"""Clips as a network sees them: padded batches of cached features, and targets."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from bench.contracts.batch import Padded, pad
from bench.contracts.clip import Clip
from bench.features.extraction import Extracted

MEGA_BATCH = 20  # batches that are shuffled together before they are sorted by length


@dataclass(frozen=True)
class Example:
    """One clip: its features by input name, (frames, *dims) each, and its target (classes,)."""

    features: Mapping[str, Tensor]
    target: Tensor
    index: int


@dataclass(frozen=True)
class Batch:
    """Examples side by side. targets: (batch, classes) float32 in {0, 1}; indices: (batch,) into
    the part.
    """

    inputs: Mapping[str, Padded]
    targets: Tensor
    indices: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = True) -> "Batch":
        moved = {name: padded.to(device) for name, padded in self.inputs.items()}
        return Batch(moved, self.targets.to(device, non_blocking=non_blocking), self.indices)


class Examples(Dataset[Example]):
    """The clips of one part of a fold, over the features that a backbone reads."""

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: tuple[str, ...],
        multilabel: bool,
        features: Mapping[str, Extracted],
    ) -> None:
        self.clips, self.labels, self.multilabel, self.features = (
            tuple(clips),
            labels,
            multilabel,
            features,
        )
        self.targets = torch.tensor(
            [[float(name in clip.labels) for name in labels] for clip in clips]
        )
        self.lengths = [max(f.frames(clip.id) for f in features.values()) for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        clip = self.clips[index].id
        arrays = {
            name: torch.tensor(extracted.array(clip)) for name, extracted in self.features.items()
        }
        return Example(arrays, self.targets[index], index)


def collate(examples: Sequence[Example]) -> Batch:
    names = examples[0].features
    inputs = {name: pad([e.features[name] for e in examples]) for name in names}
    targets = torch.stack([e.target for e in examples])
    return Batch(inputs, targets, torch.tensor([e.index for e in examples]))


class LengthBatches(Sampler[list[int]]):
    """Batches of similar length in an order that depends on seed and epoch alone.

    All clips are shuffled; runs of MEGA_BATCH batches are sorted by length and cut; the batches are
    shuffled again, and the first `share` of them taken.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, share: float = 1.0
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.share, self.epoch = (
            lengths,
            batch_size,
            seed,
            share,
            0,
        )

    def __len__(self) -> int:
        return math.ceil(self.share * math.ceil(len(self.lengths) / self.batch_size))

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size * MEGA_BATCH
        batches: list[list[int]] = []
        for start in range(0, len(order), size):
            run = sorted(order[start : start + size], key=self.lengths.__getitem__)
            batches += [run[i : i + self.batch_size] for i in range(0, len(run), self.batch_size)]
        for position in torch.randperm(len(batches), generator=generator).tolist()[: len(self)]:
            yield batches[position]


def in_order_of_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Every index once, longest first (so that memory runs out at once or never), in batches."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
