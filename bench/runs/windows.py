"""The windows into which audio is cut before networks hear it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.errors import UsageError
from bench.options import build, option

LONG = 30.0  # s; what is longer is cut into windows, unless these are asked for anyway
USUAL = 10.0  # s; the corpora's clips last 2 to 10 s
SHORTEST = 0.1  # s; no system hears an emotion in less
GROUP = "How audio is cut"


@dataclass(frozen=True)
class Windows:
    """The windows of a recording. All are equally long, so the last begins early enough to be.

    Without `window`, a recording is one whole up to LONG, else in windows of USUAL; with 0 always
    one whole. Without `hop`, a window begins where the last one ended.
    """

    window: float | None = option(
        None,
        "seconds of the windows that audio is cut into; 0: not cut",
        low=0,
        high=3600,
        group=GROUP,
        metavar="SECONDS",
        otherwise="10 s where it is longer than 30 s",
    )
    hop: float | None = option(
        None,
        "seconds from window to window",
        low=0.01,
        high=3600,
        group=GROUP,
        metavar="SECONDS",
        otherwise="the window",
    )

    def cuts(self, seconds: float) -> Iterator[tuple[float, float]]:
        """Start and end of each window of a recording, s."""
        length = self._length(seconds)
        last = seconds - length  # where the last one begins
        is_whole = not length or last <= 0
        if is_whole:
            yield 0.0, seconds
            return
        step = self.hop or length
        steps = math.ceil(last / step - 1e-9)
        for number in range(steps + 1):
            start = min(number * step, last)
            yield start, start + length

    def _length(self, seconds: float) -> float:
        """Seconds of each window; 0: one whole."""
        if self.window is not None:
            return self.window
        return USUAL if seconds > LONG else 0.0


def windows_of(window: object, hop: object) -> Windows:
    """The windows of what was typed, text or numbers.

    Raises:
        UsageError: for a value that is out of bounds, and for a hop without a window.
    """
    values = {"window": window, "hop": hop}
    asked = build(Windows, values, "on the command line")
    if asked.hop and not asked.window:
        raise UsageError(
            "--hop needs --window: it says how far one window begins after the other"
        )
    if asked.window and asked.window < SHORTEST:
        raise UsageError(
            f"window must be 0 or at least {SHORTEST}, not {asked.window} (on the command line)"
        )
    return asked
