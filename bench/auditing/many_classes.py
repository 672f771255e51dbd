"""Three classes or more: whether whole numbers of hits exist that give printed accuracies and mean
recalls, and within which bounds the others lie, by integer programming (HiGHS).
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.auditing.figures import Claim, Printing
from bench.auditing.two_classes import NAMINGS, Reading

Array = NDArray[np.float64]
KINDS = ("accuracy", "UA", "WA", "recall", "class recall")  # what can be judged


class Hits:
    """The hits of each class, unknown whole numbers, under printed figures.

    Raises ValueError from `bounds` where no numbers fit.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        claims: Iterable[Claim],
        reading: Reading,
        printing: Printing,
    ) -> None:
        self.sizes = np.array(list(counts.values()), dtype=np.float64)
        self.labels = list(counts)
        self._rows: list[Array] = []
        self._low: list[float] = []
        self._high: list[float] = []
        for claim in claims:
            low, high = claim.bounds(printing)
            self._rows.append(self._weights(claim, reading))
            self._low.append(low)
            self._high.append(high)

    def exist(self) -> bool:
        """Whether any hits fit all figures."""
        return self._solved(np.zeros(len(self.sizes))) is not None

    def bounds(self, score: str) -> tuple[float, float]:
        """The least and the largest value of `UA`, `WA` or `recall (LABEL)`."""
        weights = self._of(score)
        least = self._solved(weights)
        largest = self._solved(-weights)
        if least is None or largest is None:
            raise ValueError("no hits fit the figures")
        return float(weights @ least), float(weights @ largest)

    def _weights(self, claim: Claim, reading: Reading) -> Array:
        """What a figure is as a sum over the hits."""
        if claim.kind == "class recall":
            return self._of(f"recall ({claim.label})")
        meaning = "accuracy"
        if claim.kind == "recall":
            meaning = reading.averaging
        elif claim.kind in ("UA", "WA"):
            meaning = NAMINGS[reading.naming][claim.kind]
        is_mean = meaning in ("mean recall", "macro")
        return self._of("UA" if is_mean else "WA")

    def _of(self, score: str) -> Array:
        if score == "WA":
            clips = self.sizes.sum()
            return np.full(len(self.sizes), 1 / clips)
        of_classes = 1 / self.sizes
        if score == "UA":
            return of_classes / len(self.sizes)
        label = score.removeprefix("recall (").removesuffix(")")
        is_label = np.array(self.labels) == label
        return np.asarray(of_classes * is_label)

    def _solved(self, costs: Array) -> Array | None:
        """Hits that fit and cost least; None if none fit."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        constraints = []
        if self._rows:
            rows = np.stack(self._rows)
            constraints.append(LinearConstraint(rows, self._low, self._high))
        found = milp(
            costs,
            integrality=np.ones(len(self.sizes)),
            bounds=Bounds(0, self.sizes),
            constraints=constraints,
        )
        return None if found.x is None else np.rint(found.x)


def readings(claims: Sequence[Claim]) -> list[Reading]:
    """Every way to read the columns of three classes or more."""
    kinds = {claim.kind for claim in claims}
    averagings = ("macro", "weighted") if "recall" in kinds else ("",)
    namings: Iterable[str] = NAMINGS if kinds & {"UA", "WA"} else ("",)
    found = []
    for averaging in averagings:
        for naming in namings:
            found.append(Reading(averaging, naming))
    return found
