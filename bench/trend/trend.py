"""A trend: what was measured of calls, and where their probabilities came from."""

from dataclasses import dataclass

from bench.trend.analysis import Analysis
from bench.trend.matching import Scored
from bench.trend.source import Tested


@dataclass(frozen=True)
class Trend:
    """Everything that there is to show."""

    analysis: Analysis
    scored: Scored
    label: str  # the class that is counted
    run: Tested | None  # None: probabilities from a table
    private: bool

    @property
    def title(self) -> str:
        source = "a table of probabilities"
        if self.run:
            source = self.run.title
        return f"{source} · segments of {self.label}"
