"""What the commands print, and their exit codes."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from bench import interface, table_file, terminal
from bench.cli.flags import Formats
from bench.errors import UsageError, writing
from bench.progress.display import say
from bench.results import Comparison, Result, RunResult
from bench.settings import Settings
from bench.settings_file import gather

if TYPE_CHECKING:
    from bench.trend.request import Request


def run(options: Mapping[str, Any], format: Formats) -> int:
    """Run pairings and print their table, or the plan; the exit code."""
    return _show(interface.run(**options), format, options)


def tune(options: Mapping[str, Any], format: Formats) -> int:
    """Search, run what was chosen and print the table, or print the choices; the exit code."""
    return _show(interface.tune(**options), format, options)


def table(options: Mapping[str, Any], format: Formats, output: Path | None) -> int:
    """Print or write the comparison tables of what is recorded; the exit code."""
    tables = interface.table(**options)
    show(tables.text, format, output)
    return 0 if tables.ok else 1


def predict(
    options: Mapping[str, Any], format: Literal["csv", "json"], output: Path | None
) -> int:
    """Print or write the probabilities of new audio; the exit code."""
    predictions = interface.predict(**options)
    if predictions.averaged:
        say(predictions.averaged)
    write(predictions.text(format), output)
    for what, reason in predictions.failed.items():
        say(f"bench: no prediction for {what}: {reason}")
    return 0 if predictions.ok else 1


def predictions(options: Mapping[str, Any], output: Path | None) -> None:
    """Print or write the test clips of a pairing with their probabilities."""
    if output:
        table_file.check(output)
    found = interface.predictions(**options)
    if output:
        found.write(output)
    else:
        print(found.text())


def forget(options: Mapping[str, Any], yes: bool) -> int:
    """Name the runs, ask, and remove them; the exit code, 1 after a no."""
    found = interface.forget(**options, dry_run=True)
    print(found)
    number = f"{found.runs} runs of {len(found.removals)} pairings"
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"nobody can be asked whether to remove {number}: add --yes"
            )
        if not typer.confirm(f"Remove {number}?", err=True):
            say("nothing is removed")
            return 1
    removed = interface.forget(**options)
    say(
        f"removed {removed.runs} runs: the next `bench run` does them again; MLflow's pages can "
        "restore deleted runs, a pairing's own beside them, until `mlflow gc`"
    )
    return 0


def trend(
    request: "Request", settings: Settings, format: Formats, output: Path | None
) -> None:
    """The trend of a checked request: its tables, and the files that it names."""
    from bench.trend import build, records, view

    if request.run:
        from bench.runs.lookup import find
        from bench.runs.store import Store

        store = Store(settings.tracking_uri, settings.results)
        found = build.of_run(request, find(store, request.run))
    else:
        found = build.of_table(request)
    if request.segments:
        write(records.segments(found), request.segments)
    if request.figure:
        from bench.trend.figure import trend_figure

        say(trend_figure(found, request.figure, request.show))
    show(partial(view.render, found), format, output)


def show(
    drawn: Callable[[Formats, bool, int | None], str],
    format: Formats,
    output: Path | None,
) -> None:
    """Print or write what is drawn in a format: in colour on a terminal, as wide as that is."""
    colour = output is None and sys.stdout.isatty()
    width = terminal.PIPED if output else None
    write(drawn(format, colour, width), output)


def write(text: str, output: Path | None) -> None:
    """Write to the file, or else to standard output."""
    if output:
        with writing(output):
            output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


def _show(result: Result, format: Formats, options: Mapping[str, Any]) -> int:
    """Print what a command gave; its exit code."""
    if isinstance(result, Comparison):
        print(result.text(format, colour=sys.stdout.isatty()))
    else:
        print(result)
    if isinstance(result, RunResult) and not _is_quiet(options):
        say(result.summary)
    return 0 if result.ok else 1


def _is_quiet(options: Mapping[str, Any]) -> bool:
    """Whether the flags, or else `bench.toml`, ask for errors only."""
    return gather({"quiet": options.get("quiet")}).quiet
