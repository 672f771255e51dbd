"""What a store keeps of a search: its studies, their winners and how their trials ended.

`to_json` and `from_json` are the only code that knows the layout of the artifact `search.json`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.contracts.space import Choice, Range, Space

State = Literal["complete", "pruned", "failed"]
STATES: tuple[State, ...] = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class TrialRecord:
    """A trial that has ended.

    `score`: the validation score that the search maximises, None unless the trial is complete;
    `loss`: the validation loss, which decides between equal scores; `reason`: why it failed.
    """

    number: int
    values: Mapping[str, Any]  # recipe field or option -> value
    state: State
    score: float | None
    loss: float | None
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class StudyRecord:
    """The state of one study of a search.

    `fold`: the fold whose recipe it chooses, empty for all folds; `folds`: those that its trials
    are validated on; `complete`, `pruned`, `failed`: how many of its trials ended so.
    """

    fold: str
    folds: tuple[str, ...]
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    seconds: float = 0.0  # of all trials together
    default: float | None = (
        None  # the score of the default recipe, if it lies in the space
    )
    best: TrialRecord | None = None
    importances: Mapping[str, float] | None = None  # None until the study has ended

    @property
    def ended(self) -> int:
        """The number of trials that have ended."""
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True)
class SearchRecord:
    """A search of one pairing, complete or under way.

    `study`: identifies what was searched and what was chosen, 32 hex digits; it enters the
    fingerprints of tuned runs. `name`: identifies what was searched alone.
    """

    study: str
    name: str
    task: str
    backbone: str
    mode: str
    protocol: str
    scale: str
    trials: int  # the budget of each study
    nested: bool  # whether each fold has a study of its own
    objective: str  # the validation score that is maximised
    settings: Mapping[str, Any] = field(default_factory=dict)
    space: Space = field(default_factory=dict)
    parts_expected: int = 1  # studies that the search has once it is complete
    parts: tuple[StudyRecord, ...] = ()
    notes: tuple[str, ...] = ()  # footnotes for the tables that show tuned rows

    @property
    def choices(self) -> dict[str, Mapping[str, Any]]:
        """Fold -> the values of its best trial; the fold "" stands for all folds."""
        choices = {}
        for part in self.parts:
            if part.best:
                choices[part.fold] = part.best.values
        return choices

    def to_json(self) -> dict[str, Any]:
        """The record as plain values that JSON can express."""
        content = dataclasses.asdict(self)
        for part in content["parts"]:
            if part["importances"] is None:
                del part["importances"]
        return {**content, "choices": self.choices}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SearchRecord":
        """The record that `to_json` wrote, now or in an earlier version."""
        known = _known(cls, content)
        space = content["space"]
        known["space"] = {name: _domain(space[name]) for name in space}
        known["parts"] = tuple(map(_study, content["parts"]))
        known["notes"] = tuple(content["notes"])
        return cls(**known)


def _domain(content: Mapping[str, Any]) -> Range | Choice:
    if "values" in content:
        return Choice(tuple(content["values"]))
    return Range(**_known(Range, content))


def _study(content: Mapping[str, Any]) -> StudyRecord:
    known = _known(StudyRecord, content)
    known["folds"] = tuple(content["folds"])
    best = content["best"]
    if best:
        known["best"] = TrialRecord(**_known(TrialRecord, best))
    return StudyRecord(**known)


def _known(kind: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are fields of the dataclass."""
    known = {}
    for entry in dataclasses.fields(kind):
        if entry.name in content:
            known[entry.name] = content[entry.name]
    return known
