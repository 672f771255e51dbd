"""A network's predictions, in batches that are halved when memory runs out."""

import torch
from torch import Tensor, nn

from bench import memory
from bench.errors import BenchError
from bench.scoring.predictions import Predictions
from bench.training.batching import Examples, in_order_of_length, load_batches
from bench.training.pieces import bounded

DIVERGED_ADVICE = "lower the learning rate, or use --precision fp32"
NAMES_LIMIT = 500  # characters of an error that list clips


class TrainingError(BenchError):
    """A run that cannot continue: values are not finite, or one clip does not fit into memory."""


def predict(
    network: nn.Module, examples: Examples, device: torch.device, batch_size: int
) -> Predictions:
    """The network's probabilities for every clip and its truth, in the order of `examples`."""
    values = probabilities(network, examples, device, batch_size)
    return as_predictions(examples, values)


def as_predictions(examples: Examples, values: Tensor) -> Predictions:
    """Probabilities, (clips, classes) in the order of `examples`, together with the truth."""
    return Predictions(
        labels=examples.labels,
        clips=tuple(clip.id for clip in examples.clips),
        speakers=tuple(clip.speaker for clip in examples.clips),
        truth=examples.targets.bool().numpy(),
        probabilities=values.numpy(),
        multilabel=examples.multilabel,
    )


@torch.inference_mode()
def probabilities(
    network: nn.Module, examples: Examples, device: torch.device, batch_size: int
) -> Tensor:
    """(clips, classes) float64, in the order of `examples`.

    Raises:
        TrainingError: A probability is not finite, or a single clip does not fit into memory.
    """
    network.eval().to(device)
    while True:
        try:
            values = _in_batches(network, examples, device, batch_size)
            break
        except Exception as error:
            batch_size = halve_batch(batch_size, error)
    _check_finite(values, examples)
    return values


def halve_batch(batch_size: int, error: Exception) -> int:
    """Half the batch size if `error` says that memory ran out; raises any other error again.

    Raises:
        TrainingError: Memory ran out with a single clip.
    """
    if not memory.ran_out(error):
        raise error
    if batch_size == 1:
        advice = "use a smaller backbone, --set max_seconds=10, or a larger device"
        raise TrainingError(
            f"memory ran out at a batch of one clip: {advice}"
        ) from error
    memory.recover(error)
    return batch_size // 2


def _in_batches(
    network: nn.Module, examples: Examples, device: torch.device, batch_size: int
) -> Tensor:
    clips = len(examples)
    classes = len(examples.labels)
    values = torch.zeros(clips, classes, dtype=torch.float64)

    by_length = in_order_of_length(examples.lengths, batch_size)
    order = list(bounded(by_length, examples.extents))
    for batch in load_batches(examples, order, device):
        logits = network(batch.inputs).double()
        rows = logits.sigmoid() if examples.multilabel else logits.softmax(1)
        values[batch.indices] = rows.cpu()
    return values


def _check_finite(values: Tensor, examples: Examples) -> None:
    finite = values.isfinite().all(1).tolist()
    if all(finite):
        return

    rows = zip(examples.clips, finite, strict=True)
    failed = [clip.id for clip, is_finite in rows if not is_finite]
    names = ", ".join(failed)
    shown = names[:NAMES_LIMIT]
    raise TrainingError(
        f"the network's output is not finite for clips {shown}: {DIVERGED_ADVICE}"
    )
