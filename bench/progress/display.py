"""The display of the command under way, for all rooms that work long.

They report to it whether or not it is open. Only `shown` opens it: a program that calls other rooms
directly sees messages alone.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from bench.progress import libraries, screens
from bench.progress.screens import Screen
from bench.progress.status import Status, Step

T = TypeVar("T")


class _Display:
    """The one display of this process."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.status = Status()
        self.is_open = False

    def redraw(self) -> None:
        self.screen.update(self.status)


_display = _Display()


@contextmanager
def shown(quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Show progress meanwhile; inside another `shown`, go on with that one.

    quiet: nothing but problems; verbose: a log, with the messages of libraries, which are dropped
    otherwise.
    """
    if _display.is_open:
        yield
        return
    _display.screen = screens.choose(quiet, verbose)
    _display.status = Status()
    _display.is_open = True
    messages = libraries.logged() if verbose and not quiet else libraries.silenced()
    _display.screen.open()
    try:
        with messages:
            yield
    finally:
        _display.screen.close()
        _display.screen = Screen()
        _display.status = Status()
        _display.is_open = False


def say(text: str) -> None:
    """Show a message that stays on the screen; a `Problem` even where the user wants quiet."""
    _display.screen.say(text)


def at(position: str, subject: str = "") -> None:
    """Say where the command stands: `pairing 3 of 16`, and the name of what is worked on."""
    _display.status.position = position
    _display.status.subject = subject
    _display.redraw()


def expect(runs: int) -> None:
    """Add to the runs that are still to be done, on which the remaining time depends."""
    _display.status.runs_left += runs


@contextmanager
def run(subject: str) -> Iterator[None]:
    """Work on one of the expected runs."""
    status = _display.status
    started = time.monotonic()
    status.subject = subject
    _display.redraw()
    try:
        yield
    finally:
        status.subject = ""
        status.runs_left = max(0, status.runs_left - 1)
        status.run_seconds.append(time.monotonic() - started)
        _display.redraw()


@contextmanager
def step(title: str, total: float, unit: str, done: float = 0.0) -> Iterator[Step]:
    """Count work that is worth showing, such as `feature log-mel`; nothing where `total` is 0.

    done: what an earlier, interrupted command has done of it.
    """
    current = Step(
        title,
        total,
        unit,
        changed=_display.redraw,
        done=done,
    )
    shown_step = _listed(current) if total else nullcontext()
    with shown_step:
        yield current


def track(items: Iterable[T], title: str, total: int, unit: str) -> Iterator[T]:
    """The items, each counted once the next one is asked for."""
    with step(title, total, unit) as current:
        for item in items:
            yield item
            current.advance()


@contextmanager
def _listed(current: Step) -> Iterator[None]:
    steps = _display.status.steps
    steps.append(current)
    _display.redraw()
    try:
        yield
    finally:
        steps.remove(current)
        _display.screen.finished(current)
        _display.redraw()
