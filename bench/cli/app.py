"""The command line. Every heavy import waits until a command needs it."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bench import memory, registry
from bench.cli.audit_command import audit
from bench.cli.compare_command import compare
from bench.cli.flags import (
    FILTERS,
    PRINTED,
    STORE,
    Format,
    Output,
    Pages,
    choice,
    file_to_write,
    names_of,
    takes,
)
from bench.cli.transfer_commands import export, import_
from bench.cli.trend_command import trend
from bench.errors import (
    REASON_LENGTH,
    BenchError,
    one_line,
    printable,
    refused,
)
from bench.options import build
from bench.runs.windows import Windows
from bench.settings import Tuning
from bench.settings_file import gather
from bench.version import __version__

app = typer.Typer(
    help="Which speech backbone recognises emotion best on your data: one command, one honest "
    "table.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SEARCH = tuple(Tuning.__dataclass_fields__)
INTERRUPTED = 130  # exit code

ListFormats = Literal["text", "json"]
PredictionFormats = Literal["csv", "json"]
Row = Annotated[
    str,
    typer.Argument(
        metavar="ROW", help="backbone@task, run id, or start of a fingerprint"
    ),
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="run id, start of a fingerprint, or backbone@task"
    ),
]


def main() -> None:
    """The `bench` command.

    A BenchError, and what the system refuses, end it with one sentence and an exit code, an
    interrupt with 130.
    """
    try:
        code = app(standalone_mode=False)
        _flush()
    except BenchError as error:
        code = _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        code = _ended_by(error)
    if code == INTERRUPTED:  # also what typer returns for Ctrl-C
        _complain(
            "interrupted: finished runs are recorded; the same command continues from there",
            INTERRUPTED,
        )
    sys.exit(code if isinstance(code, int) else 0)


@app.command()
@takes(without=SEARCH)
def run(given: dict[str, Any], format: Format = "text") -> int:
    """Run backbones on tasks and print their table. Recorded runs are not repeated.

    Without a backbone and a task, this is the main job of bench.toml.
    """
    from bench.cli import commands

    return commands.run(given, format)


@app.command()
@takes(without=("recipe", "fresh", "dry_run", "save_weights"))
def tune(
    given: dict[str, Any],
    show: Annotated[
        bool,
        typer.Option(
            "--show", metavar="", help="print what recorded searches chose, and stop"
        ),
    ] = False,
    search_only: Annotated[
        bool,
        typer.Option(
            "--search-only", metavar="", help="do not run what the searches chose"
        ),
    ] = False,
    format: Format = "text",
) -> int:
    """Search recipes on validation speakers with one budget for all, and run what was chosen."""
    from bench.cli import commands

    return commands.tune({**given, "show": show, "search_only": search_only}, format)


@app.command(name="list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(help="backbones, tasks, features, or a name; all three without"),
    ] = None,
    format: Annotated[
        ListFormats, choice("how the list is written", ListFormats, "text", PRINTED)
    ] = "text",
) -> None:
    """List what is available, third-party plugins with their origin, or show one plugin in full."""
    from bench.cli import listing

    print(listing.show(what, format))


@app.command()
@takes(only=("data", "skip_bad_audio", "cache", "quiet", "verbose"))
def prepare(
    given: dict[str, Any],
    task: Annotated[
        list[str], typer.Argument(metavar="TASK...", help="tasks or manifest paths")
    ],
    folds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=file_to_write,
            help="write which clip is in which part of which fold, as .csv or .parquet",
            rich_help_panel=PRINTED,
        ),
    ] = None,
) -> None:
    """Check or fetch a corpus and print its card: clips, speakers, duplicates, leakage."""
    from bench import interface

    print(interface.prepare(task, folds=folds, **given))


@app.command()
@takes(only=("backbone", "task", *FILTERS, *STORE), filters=FILTERS)
def table(given: dict[str, Any], format: Format = "text", output: Output = None) -> int:
    """Print comparison tables of what is recorded, with published figures beside it."""
    from bench.cli import commands

    return commands.table(given, format, output)


@app.command()
@takes(only=(*FILTERS, *STORE), filters=FILTERS)
def predictions(given: dict[str, Any], row: Row, output: Output = None) -> None:
    """Print every test clip's truth and probabilities, with its fold and seed. -o FILE writes
    CSV or Parquet, by its suffix.
    """
    from bench.cli import commands

    commands.predictions({"row": row, **given}, output)


@app.command()
@takes(only=("task", *FILTERS, *STORE), filters=FILTERS)
def forget(
    given: dict[str, Any],
    row: Annotated[
        list[str],
        typer.Argument(
            metavar="ROW...",
            help="backbones, backbone@task, run ids, or starts of fingerprints",
        ),
    ],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", metavar="", help="do not ask")
    ] = False,
) -> int:
    """Remove recorded runs, after asking. The next `bench run` does them again."""
    from bench.cli import commands

    return commands.forget({"row": names_of("ROW", row), **given}, yes)


@app.command()
@takes(only=STORE, own=Pages)
def ui(given: dict[str, Any]) -> None:
    """Serve the MLflow pages of the recorded runs, to this machine only."""
    typed = {"port": given.pop("port")} if "port" in given else {}
    port = build(Pages, typed, "on the command line").port
    settings = gather(given)
    from bench.cli.ui import address, serve

    say = partial(typer.echo, err=True)
    say(address(port))
    serve(settings.tracking_uri, settings.results, port, say)


@app.command()
@takes(only=("results", "cache"))
def doctor(
    given: dict[str, Any],
    clear_cache: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="delete cached data: audio, features or all"),
    ] = None,
    clear_checkpoints: Annotated[
        bool,
        typer.Option(
            "--clear-checkpoints",
            metavar="",
            help="delete the checkpoints of interrupted trainings, which then start over",
        ),
    ] = False,
) -> None:
    """Say what this machine can run, what is missing, and how to get it."""
    from bench import jobs
    from bench.cli import clearing
    from bench.cli import doctor as checks

    settings = gather(given)
    if clear_checkpoints:
        print(clearing.clear_checkpoints(settings.results))
        return
    cache = jobs.cache(settings)
    if clear_cache is not None:
        print(clearing.clear(cache, clear_cache))
        return
    backbones, tasks = registry.backbones(["all"]), registry.tasks(["all"])
    print(checks.report(backbones, tasks, settings, cache))


@app.command()
@takes(only=("weights", "device", *STORE), own=Windows)
def predict(
    given: dict[str, Any],
    recorded: Run,
    audio: Annotated[
        list[str],
        typer.Argument(metavar="AUDIO...", help="audio files, or folders of them"),
    ],
    format: Annotated[
        PredictionFormats,
        choice("how the table is written", PredictionFormats, "csv", PRINTED),
    ] = "csv",
    output: Output = None,
) -> int:
    """Print probabilities for new audio, from networks kept by `bench run --save-weights`."""
    from bench.cli import commands

    options = {"run": recorded, "audio": audio, **given}
    return commands.predict(options, format, output)


app.command()(audit)
app.command()(compare)
app.command()(trend)
app.command()(export)
app.command(name="import")(import_)


@app.callback(invoke_without_command=True)
def before_any_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", help="print the version and stop", is_eager=True
        ),
    ] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    for package in registry.FOLDERS.values():
        other = registry.namesake(package)
        if other:
            _complain(
                f"{other} is ignored: {package} is the name of a package of ser-bench",
                0,
            )


def _ended_by(error: Exception) -> int:
    """The exit code after an error that is none of ours; a defect is raised again."""
    if hasattr(error, "exit_code"):  # the command line's own complaint
        return _usage_error(error)
    if isinstance(error, BrokenPipeError):  # whoever read the output has had enough
        _discard_output()
        return 1
    if memory.ran_out(error):
        return _complain(
            f"there is not enough memory ({one_line(error, REASON_LENGTH)}): use a larger machine, "
            f"or raise the limit (ulimit -v)",
            1,
        )
    if isinstance(error, OSError):
        return _complain(refused(error), 1)
    raise error


def _flush() -> None:
    """Write what is left of standard output, where an error is still one sentence."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        _discard_output()
        raise


def _discard_output() -> None:
    """Nobody reads standard output: what is left for it is not written when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _usage_error(error: Any) -> int:
    """A complaint of the command line library: its own message, as one sentence."""
    if (
        type(error).__name__ == "NoArgsIsHelpError"
    ):  # a bare `bench`, which prints its help
        return 0
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return _complain(text, int(error.exit_code))


def _complain(text: str, code: int) -> int:
    typer.echo(f"bench: {printable(text)}", err=True)
    return code
