"""The command line. Every heavy import waits until a command needs it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench import __version__
from bench.errors import BenchError, UsageError
from bench.settings import Settings, assignments, gather

if TYPE_CHECKING:
    from bench.cache import Cache
    from bench.corpus import Corpus
    from bench.task import Published, Task

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
    typer.Option("-b", "--backbone", help="backbones, comma-separated or repeated; `all`; `name:variant`"),
]
Tasks = Annotated[list[str] | None, typer.Option("-t", "--task", help="tasks, manifest paths, or `all`")]
Data = Annotated[list[str] | None, typer.Option("--data", metavar="TASK=PATH", help="where a corpus is")]
Results = Annotated[Path | None, typer.Option("--results", metavar="DIR", help="where runs are written [results]")]
SkipBad = Annotated[
    bool | None, typer.Option("--skip-bad-audio", help="go on without unreadable clips; every table says how many")
]
CacheAt = Annotated[str | None, typer.Option("--cache", metavar="DIR_OR_URL", help="audio and features [in the home]")]
Tracking = Annotated[str | None, typer.Option(help="an MLflow server [SQLite under --results]")]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="write there, not to the screen")]
Formats = Literal["text", "markdown", "csv", "latex", "html", "json"]
Format = Annotated[Formats, typer.Option("--format", help="how the table is written")]


INTERRUPTED = 130  # exit code


def main() -> None:
    """The `bench` command. A BenchError ends it with one sentence and its exit code, an interrupt with 130."""
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
        _complain("interrupted: what is finished is recorded; the same command goes on from there", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


@app.command()
def run(
    backbone: Backbones = None,
    task: Tasks = None,
    mode: Annotated[str | None, typer.Option(help="finetune, or probe: the encoder is frozen [finetune]")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="a split protocol of the task [its speaker-disjoint one]")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="full, or tiny: small random networks, no download [full]")] = None,
    weights: Annotated[
        list[str] | None, typer.Option(metavar="BACKBONE=PATH_OR_HUB_ID", help="other weights, or `random`")
    ] = None,
    data: Data = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="seeds 0 to N-1 [1]")] = None,
    folds: Annotated[int | None, typer.Option(min=1, help="only the first K folds [all]")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="a recipe or backbone option; BACKBONE.KEY=VALUE for one alone"
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps [auto]")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16 [the recipe's]")] = None,
    results: Results = None,
    tracking_uri: Tracking = None,
    cache: CacheAt = None,
    fresh: Annotated[bool | None, typer.Option("--fresh", help="run again what is recorded")] = None,
    dry_run: Annotated[bool | None, typer.Option("--dry-run", help="print the plan and stop")] = None,
    skip_bad_audio: SkipBad = None,
    variants: Annotated[bool | None, typer.Option("--variants", help="every variant of the backbones, too")] = None,
    save_weights: Annotated[
        bool | None, typer.Option("--save-weights", help="keep each run's network, for `bench predict`")
    ] = None,
    format: Format = "text",
) -> int:
    """Run backbones on tasks; what is recorded is not run again. Bare: the main job of bench.toml."""
    flags = {
        **{name: value for name, value in locals().items() if name in Settings.__dataclass_fields__},
        "backbone": _split(backbone),
        "task": _split(task),
        "weights": assignments(weights or [], "--weights"),
        "data": {k: Path(v) for k, v in assignments(data or [], "--data").items()},
        "set": assignments(set_ or [], "--set"),
    }
    return _run(gather(flags), format)


@app.command(name="list")
def list_(
    what: Annotated[str | None, typer.Argument(help="backbones, tasks or features; all three without")] = None,
) -> None:
    """What there is: backbones, tasks and features, third-party ones with their origin."""
    from bench import listing

    print(listing.show(what))


@app.command()
def prepare(
    task: Annotated[list[str], typer.Argument(metavar="TASK...", help="tasks or manifest paths")],
    data: Data = None,
    skip_bad_audio: SkipBad = None,
    cache: CacheAt = None,
) -> None:
    """Fetch or check a corpus and print its card: clips, speakers, classes, duplicates, leakage of each protocol."""
    from bench import registry
    from bench.card import card

    flags = {"data": {k: Path(v) for k, v in assignments(data or [], "--data").items()}}
    settings = gather({**flags, "skip_bad_audio": skip_bad_audio, "cache": cache, "task": _split(task)})
    for plugin in registry.tasks(settings.task):
        print(card(_corpus(plugin, settings, _cache(settings))).text())


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
    settings = gather({"results": results, "tracking_uri": tracking_uri})
    text = _table(settings, _split(task), _split(backbone), format, colour=output is None and sys.stdout.isatty())
    _write(text, output)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="port on loopback")] = 5000,
    results: Results = None,
    tracking_uri: Tracking = None,
) -> None:
    """The MLflow pages of the recorded runs, on loopback."""
    settings = gather({"results": results, "tracking_uri": tracking_uri})
    from bench.store import TRAINING, serve

    _say(f"http://127.0.0.1:{port}/{TRAINING}")
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
    from bench import doctor as checks
    from bench import registry

    settings = gather({"results": results, "cache": cache})
    if clear_cache:
        print(checks.clear(_cache(settings), clear_cache))
        return
    print(checks.report(registry.backbones(["all"]), registry.tasks(["all"]), settings, _cache(settings)))


@app.command()
def predict(
    recorded: Annotated[str, typer.Argument(metavar="RUN", help="run id, start of a fingerprint, or backbone@task")],
    audio: Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="audio files, or folders of them")],
    window: Annotated[
        float | None, typer.Option(min=0, help="cut into windows of so many seconds; 0: never [10 s over 30 s]")
    ] = None,
    hop: Annotated[float | None, typer.Option(min=0.01, help="seconds from window to window [the window]")] = None,
    weights: Annotated[
        list[str] | None, typer.Option(metavar="BACKBONE=PATH_OR_HUB_ID", help="where the run's own weights are now")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps [auto]")] = None,
    format: Annotated[Literal["csv", "json"], typer.Option("--format", help="how the table is written")] = "csv",
    output: Output = None,
    results: Results = None,
    tracking_uri: Tracking = None,
) -> int:
    """Probabilities for new audio, by the network of a run that was recorded with --save-weights."""
    flags = {"results": results, "tracking_uri": tracking_uri, "device": device}
    settings = gather({**flags, "weights": assignments(weights or [], "--weights")})
    if hop and not window:
        raise UsageError("--hop needs --window: it says how far one window begins after the other")
    return _predict(settings, recorded, audio, window, hop, format, output)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="print the version and stop", is_eager=True)] = False,
) -> None:
    if show:
        print(__version__)
        raise typer.Exit


def _run(settings: Settings, format: Formats) -> int:
    from bench import plan as planning

    selection = planning.select(settings)
    cache = _cache(settings)
    from bench import devices

    device = devices.choose(settings.device)
    if device.type == "cpu":
        devices.keep_memory()
    if settings.precision == "fp16" and device.type != "cuda":
        raise UsageError(f"--precision fp16 needs a CUDA GPU, and this run is on {device}: use fp32 or bf16")
    pairings = planning.plan(
        selection, settings, lambda task: _corpus(task, settings, cache), lambda asked: devices.precision(asked, device)
    )
    from bench.store import Store

    store = Store(settings.tracking_uri, settings.results)
    if settings.dry_run:
        from bench.listing import show_plan

        print(show_plan(pairings, store, cache))
        return 0
    from bench.runner import Place, execute

    place = Place(store, cache, settings.results, device, settings.save_weights)
    outcome = execute(pairings, place, settings.fresh, _say)
    tasks = list(dict.fromkeys(p.task.name for p in pairings))
    names = list(dict.fromkeys(p.record.backbone for p in pairings))
    print(_table(settings, tasks, names, format, colour=sys.stdout.isatty(), store=store))
    parts = {"recorded now": outcome.done, "recorded before": outcome.already}
    parts |= {"skipped": outcome.skipped, "failed": outcome.failed}
    _say(", ".join(f"{n} {what}" for what, n in parts.items() if n or what.startswith("recorded")))
    return 1 if outcome.failed else 0


def _table(
    settings: Settings, tasks: list[str], backbones: list[str], format: Formats, colour: bool, store: Any = None
) -> str:
    from bench.store import Store
    from bench.tables import render, rows

    store = store or Store(settings.tracking_uri, settings.results)
    records = [r for r in store.records(tasks or None) if not backbones or r.backbone in backbones]
    if not records:
        raise UsageError(f"nothing is recorded in {store.uri} for what is asked: start with `bench run`")
    return render(rows(records, {r.task: _published(r.task) for r in records}), format, colour=colour)


def _predict(
    settings: Settings,
    name: str,
    audio: list[Path],
    window: float | None,
    hop: float | None,
    format: Literal["csv", "json"],
    output: Path | None,
) -> int:
    from tempfile import TemporaryDirectory

    from bench.recorded import find, with_network
    from bench.store import Store

    run = with_network(find(Store(settings.tracking_uri, settings.results), name), name)
    from bench import devices, inference
    from bench.networks import rebuild

    files, device = inference.audio_files(audio), devices.choose(settings.device)
    assert run.network
    with TemporaryDirectory() as folder:
        saved = rebuild(run.network(Path(folder)), settings.weights)
    found = inference.predict_audio(saved, files, device, window, hop)
    _write(inference.table(found, format), output)
    for what, reason in found.failed:
        _say(f"bench: no prediction for {what}: {reason}")
    return 1 if found.failed else 0


def _write(text: str, output: Path | None) -> None:
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


def _published(task: str) -> "Sequence[Published]":
    """Figures that others printed for a task; a manifest's task has none."""
    from bench import registry

    known = task.partition(":")[0] in registry.entries("task")
    return registry.tasks([task])[0].published if known else ()


def _corpus(task: "Task", settings: Settings, cache: "Cache") -> "Corpus":
    from bench.corpus import load
    from bench.plan import data_of

    return load(task, data_of(task, settings.data), cache, settings.skip_bad_audio)


def _cache(settings: Settings) -> "Cache":
    from bench.cache import Cache

    return Cache.at(settings.cache)


def _split(names: list[str] | None) -> list[str]:
    """`-b a,b -b c` as three names."""
    return [part.strip() for name in names or [] for part in name.split(",") if part.strip()]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _complain(text: str, code: int) -> int:
    _say(f"bench: {text}")
    return code
