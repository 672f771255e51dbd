"""The commands `bench export` and `bench import`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.flags import FILTERS, STORE, names_of, takes


@takes(only=("backbone", "task", *FILTERS, *STORE), filters=FILTERS)
def export(
    given: dict[str, Any],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="the file to write, such as runs.zip"),
    ],
    row: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ROW...",
            help="backbones, backbone@task, run ids, or starts of fingerprints (default: all)",
        ),
    ] = None,
    with_weights: Annotated[
        bool,
        typer.Option(
            "--with-weights", metavar="", help="with networks kept by --save-weights"
        ),
    ] = False,
) -> None:
    """Write recorded runs to one file, without audio, for another store or machine."""
    from bench import transfer
    from bench.cli.commands import write

    rows = names_of("ROW", row) if row else None
    done = transfer.export_runs(file, rows, with_weights=with_weights, **given)
    write(done.text(), None)


@takes(only=STORE)
def import_(
    given: dict[str, Any],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="a file of `bench export`")
    ],
) -> None:
    """Add the runs of a file of `bench export`. What is recorded already stays as it is."""
    from bench import transfer
    from bench.cli.commands import write

    write(transfer.import_runs(file, **given).text(), None)
