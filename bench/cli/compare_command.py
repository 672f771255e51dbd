"""The command `bench compare`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.flags import (
    FILTERS,
    PRINTED,
    STORE,
    Format,
    Output,
    file_to_write,
    names_of,
    takes,
)


@takes(only=(*FILTERS, *STORE), filters=FILTERS)
def compare(
    given: dict[str, Any],
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="a task, or several with commas")
    ],
    system: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYSTEM...",
            help="backbones, run ids, or starts of fingerprints: two or more",
        ),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option("--all", metavar="", help="every system that is recorded whole"),
    ] = False,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="of several tasks, the critical-difference diagram: .svg, .png or .pdf",
            callback=file_to_write,
            rich_help_panel=PRINTED,
        ),
    ] = None,
    format: Format = "text",
    output: Output = None,
) -> None:
    """Say whether recorded systems differ: paired intervals and tests, corrected for all pairs."""
    from bench import evidence
    from bench.cli.commands import show

    tasks = names_of("TASK", task)
    systems = names_of("SYSTEM", system) if system else None
    found = evidence.compare(tasks, systems, all=all_, **given)
    if figure:
        found.figure(figure)
    show(found.text, format, output)
