"""What a user asks of `bench trend`, checked before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError
from bench.options import option
from bench.texts import text_of

SUFFIXES = (".png", ".svg", ".pdf")  # of a figure


@dataclass(frozen=True)
class Request:
    """What a user asks of `bench trend`; nothing heavy is imported to check it."""

    run: str | None = option(None, "the run, as `bench.runs.lookup.find` takes it")
    calls: Path | None = option(None, "the table of calls that goes with it")
    probabilities: Path | None = option(
        None, "a table of calls with probabilities, in place of both"
    )
    label: str | None = option(
        None, "the class to count; None: the task's positive, else `negative`"
    )
    minutes: float = option(30.0, "of the first stage", low=0.01, high=10**6)
    binarised: bool = option(False, "ECR of decisions")
    skip_missing: bool = option(False, "go on without segments that lack a prediction")
    private: bool = option(False, "show pseudonyms, whatever the task says of itself")
    figure: Path | None = option(None, "where the trend lines go")
    show: tuple[str, ...] = option((), "calls that the figure shows")
    segments: Path | None = option(None, "where each segment's probability goes")

    def check(self) -> None:
        """Check that the options fit together and that the files exist.

        Raises:
            UsageError: options exclude each other or lack another, a table does not exist, a
                folder to write to does not exist, or a figure has no known format.
        """
        self._check_source()
        self._check_label()
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

    def _check_label(self) -> None:
        label = "the usual" if self.label is None else self.label
        try:
            text = text_of(label)
        except ValueError as error:
            raise UsageError(f"--class {error}") from None
        if not text:
            raise UsageError("--class must not be empty")

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
