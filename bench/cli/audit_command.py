"""The command `bench audit`."""

from typing import Annotated

import typer

from bench.cli.flags import Format, Output


def audit(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="figures in the layout of tasks/published, or a task (default: every task)",
            show_default=False,
        ),
    ] = None,
    format: Format = "text",
    output: Output = None,
) -> None:
    """Say whether published figures can be right: the confusion matrices that fit, or none."""
    from bench import evidence
    from bench.cli.commands import show

    found = evidence.audit(source)
    show(found.text, format, output)
