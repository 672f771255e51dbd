"""The ways in which progress is shown: on a terminal, in a file, as a log, or not at all."""

import sys
import time
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

from bench.progress.status import SEPARATOR, Status, Step

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

REDRAW_SECONDS = 0.1  # at least, between two states of a terminal
FIRST_LINE_SECONDS = 30.0  # of a step, before it is worth a line
LINE_SECONDS = 60.0  # at least, between two such lines
BAR_COLUMNS = 24


class Problem(str):
    """A message about something that went wrong, which is shown even where others are not."""

    __slots__ = ()


class Screen:
    """Messages alone, one line each on standard error."""

    def open(self) -> None:
        """Called before the first message."""

    def say(self, text: str) -> None:
        """Show a message that stays."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def update(self, status: Status) -> None:
        """Show where the command stands."""

    def finished(self, step: Step) -> None:
        """Called at the end of every step."""

    def close(self) -> None:
        """Called after the last message."""


class Silent(Screen):
    """Nothing but problems. What libraries print on standard output is dropped."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def open(self) -> None:
        dropped = StringIO()
        redirection = redirect_stdout(dropped)
        self._stack.enter_context(redirection)

    def say(self, text: str) -> None:
        if isinstance(text, Problem):
            super().say(text)

    def close(self) -> None:
        self._stack.close()


class Lines(Screen):
    """Plain lines, few enough for a file or a notebook.

    These are messages, and the status of long steps now and then. What libraries print on standard
    output goes to standard error.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._last = -LINE_SECONDS

    def open(self) -> None:
        redirection = redirect_stdout(sys.stderr)
        self._stack.enter_context(redirection)

    def update(self, status: Status) -> None:
        step = status.step
        if step is None or step.seconds < FIRST_LINE_SECONDS:
            return
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            self.say(status.headline)

    def close(self) -> None:
        self._stack.close()


class Log(Lines):
    """Plain lines, and one for every step that ends."""

    def finished(self, step: Step) -> None:
        seconds = f"{step.seconds:.1f} s"
        self.say(f"{step.title}: {step.count} in {seconds}")


class Terminal(Screen):
    """Two lines that are redrawn in place: where the command stands, and what is under way.

    Messages, and what libraries print, scroll by above them. Redrawn by the thread that works, so
    that no lock of ours is held when a process forks.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._status = Status()
        self._drawn = 0.0
        self._console = Console(file=sys.stderr, force_terminal=True, highlight=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._lines,
            auto_refresh=False,
            transient=True,
        )

    def open(self) -> None:
        self._live.start()
        self._console.show_cursor(True)  # a killed process could not show it again

    def say(self, text: str) -> None:
        self._console.print(
            text,
            markup=False,
            soft_wrap=True,
        )

    def update(self, status: Status) -> None:
        self._status = status
        now = time.monotonic()
        if now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            self._live.refresh()

    def finished(self, step: Step) -> None:
        self._live.refresh()

    def close(self) -> None:
        self._status = Status()
        self._live.refresh()
        self._live.stop()

    def _lines(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        headline = Text(
            self._status.headline,
            no_wrap=True,
            overflow="ellipsis",
        )
        lines = [headline, self._under_way()]
        filled = [line for line in lines if line.plain]
        return Group(*filled)

    def _under_way(self) -> "Text":
        """Such as `hubert on ravdess, fold 2, seed 0 ━━━━━━━━ 27 % · loss 0.512`."""
        from rich.text import Text

        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(self._status.subject)
        step = self._status.step
        if step is None:
            return line

        if line.plain:
            line.append(" ")
        filled = round(step.share * BAR_COLUMNS)
        empty = BAR_COLUMNS - filled
        line.append("━" * filled, style="green")
        line.append("━" * empty, style="bright_black")
        line.append(f" {step.share:.0%}")
        if step.note:
            line.append(f"{SEPARATOR}{step.note}")
        return line


def choose(quiet: bool, verbose: bool) -> Screen:
    """The screen that suits standard error and what the user asked for."""
    if quiet:
        return Silent()
    if verbose:
        return Log()
    return Terminal() if _is_terminal(sys.stderr) else Lines()


def _is_terminal(stream: Any) -> bool:
    """Whether lines can be redrawn there."""
    import os

    if not stream.isatty():
        return False
    return os.environ.get("TERM") != "dumb"
