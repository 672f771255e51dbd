"""What a user asks of `bench trend`, checked before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError

SUFFIXES = (".png", ".svg", ".pdf")  # of a figure


@dataclass(frozen=True)
class Request:
    """What a user asks of `bench trend`; nothing heavy is imported to check it."""

    run: str | None = None  # as `bench.runs.lookup.find` takes it
    calls: Path | None = None  # the table of calls that goes with it
    probabilities: Path | None = (
        None  # a table of calls with probabilities, in place of both
    )
    label: str | None = (
        None  # the class to count; None: the task's positive, else `negative`
    )
    minutes: float = 30.0  # of the first stage
    binarised: bool = False  # ECR of decisions
    skip_missing: bool = False
    private: bool = False  # show pseudonyms, whatever the task says of itself
    figure: Path | None = None
    show: tuple[str, ...] = ()  # calls that the figure shows
    segments: Path | None = None  # where each segment's probability goes

    def check(self) -> None:
        """Check that the options fit together and that the files exist.

        Raises:
            UsageError: options exclude each other or lack another, a table does not exist, a
                folder to write to does not exist, or a figure has no known format.
        """
        self._check_source()
        self._check_figure()
        for path in filter(None, [self.calls, self.probabilities]):
            if not path.is_file():
                raise UsageError(
                    f"no table of calls at {path}: give the path of a CSV or TSV file"
                )
        for path in filter(None, [self.figure, self.segments]):
            folder = path.parent
            if not folder.is_dir():
                raise UsageError(
                    f"no folder {folder} to write {path.name} to: create it, or name another"
                )

    def _check_source(self) -> None:
        if self.probabilities and (self.run or self.calls):
            raise UsageError(
                "--probabilities stands alone: it takes the place of RUN and --calls"
            )
        if not self.probabilities and not (self.run and self.calls):
            raise UsageError(
                "a trend needs RUN with --calls FILE, or --probabilities FILE alone"
            )

    def _check_figure(self) -> None:
        if self.show and not self.figure:
            raise UsageError("--show-calls needs --figure FILE, which shows them")
        if self.figure is None:
            return
        suffix = self.figure.suffix.lower()
        if suffix in SUFFIXES:
            return
        *others, last = SUFFIXES
        listed = ", ".join(others)
        raise UsageError(
            f"--figure {self.figure} must end in {listed} or {last}",
        )
