"""A row of a comparison table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Literal

from bench.runs.records import Status

if TYPE_CHECKING:
    from bench.scoring.jackknife import Bounds

AVERAGES = ("UA", "WA", "F1 macro", "F1 weighted")  # of a row, and of each of its folds


TAKEN_OVER = (  # fields that a row takes over from its pairing
    "task",
    "backbone",
    "protocol",
    "mode",
    "scale",
    "weights",
    "settings",
    "recipe",
    "labels",
    "ranked_by",
    "corpus",
    "split",
    "code",
    "version",
    "folds_expected",
    "clips_missing",
)


@dataclass(frozen=True)
class Row:
    """A measured pairing or a published figure. Scores are fractions (0 to 1), missing where they
    are not known.
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
    corpus: str = ""  # as in PairingRecord
    split: str = ""
    code: str = ""
    version: int = 0
    outdated: bool = False  # whether its backbone has another version by now
    ranked_by: str = "UA"  # the score by which rows are sorted and starred
    folds: int = 0  # that have predictions
    folds_expected: int = 0  # of the whole protocol
    seeds: int = 0  # that have predictions
    clips: int = 0  # distinct ones that were tested
    clips_missing: int = 0
    # as `bench.scoring.scores` names them
    scores: Mapping[str, float] = field(default_factory=dict)
    seed_sd: Mapping[str, float] = field(
        default_factory=dict
    )  # n - 1; empty with a single seed
    intervals: "Mapping[str, Bounds]" = field(default_factory=dict)  # 95 %
    interval_unit: str = ""  # what differs: speaker, clip or speaker+clip
    interval_units: int = 0  # speakers, or clips where no speaker is known
    interval_clips: int = 0  # of unknown speakers beside known ones
    best: bool = False  # or not to be told from the best of its table
    # of a tuned row: UA and what ranks, minus those of the default recipe
    gains: Mapping[str, float] = field(default_factory=dict)
    gain_intervals: "Mapping[str, Bounds]" = field(default_factory=dict)  # 95 %
    fold_mean: Mapping[str, float] = field(
        default_factory=dict
    )  # of AVERAGES, over folds
    fold_sd: Mapping[str, float] = field(
        default_factory=dict
    )  # n - 1; empty with a single fold
    parameters: int = 0
    trainable_parameters: int = 0
    train_seconds: float = 0.0  # of all its runs together
    peak_memory_mb: float = 0.0  # the largest of its runs
    fingerprints: tuple[str, ...] = ()
    citation: str = ""  # of a published row
    notes: tuple[str, ...] = ()  # caveats
    lost: bool = False  # whether something that was recorded for it cannot be read

    @property
    def label(self) -> str:
        """The backbone with everything that is not its default: `byol-s [epochs=3, weights:
        random]`.
        """
        changes = [f"{name}={value}" for name, value in self.settings.items()]
        if self.weights:
            changes.append(f"weights: {self.weights}")
        if self.recipe:
            changes.append(self.recipe)
        if not changes:
            return self.backbone
        listed = ", ".join(changes)
        return f"{self.backbone} [{listed}]"

    @property
    def system(self) -> tuple[object, ...]:
        """What the default row and the tuned row of a pairing have in common."""
        settings = tuple(sorted(self.settings.items()))
        return (
            self.table,
            self.source,
            self.backbone,
            self.mode,
            self.scale,
            self.weights,
            settings,
        )

    @property
    def table(self) -> tuple[str, str, str, str]:
        """What the rows of a table have in common."""
        return self.task, self.protocol, self.corpus, self.split

    @property
    def measured(self) -> bool:
        return self.source == "measured"

    @property
    def rank(self) -> float:
        """The score that ranks it; below every score where it is not known."""
        return self.scores.get(self.ranked_by, -inf)


ABOUT = (
    "task",
    "backbone",
    "label",
    "mode",
    "protocol",
    "scale",
    "source",
    "status",
    "reason",
    "corpus",
    "split",
)
COUNTS = ("folds", "folds_expected", "seeds", "clips", "clips_missing")
INTERVAL = ("interval_unit", "interval_units", "interval_clips")
COSTS = ("parameters", "trainable_parameters", "train_seconds", "peak_memory_mb")


def record(row: Row) -> dict[str, Any]:
    """A row as one JSON object with the keys that scripts rely on. Scores are fractions; a value
    that is not known or not finite is None.
    """
    content = {
        **_fields(row, ABOUT, known=True),
        **_fields(row, COUNTS, known=row.measured),
        "ranked_by": row.ranked_by,
        "best": row.best,
        **_scores(row),
        **_fields(row, INTERVAL, known=bool(row.interval_unit)),
        **_tuning(row),
        **_over_folds(row),
        **_fields(row, COSTS, known=bool(row.fingerprints)),
        "weights": row.weights,
        "settings": dict(row.settings),
        "fingerprints": list(row.fingerprints),
        "citation": row.citation,
        "notes": list(row.notes),
    }
    return {name: _finite(value) for name, value in content.items()}


def key(score: str) -> str:
    """A score's name in JSON and CSV: `F1_macro` for `F1 macro`, `F1_negative` for `F1 (negative)`.

    A class that is called like an average keeps its brackets.
    """
    kind, bracket, label = score.partition(" (")
    if not bracket:
        return score.replace(" ", "_")
    own = f"{kind}_{label.removesuffix(')')}"
    return score if own in ("F1_macro", "F1_weighted", "F1_micro") else own


def _fields(row: Row, names: Iterable[str], known: bool) -> dict[str, Any]:
    fields = {}
    for name in names:
        fields[name] = getattr(row, name) if known else None
    return fields


def _scores(row: Row) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for name in (*AVERAGES, *row.scores):
        scores[key(name)] = row.scores.get(name)
    with_bounds = dict.fromkeys(("UA", row.ranked_by))
    with_bounds |= dict.fromkeys(row.intervals)
    for name in with_bounds:
        bounds = row.intervals.get(name)
        scores |= _bounds(key(name), bounds)
    return scores


def _tuning(row: Row) -> dict[str, Any]:
    content: dict[str, Any] = {"recipe": row.recipe}
    for name in ("UA", row.ranked_by):
        gain = f"{key(name)}_gain"
        bounds = row.gain_intervals.get(name)
        content[gain] = row.gains.get(name)
        content |= _bounds(gain, bounds)
    return content


def _bounds(name: str, bounds: "Bounds | None") -> dict[str, float | None]:
    low, high = bounds or (None, None)
    return {
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _over_folds(row: Row) -> dict[str, Any]:
    spreads = {
        "fold_mean": row.fold_mean,
        "fold_sd": row.fold_sd,
        "seed_sd": row.seed_sd,
    }
    content = {}
    for kind, values in spreads.items():
        for name in AVERAGES:
            content[f"{key(name)}_{kind}"] = values.get(name)
    return content


def _finite(value: Any) -> Any:
    infinite = isinstance(value, float) and not isfinite(value)
    if infinite:
        return None
    return value
