"""The command `bench trend`: what can be typed, and the request that it makes."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bench.cli.flags import STORE, Format, Output, file_to_write, names_of, takes
from bench.options import build
from bench.settings_file import gather


@takes(only=STORE)
def trend(
    given: dict[str, Any],
    recorded: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="run id, start of a fingerprint, or backbone@task"
        ),
    ] = None,
    calls: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="columns call, segment, start (seconds, or order), group, scale",
        ),
    ] = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="instead of RUN and --calls: the same with probabilities",
        ),
    ] = None,
    class_: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="LABEL",
            help="the class that is counted (default: the task's positive class, or negative)",
        ),
    ] = None,
    first: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            help="minutes of the first stage (default: 30)",
            show_default=False,
        ),
    ] = 30.0,
    ecr: Annotated[
        Literal["probabilities", "binarised"],
        typer.Option(
            metavar="WHAT",
            help="what changes: probabilities, as in Eq. 7, or binarised, as in the authors' "
            "script (default: probabilities)",
            show_default=False,
        ),
    ] = "probabilities",
    skip_missing: Annotated[
        bool,
        typer.Option(
            "--skip-missing",
            metavar="",
            help="continue without segments that lack a prediction",
        ),
    ] = False,
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            metavar="",
            help="show pseudonyms, as is always done for a private task",
        ),
    ] = False,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=file_to_write,
            help="trend lines, as .png, .svg or .pdf",
        ),
    ] = None,
    show_calls: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CALLS",
            help="the calls in the figure (default: three of each group)",
        ),
    ] = None,
    segments: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=file_to_write,
            help="write each segment's probability, as --probabilities reads it",
        ),
    ] = None,
    format: Format = "text",
    output: Output = None,
) -> None:
    """Print how often and how changeably calls are negative, and whether groups of calls differ."""
    from bench.cli import commands
    from bench.trend.request import Request

    typed = {
        "run": recorded,
        "calls": calls,
        "probabilities": probabilities,
        "minutes": first,
        "figure": figure,
        "show": names_of("--show-calls", show_calls),
        "segments": segments,
    }
    checked = build(Request, typed, "on the command line", _spelled)
    request = replace(
        checked,
        label=class_,  # any text, `none` too
        binarised=ecr == "binarised",
        skip_missing=skip_missing,
        private=private,
    )
    request.check()
    commands.trend(request, gather(given), format, output)


def _spelled(name: str) -> str:
    return {"minutes": "first", "show": "show-calls"}.get(name, name)
