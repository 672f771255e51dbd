"""Predictions of a network, in batches that are halved when memory runs out."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bench.errors import BenchError
from bench.scoring.predictions import Predictions
from bench.training.batching import Batch, Examples, collate, in_order_of_length

MEND = "lower the learning rate, or use --precision fp32"


class TrainingError(BenchError):
    """A run that cannot go on: a loss that is not finite, or memory that does not hold one clip."""


def predict(
    network: nn.Module, examples: Examples, device: torch.device, batch_size: int
) -> Predictions:
    """The network's probabilities for every clip beside its truth, in the order of `examples`."""
    return beside_truth(examples, probabilities(network, examples, device, batch_size))


def beside_truth(examples: Examples, found: Tensor) -> Predictions:
    """Probabilities, (clips, classes) in the order of `examples`, as predictions."""
    return Predictions(
        labels=examples.labels,
        clips=tuple(clip.id for clip in examples.clips),
        speakers=tuple(clip.speaker for clip in examples.clips),
        truth=examples.targets.bool().numpy(),
        probabilities=found.numpy(),
        multilabel=examples.multilabel,
    )


@torch.inference_mode()
def probabilities(
    network: nn.Module, examples: Examples, device: torch.device, batch_size: int
) -> Tensor:
    """(clips, classes) float64, in the order of `examples`. Raises TrainingError where one is not
    finite.
    """
    network.eval().to(device)
    found = torch.zeros(len(examples), len(examples.labels), dtype=torch.float64)
    while True:
        try:
            for batch in batches(
                examples, in_order_of_length(examples.lengths, batch_size), device
            ):
                logits = network(batch.inputs).double()
                found[batch.indices] = (
                    logits.sigmoid() if examples.multilabel else logits.softmax(1)
                ).cpu()
            break
        except RuntimeError as error:
            batch_size = _halved(batch_size, error)
    if not (whole := found.isfinite().all(1)).all():
        clips = ", ".join(
            clip.id for clip, fine in zip(examples.clips, whole.tolist(), strict=True) if not fine
        )
        raise TrainingError(f"the network's output is not finite for clips {clips[:500]}: {MEND}")
    return found


def batches(
    examples: Examples, order: Iterable[list[int]], device: torch.device
) -> Iterator[Batch]:
    """The clips of `order`, read from the cache a batch at a time, on the device."""
    loader: Any = DataLoader(examples, batch_sampler=order, collate_fn=collate, **_workers(device))
    return (batch.to(device) for batch in loader)


def _workers(device: torch.device) -> dict[str, Any]:
    """On a GPU, batches are read from disk beside the computation."""
    return {"num_workers": min(4, os.cpu_count() or 1)} if device.type == "cuda" else {}


def _halved(batch_size: int, error: RuntimeError) -> int:
    """Half the batch if `error` says that memory ran out; any other error is raised again."""
    from accelerate.utils.memory import should_reduce_batch_size

    if not should_reduce_batch_size(error):
        raise error
    if batch_size == 1:
        raise TrainingError(
            "memory ran out at a batch of one clip: use a smaller backbone, --set max_seconds=10, or a larger device"
        ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return batch_size // 2
