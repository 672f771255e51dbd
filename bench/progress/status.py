"""What is under way, how much of it is done, and about how long the rest will take."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

SEPARATOR = " · "
SETTLING_SECONDS = 2.0  # a rate measured over less than this is not shown
MINUTE = 60
HOUR = 3600


@dataclass
class Step:
    """Counted work, such as the extraction of one feature."""

    title: str
    total: float
    unit: str  # of the count: clips, epochs
    changed: Callable[[], None]  # called after every advance
    done: float = 0.0
    started: float = field(default_factory=time.monotonic)
    note: str = ""  # such as the loss

    def __post_init__(self) -> None:
        self.done_before = self.done  # by an earlier, interrupted command

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Count `amount` of the work as done."""
        self.done += amount
        self.note = note or self.note
        self.changed()

    @property
    def share(self) -> float:
        """The part that is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0

    @property
    def count(self) -> str:
        """Such as `237/885 clips`."""
        return f"{int(self.done + 1e-6)}/{int(self.total)} {self.unit}"

    @property
    def seconds(self) -> float:
        """The time since the step began."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """The remaining time at the rate so far; None: not known yet."""
        done_here = self.done - self.done_before
        if done_here <= 0 or self.seconds < SETTLING_SECONDS:
            return None
        left = max(0.0, self.total - self.done)
        return self.seconds * left / done_here


@dataclass
class Status:
    """Where a command stands."""

    position: str = ""  # such as `pairing 3 of 16`
    subject: str = ""  # the run under way
    runs_left: int = 0  # with the one under way
    run_seconds: list[float] = field(default_factory=list)  # of the runs that are done
    steps: list[Step] = field(default_factory=list)  # an inner one follows its outer one

    @property
    def step(self) -> Step | None:
        """The innermost step under way."""
        return self.steps[-1] if self.steps else None

    @property
    def headline(self) -> str:
        """Such as `pairing 3 of 16 · feature log-mel · 237/885 clips · about 4 min left`."""
        parts = [self.position]
        if self.step:
            parts += [self.step.title, self.step.count]
        parts.append(self.time_left)
        return SEPARATOR.join(part for part in parts if part)

    @property
    def time_left(self) -> str:
        """The remaining time of all runs; a lower bound until one of them has shown how long it
        takes.
        """
        of_step = self.step.seconds_left if self.step else None
        if of_step is None:
            return ""
        if self.run_seconds:
            later_runs = max(0, self.runs_left - 1)
            return f"about {duration(of_step + later_runs * fmean(self.run_seconds))} left"
        bound = "at least" if self.runs_left > 1 else "about"
        return f"{bound} {duration(of_step)} left"


def duration(seconds: float) -> str:
    """A rounded time: `40 s`, `4 min`, `2.5 h`."""
    if seconds < 1.5 * MINUTE:
        return f"{max(10, round(seconds, -1)):.0f} s"
    if seconds < 1.5 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h"
