"""How a network is trained: one frozen object. Every field can be set with `--set KEY=VALUE`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bench.options import option


@dataclass(frozen=True)
class Recipe:
    """The training recipe of a run. Defaults suit a pre-trained encoder that is fine-tuned on a few
    thousand clips. A new field stays out of `founding`: see `bench.fingerprint.content`.
    """

    founding: ClassVar[tuple[str, ...]] = (
        "epochs",
        "epoch_share",
        "batch_size",
        "accumulate",
        "learning_rate",
        "weight_decay",
        "optimizer",
        "schedule",
        "decay",
        "warmup",
        "clip_norm",
        "class_weights",
        "label_smoothing",
        "patience",
        "monitor",
        "precision",
    )

    epochs: int = option(
        20, "passes over the training part at most", low=1, high=100_000
    )
    epoch_share: float = option(
        1.0,
        "share of the training batches that one epoch passes over",
        low=0.01,
        high=1,
    )
    batch_size: int = option(
        16, "clips per optimiser step and accumulation part", low=1, high=65_536
    )
    accumulate: int = option(
        1, "batches whose gradients are summed into one step", low=1, high=65_536
    )
    learning_rate: float = option(3e-5, "peak learning rate", low=0, high=1e38)
    weight_decay: float = option(
        0.01, "decoupled weight decay (Adam: L2 penalty)", low=0, high=1000
    )
    optimizer: Literal["adamw", "adam", "sgd"] = option("adamw", "optimiser")
    schedule: Literal["constant", "linear", "cosine", "exponential"] = option(
        "linear", "learning rate after the warm-up"
    )
    decay: float = option(
        0.95,
        "exponential schedule: factor of the learning rate from epoch to epoch",
        low=0,
        high=1,
    )
    warmup: float = option(
        0.1,
        "share of all steps over which the learning rate rises from 0",
        low=0,
        high=1,
    )
    clip_norm: float = option(
        1.0,
        "gradient norm above which gradients are scaled down; 0 switches it off",
        low=0,
        high=10**9,
    )
    class_weights: Literal["none", "balanced"] = option(
        "none", "weight of each class in the loss"
    )
    label_smoothing: float = option(
        0.0, "label smoothing of the cross-entropy", low=0, high=0.99
    )
    patience: int = option(
        5,
        "epochs without a better validation score before training stops; 0: never",
        low=0,
        high=100_000,
    )
    monitor: Literal["UA", "WA", "F1 macro", "F1 weighted", "loss", "last"] = option(
        "UA",
        "validation score that chooses the epoch; last: none, the last epoch is kept",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = option(
        "auto",
        "number format of the forward pass; auto: bf16 on a GPU that has it, else fp32",
    )


def probe_recipe(tiny: bool = False) -> Recipe:
    """The recipe of a layer probe on cached states, standardised: logistic regression with an L2
    penalty.

    Adam's L2 penalty, unlike AdamW's decay, leaves the minimum where the penalised loss has it, so
    that the result hangs on neither rate nor epochs: about that of scikit-learn's C = 1 / (0.1 *
    clips). Chosen on validation speakers. `tiny`: a few seconds on one core.
    """
    return Recipe(
        epochs=20 if tiny else 30,
        batch_size=64,
        learning_rate=3e-3,
        weight_decay=0.1,
        optimizer="adam",
        schedule="cosine",
        warmup=0.0,
        class_weights="balanced",
        patience=0,
        monitor="loss",  # the UA of few validation speakers is too coarse to choose an epoch
    )
