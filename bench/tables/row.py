"""A row of a comparison table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from bench.runs.records import Status

AVERAGES = ("UA", "WA", "F1 macro", "F1 weighted")  # of a row, and of each of its folds


@dataclass(frozen=True)
class Row:
    """A measured pairing or a published figure. Scores are fractions (0 to 1), absent where there
    are none.
    """

    task: str
    backbone: str  # with its variant; of a published row, the system's name
    protocol: str
    source: Literal["measured", "published"]
    status: Status
    reason: str = ""  # why the status is not ok
    mode: str = ""
    scale: str = ""
    weights: str = ""  # as in PairingRecord
    settings: Mapping[str, str] = field(default_factory=dict)
    recipe: str = ""  # as in PairingRecord
    labels: tuple[str, ...] = ()
    folds: int = 0  # that have predictions
    folds_expected: int = 0  # of the whole protocol
    seeds: int = 0  # that have predictions
    clips: int = 0  # distinct ones that were tested
    clips_missing: int = 0
    scores: Mapping[str, float] = field(
        default_factory=dict
    )  # as `bench.scoring.scores` names them
    interval: tuple[float, float] | None = None  # of UA, 95 %
    gain: float | None = None  # of a tuned row: its UA minus that of the row with the usual recipe
    gain_interval: tuple[float, float] | None = (
        None  # the same, 95 %, of both on the same draws of speakers
    )
    fold_mean: Mapping[str, float] = field(default_factory=dict)  # of AVERAGES, over folds
    fold_sd: Mapping[str, float] = field(
        default_factory=dict
    )  # the same, n - 1; empty with a single fold
    parameters: int = 0
    trainable_parameters: int = 0
    train_seconds: float = 0.0  # of all its runs together
    peak_memory_mb: float = 0.0  # of the hungriest run
    fingerprints: tuple[str, ...] = ()
    citation: str = ""  # of a published row
    notes: tuple[str, ...] = ()  # caveats

    @property
    def label(self) -> str:
        """The backbone with everything that is not its default: `byol-s [epochs=3, weights:
        random]`.
        """
        changes = [f"{key}={value}" for key, value in self.settings.items()]
        changes += [f"weights: {self.weights}"] if self.weights else []
        changes += [self.recipe] if self.recipe else []
        return f"{self.backbone} [{', '.join(changes)}]" if changes else self.backbone

    @property
    def system(self) -> tuple[object, ...]:
        """What a default and a tuned row of one pairing share."""
        settings = tuple(sorted(self.settings.items()))
        return (
            self.task,
            self.protocol,
            self.source,
            self.backbone,
            self.mode,
            self.scale,
            self.weights,
            settings,
        )

    @property
    def measured(self) -> bool:
        return self.source == "measured"


def record(row: Row) -> dict[str, Any]:
    """A row as one JSON object: the keys that scripts rely on, None for what there is not,
    fractions for scores.
    """
    low, high = row.interval or (None, None)
    content = {
        name: getattr(row, name)
        for name in ("task", "backbone", "label", "mode", "protocol", "scale")
    }
    content |= {name: getattr(row, name) for name in ("source", "status", "reason")}
    for name in ("folds", "folds_expected", "seeds", "clips", "clips_missing"):
        content[name] = getattr(row, name) if row.measured else None
    content |= {key(name): row.scores.get(name) for name in (*AVERAGES, *row.scores)}
    content |= {"UA_low": low, "UA_high": high}
    least, most = row.gain_interval or (None, None)
    content |= {
        "recipe": row.recipe,
        "UA_gain": row.gain,
        "UA_gain_low": least,
        "UA_gain_high": most,
    }
    for kind, values in (("mean", row.fold_mean), ("sd", row.fold_sd)):
        content |= {f"{key(name)}_fold_{kind}": values.get(name) for name in AVERAGES}
    for name in ("parameters", "trainable_parameters", "train_seconds", "peak_memory_mb"):
        content[name] = getattr(row, name) if row.fingerprints else None
    content |= {
        "weights": row.weights,
        "settings": dict(row.settings),
        "fingerprints": list(row.fingerprints),
    }
    content |= {"citation": row.citation, "notes": list(row.notes)}
    return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in content.items()}


def key(score: str) -> str:
    """A score's name in JSON and CSV: `F1_macro` for `F1 macro`, `F1_negative` for `F1 (negative)`."""
    kind, bracket, label = score.partition(" (")
    if not bracket:
        return score.replace(" ", "_")
    own = f"{kind}_{label.removesuffix(')')}"
    return (
        score if own in ("F1_macro", "F1_weighted", "F1_micro") else own
    )  # a class of that name keeps its brackets
