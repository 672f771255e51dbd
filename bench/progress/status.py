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
        if not self.total:
            return 1.0
        share = self.done / self.total
        return min(1.0, share)

    @property
    def count(self) -> str:
        """Such as `237/885 clips`."""
        # fractions may add up to slightly less than a whole number
        done = int(self.done + 1e-6)
        total = int(self.total)
        return f"{done}/{total} {self.unit}"

    @property
    def seconds(self) -> float:
        """The time since the step began."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """The remaining time at the rate so far; None: not known yet."""
        seconds = self.seconds
        done_here = self.done - self.done_before
        if done_here <= 0 or seconds < SETTLING_SECONDS:
            return None
        left = max(0.0, self.total - self.done)
        return seconds * left / done_here


@dataclass
class Status:
    """Where a command stands."""

    position: str = ""  # such as `pairing 3 of 16`
    subject: str = ""  # the run under way
    runs_left: int = 0  # with the one under way
    run_seconds: list[float] = field(default_factory=list)  # of the runs that are done
    steps: list[Step] = field(
        default_factory=list
    )  # an inner one follows its outer one

    @property
    def step(self) -> Step | None:
        """The innermost step under way."""
        if not self.steps:
            return None
        return self.steps[-1]

    @property
    def headline(self) -> str:
        """Such as `pairing 3 of 16 · feature log-mel · 237/885 clips · about 4 min left`."""
        parts = [self.position]
        step = self.step
        if step:
            parts += [step.title, step.count]
        parts.append(self.time_left)
        filled = [part for part in parts if part]
        return SEPARATOR.join(filled)

    @property
    def time_left(self) -> str:
        """The remaining time of all runs; a lower bound until one of them has shown how long it
        takes.
        """
        step = self.step
        of_step = step.seconds_left if step else None
        if of_step is None:
            return ""
        if not self.run_seconds:
            bound = "at least" if self.runs_left > 1 else "about"
            return f"{bound} {duration(of_step)} left"

        later_runs = max(0, self.runs_left - 1)
        of_later_runs = later_runs * fmean(self.run_seconds)
        left = duration(of_step + of_later_runs)
        return f"about {left} left"


def duration(seconds: float) -> str:
    """A rounded time: `40 s`, `4 min`, `2.5 h`."""
    if seconds < 1.5 * MINUTE:
        tens = max(10, round(seconds, -1))
        return f"{tens:.0f} s"
    if seconds < 1.5 * HOUR:
        minutes = seconds / MINUTE
        return f"{minutes:.0f} min"
    hours = seconds / HOUR
    return f"{hours:.1f} h"
