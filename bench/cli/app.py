"""The command line. Every heavy import waits until a command needs it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bench import interface, jobs
from bench.cli import commands
from bench.cli.commands import Formats
from bench.errors import BenchError
from bench.settings import Settings, Tuning, assignments, gather
from bench.version import __version__

app = typer.Typer(
    help="Which speech backbone recognises emotion best on your data: one command, one honest table.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Backbones = Annotated[
    list[str] | None,
    typer.Option(
        "-b", "--backbone", help="backbones, comma-separated or repeated; `all`; `name:variant`"
    ),
]
Tasks = Annotated[
    list[str] | None, typer.Option("-t", "--task", help="tasks, manifest paths, or `all`")
]
Data = Annotated[
    list[str] | None, typer.Option("--data", metavar="TASK=PATH", help="where a corpus is")
]
Results = Annotated[
    Path | None, typer.Option("--results", metavar="DIR", help="where runs are written [results]")
]
Mode = Annotated[
    str | None, typer.Option(help="finetune, or probe: the encoder is frozen [finetune]")
]
Protocol = Annotated[
    str | None, typer.Option(help="a split protocol of the task [its speaker-disjoint one]")
]
Scale = Annotated[
    str | None, typer.Option(help="full, or tiny: small random networks, no download [full]")
]
Weights = Annotated[
    list[str] | None,
    typer.Option(metavar="BACKBONE=PATH_OR_HUB_ID", help="other weights, or `random`"),
]
Seeds = Annotated[int | None, typer.Option(min=1, help="seeds 0 to N-1 [1]")]
Folds = Annotated[int | None, typer.Option(min=1, help="only the first K folds [all]")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="a recipe or backbone option; BACKBONE.KEY=VALUE for one alone",
    ),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps [auto]")]
Precision = Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16 [the recipe's]")]
Variants = Annotated[
    bool | None, typer.Option("--variants", help="every variant of the backbones, too")
]
SkipBad = Annotated[
    bool | None,
    typer.Option(
        "--skip-bad-audio", help="go on without unreadable clips; every table says how many"
    ),
]
CacheAt = Annotated[
    str | None,
    typer.Option("--cache", metavar="DIR_OR_URL", help="audio and features [in the home]"),
]
Executor = Annotated[str | None, typer.Option(help="local, or ray: spread over a cluster [local]")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="the cluster's head, or auto [one of this machine alone]"
    ),
]
Cpus = Annotated[
    int | None,
    typer.Option("--cpus-per-run", min=1, help="promised to a run by Ray [as torch takes]"),
]
Gpus = Annotated[
    float | None, typer.Option("--gpus-per-run", help="or a share of one [as a first run took]")
]
Memory = Annotated[
    int | None, typer.Option("--memory-per-run", metavar="MIB", help="[as a first run took]")
]
Tracking = Annotated[str | None, typer.Option(help="an MLflow server [SQLite under --results]")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="write there, not to the screen"),
]
Format = Annotated[Formats, typer.Option("--format", help="how the table is written")]


INTERRUPTED = 130  # exit code


def main() -> None:
    """The `bench` command. A BenchError ends it with one sentence and its exit code, an interrupt
    with 130.
    """
    try:
        code = app(standalone_mode=False)
    except BenchError as error:
        code = _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if not hasattr(error, "exit_code"):  # not the command line's own complaint
            raise
        told = error.format_message() if hasattr(error, "format_message") else str(error)
        code = _complain(told, int(error.exit_code))
    if code == INTERRUPTED:  # as typer makes of Ctrl-C
        _complain(
            "interrupted: what is finished is recorded; the same command goes on from there",
            INTERRUPTED,
        )
    sys.exit(code if isinstance(code, int) else 0)


@app.command()
def run(
    backbone: Backbones = None,
    task: Tasks = None,
    mode: Mode = None,
    protocol: Protocol = None,
    scale: Scale = None,
    weights: Weights = None,
    data: Data = None,
    seeds: Seeds = None,
    folds: Folds = None,
    set_: Set = None,
    recipe: Annotated[
        str | None, typer.Option(help="default, or tuned: what `bench tune` chose [default]")
    ] = None,
    device: Device = None,
    precision: Precision = None,
    results: Results = None,
    tracking_uri: Tracking = None,
    cache: CacheAt = None,
    executor: Executor = None,
    ray_address: RayAddress = None,
    cpus_per_run: Cpus = None,
    gpus_per_run: Gpus = None,
    memory_per_run: Memory = None,
    fresh: Annotated[
        bool | None, typer.Option("--fresh", help="run again what is recorded")
    ] = None,
    dry_run: Annotated[
        bool | None, typer.Option("--dry-run", help="print the plan and stop")
    ] = None,
    skip_bad_audio: SkipBad = None,
    variants: Variants = None,
    save_weights: Annotated[
        bool | None,
        typer.Option("--save-weights", help="keep each run's network, for `bench predict`"),
    ] = None,
    format: Format = "text",
) -> int:
    """Run backbones on tasks; what is recorded is not run again. Bare: the main job of bench.toml."""
    return commands.run(_flags(locals()), format)


@app.command()
def tune(
    backbone: Backbones = None,
    task: Tasks = None,
    trials: Annotated[int | None, typer.Option(min=1, help="trials of each search [30]")] = None,
    nested: Annotated[
        bool | None,
        typer.Option(
            "--nested/--shared",
            help="a search for each fold, or one for all folds [nested in probe mode]",
        ),
    ] = None,
    search_folds: Annotated[
        int | None, typer.Option(min=1, help="folds that a shared search is scored on [1]")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe or random [tpe]")] = None,
    pruner: Annotated[str | None, typer.Option(help="median, halving or none [median]")] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="database of the trials [SQLite under --results]"),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="print what searches found, and stop")
    ] = False,
    search_only: Annotated[
        bool, typer.Option("--search-only", help="do not run what the searches chose")
    ] = False,
    mode: Mode = None,
    protocol: Protocol = None,
    scale: Scale = None,
    weights: Weights = None,
    data: Data = None,
    seeds: Seeds = None,
    folds: Folds = None,
    set_: Set = None,
    device: Device = None,
    precision: Precision = None,
    results: Results = None,
    tracking_uri: Tracking = None,
    cache: CacheAt = None,
    executor: Executor = None,
    ray_address: RayAddress = None,
    cpus_per_run: Cpus = None,
    gpus_per_run: Gpus = None,
    memory_per_run: Memory = None,
    skip_bad_audio: SkipBad = None,
    variants: Variants = None,
    format: Format = "text",
) -> int:
    """Search recipes on validation speakers with the same budget for every pairing, then run what
    was found.
    """
    given = locals()
    names = [*Tuning.__dataclass_fields__, "show", "search_only"]
    search = {name: given[name] for name in names if given.get(name) is not None}
    return commands.tune({**_flags(given), **search}, format)


@app.command(name="list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="backbones, tasks or features; all three without")
    ] = None,
) -> None:
    """What there is: backbones, tasks and features, third-party ones with their origin."""
    from bench.cli import listing

    print(listing.show(what))


@app.command()
def prepare(
    task: Annotated[list[str], typer.Argument(metavar="TASK...", help="tasks or manifest paths")],
    data: Data = None,
    skip_bad_audio: SkipBad = None,
    cache: CacheAt = None,
) -> None:
    """Fetch or check a corpus and print its card: clips, speakers, classes, duplicates, leakage of
    each protocol.
    """
    print(
        interface.prepare(
            task,
            data={k: Path(v) for k, v in assignments(data or [], "--data").items()},
            skip_bad_audio=skip_bad_audio,
            cache=cache,
        )
    )


@app.command()
def table(
    backbone: Backbones = None,
    task: Tasks = None,
    format: Format = "text",
    output: Output = None,
    results: Results = None,
    tracking_uri: Tracking = None,
) -> None:
    """Comparison tables of what is recorded, with published figures beside it."""
    store = {"results": results, "tracking_uri": tracking_uri}
    commands.table({"backbone": _split(backbone), "task": _split(task), **store}, format, output)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="port on loopback")] = 5000,
    results: Results = None,
    tracking_uri: Tracking = None,
) -> None:
    """The MLflow pages of the recorded runs, on loopback."""
    settings = gather({"results": results, "tracking_uri": tracking_uri})
    from bench.cli.ui import TRAINING, serve

    jobs.say(f"http://127.0.0.1:{port}/{TRAINING}")
    serve(settings.tracking_uri, settings.results, port)


@app.command()
def doctor(
    clear_cache: Annotated[
        str | None, typer.Option(metavar="KIND", help="delete cached data: audio, features or all")
    ] = None,
    results: Results = None,
    cache: CacheAt = None,
) -> None:
    """What this machine can run, what is missing, and how to get it."""
    from bench import registry
    from bench.cli import doctor as checks

    settings = gather({"results": results, "cache": cache})
    if clear_cache:
        print(checks.clear(jobs.cache(settings), clear_cache))
        return
    print(
        checks.report(
            registry.backbones(["all"]), registry.tasks(["all"]), settings, jobs.cache(settings)
        )
    )


@app.command()
def predict(
    recorded: Annotated[
        str, typer.Argument(metavar="RUN", help="run id, start of a fingerprint, or backbone@task")
    ],
    audio: Annotated[
        list[Path], typer.Argument(metavar="AUDIO...", help="audio files, or folders of them")
    ],
    window: Annotated[
        float | None,
        typer.Option(min=0, help="cut into windows of so many seconds; 0: never [10 s over 30 s]"),
    ] = None,
    hop: Annotated[
        float | None, typer.Option(min=0.01, help="seconds from window to window [the window]")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="BACKBONE=PATH_OR_HUB_ID", help="where the run's own weights are now"),
    ] = None,
    device: Device = None,
    format: Annotated[
        Literal["csv", "json"], typer.Option("--format", help="how the table is written")
    ] = "csv",
    output: Output = None,
    results: Results = None,
    tracking_uri: Tracking = None,
) -> int:
    """Probabilities for new audio, by the network of a run that was recorded with --save-weights."""
    where = {"results": results, "tracking_uri": tracking_uri, "device": device}
    how = {"window": window, "hop": hop, "weights": assignments(weights or [], "--weights")}
    return commands.predict({"run": recorded, "audio": audio, **how, **where}, format, output)


@app.command()
def trend(
    recorded: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="run id, start of a fingerprint, or backbone@task"),
    ] = None,
    calls: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="columns call, segment, start (s, or order), group, scale"
        ),
    ] = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="in place of RUN and --calls: the same with probabilities"
        ),
    ] = None,
    class_: Annotated[
        str | None,
        typer.Option(
            "--class", help="the class that is counted [the task's positive one, or negative]"
        ),
    ] = None,
    first: Annotated[float, typer.Option(min=0.01, help="minutes of the first stage")] = 30.0,
    ecr: Annotated[
        Literal["probabilities", "binarised"],
        typer.Option(help="what changes: as in Eq. 7, or as in the script"),
    ] = "probabilities",
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="go on without segments that have no prediction")
    ] = False,
    private: Annotated[
        bool,
        typer.Option("--private", help="show pseudonyms, as is always done with a private task"),
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="trend lines, as .png, .svg or .pdf")
    ] = None,
    show_calls: Annotated[
        list[str] | None,
        typer.Option(metavar="CALLS", help="the figure's calls [three of each group]"),
    ] = None,
    segments: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="write each segment's probability, as --probabilities reads it"
        ),
    ] = None,
    format: Format = "text",
    output: Output = None,
    results: Results = None,
    tracking_uri: Tracking = None,
) -> None:
    """How often and how changeably calls are negative, and whether groups of calls differ."""
    from bench.trend.request import Request

    request = Request(
        run=recorded,
        calls=calls,
        probabilities=probabilities,
        label=class_,
        minutes=first,
        binarised=ecr == "binarised",
        skip_missing=skip_missing,
        private=private,
        figure=figure,
        show=tuple(_split(show_calls)),
        segments=segments,
    )
    request.check()
    commands.trend(
        request, gather({"results": results, "tracking_uri": tracking_uri}), format, output
    )


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[
        bool, typer.Option("--version", help="print the version and stop", is_eager=True)
    ] = False,
) -> None:
    if show:
        print(__version__)
        raise typer.Exit


def _flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, as `gather` takes it."""
    return {
        **{name: value for name, value in given.items() if name in Settings.__dataclass_fields__},
        "backbone": _split(given["backbone"]),
        "task": _split(given["task"]),
        "weights": assignments(given["weights"] or [], "--weights"),
        "data": {k: Path(v) for k, v in assignments(given["data"] or [], "--data").items()},
        "set": assignments(given["set_"] or [], "--set"),
    }


def _split(names: list[str] | None) -> list[str]:
    """`-b a,b -b c` as three names."""
    return [part.strip() for name in names or [] for part in name.split(",") if part.strip()]


def _complain(text: str, code: int) -> int:
    jobs.say(f"bench: {text}")
    return code
