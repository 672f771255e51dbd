"""What the commands do, once their settings are known. Every heavy import waits until a command
needs it.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError, UsageError
from bench.options import build
from bench.settings import Settings, Tuning

if TYPE_CHECKING:
    from bench.cluster.pool import Cluster
    from bench.contracts.task import Published, Task
    from bench.data.cache import Cache
    from bench.data.corpus import Corpus
    from bench.runs.pairing import Pairing
    from bench.runs.plan import Selection
    from bench.runs.store import Store
    from bench.runs.workplace import Outcome, Place
    from bench.trend.request import Request

Formats = Literal["text", "markdown", "csv", "latex", "html", "json"]


def run(settings: Settings, format: Formats) -> int:
    """Run pairings and print their table; the exit code."""
    from bench.runs import plan as planning

    selection, outcome = planning.select(settings), None
    with _cluster(settings) as cluster:  # in here, nothing can be printed
        pairings, place = _planned(selection, settings, cluster)
        if settings.recipe == "tuned":
            pairings = _tuned(pairings, place.store)
        if not settings.dry_run:
            outcome = _execute(pairings, place, settings, cluster)
    if outcome is None:
        from bench.runs.dry_run import show_plan

        print(show_plan(pairings, place.store, place.cache))
        return 0
    return _finished(outcome, pairings, place, settings, format)


def tune(settings: Settings, format: Formats, search_only: bool) -> int:
    """Search each pairing, then run it as it is by default and as the search chose; the exit code."""
    from bench.runs import plan as planning

    tuning = build(Tuning, settings.tune, "[tune] in bench.toml or on the command line")
    selection, outcome = planning.select(settings), None
    with _cluster(settings) as cluster:  # in here, nothing can be printed
        pairings, place = _planned(selection, settings, cluster)
        failed = _search(pairings, place, settings, tuning, cluster)
        if not search_only:
            pairings += [p for p in _tuned(pairings, place.store) if p.ready]
            outcome = _execute(pairings, place, settings, cluster)
    if outcome is None:
        print(
            show_searches(
                settings, [p.task.name for p in pairings], [p.record.backbone for p in pairings]
            )
        )
        return 1 if failed or any(p.failed for p in pairings) else 0
    return max(_finished(outcome, pairings, place, settings, format), min(failed, 1))


def show_searches(settings: Settings, tasks: Sequence[str], backbones: Sequence[str]) -> str:
    """What recorded searches found. Raises UsageError if there are none."""
    from bench import registry
    from bench.runs.store import Store
    from bench.search.report import show_searches as show

    store = Store(settings.tracking_uri, settings.results)
    found = [
        s
        for s in store.searches(registry.recorded_names(tasks) or None)
        if not backbones or s["backbone"] in backbones
    ]
    if not found:
        raise UsageError(
            f"no search is recorded in {store.name} for what is asked: start with `bench tune`"
        )
    return show(found)


def table(
    settings: Settings,
    tasks: list[str],
    backbones: list[str],
    format: Formats,
    colour: bool,
    store: "Store | None" = None,
) -> str:
    """The comparison tables of what is recorded. Raises UsageError if nothing is."""
    from bench import registry
    from bench.runs.store import Store
    from bench.tables.collect import rows
    from bench.tables.formats import render

    store = store or Store(settings.tracking_uri, settings.results)
    records = [
        r
        for r in store.records(registry.recorded_names(tasks) or None)
        if not backbones or r.backbone in backbones
    ]
    if not records:
        raise UsageError(
            f"nothing is recorded in {store.name} for what is asked: start with `bench run`"
        )
    return render(
        rows(records, {r.task: _published(r.task) for r in records}), format, colour=colour
    )


def predict(
    settings: Settings,
    name: str,
    audio: list[Path],
    window: float | None,
    hop: float | None,
    format: Literal["csv", "json"],
    output: Path | None,
) -> int:
    """Print the probabilities of new audio; the exit code."""
    from bench.runs.lookup import find, with_network
    from bench.runs.store import Store

    run = with_network(find(Store(settings.tracking_uri, settings.results), name), name)
    from bench.runs import inference
    from bench.runs.saved_network import rebuild
    from bench.training import devices

    files, device = inference.audio_files(audio), devices.choose(settings.device)
    assert run.network
    with TemporaryDirectory() as folder:
        saved = rebuild(run.network(Path(folder)), settings.weights)
    found = inference.predict_audio(saved, files, device, window, hop)
    write(inference.table(found, format), output)
    for what, reason in found.failed:
        say(f"bench: no prediction for {what}: {reason}")
    return 1 if found.failed else 0


def trend(request: "Request", settings: Settings, format: Formats, output: Path | None) -> None:
    """The trend of a checked request: its tables, and the files that it names."""
    from bench.trend import build, view

    if request.run:
        from bench.runs.lookup import find
        from bench.runs.store import Store

        found = build.of_run(
            request, find(Store(settings.tracking_uri, settings.results), request.run)
        )
    else:
        found = build.of_table(request)
    if request.segments:
        write(view.segments(found), request.segments)
    if request.figure:
        from bench.trend.figure import trend_figure

        say(trend_figure(found, request.figure, request.show))
    write(view.render(found, format, colour=output is None and sys.stdout.isatty()), output)


def corpus(task: "Task", settings: Settings, cache: "Cache") -> "Corpus":
    """The task's corpus, decoded into the cache."""
    from bench.data.corpus import load
    from bench.settings import data_of

    return load(task, data_of(task, settings.data), cache, settings.skip_bad_audio)


def cache(settings: Settings) -> "Cache":
    """The cache that the settings name."""
    from bench.data.cache import Cache

    return Cache.at(settings.cache)


def write(text: str, output: Path | None) -> None:
    """To the file, or else to the screen."""
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


def say(text: str) -> None:
    """Progress and complaints, beside the table."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _cluster(settings: Settings) -> "Iterator[Cluster | None]":
    """What runs are spread over; None: this process does them."""
    if settings.executor == "local":
        yield None
        return
    from bench.cluster.connect import connect

    with connect(settings) as cluster:
        yield cluster


def _planned(
    selection: "Selection", settings: Settings, cluster: "Cluster | None"
) -> "tuple[list[Pairing], Place]":
    """The pairings of a command, and where they run."""
    held = cache(settings)
    import torch

    from bench.runs import plan
    from bench.training import devices

    device = torch.device(cluster.device) if cluster else devices.choose(settings.device)
    precision = cluster.precision if cluster else lambda asked: devices.precision(asked, device)
    if device.type == "cpu":
        devices.keep_memory()
    if settings.precision == "fp16" and device.type != "cuda":
        raise UsageError(
            f"--precision fp16 needs a CUDA GPU, and this run is on {device}: use fp32 or bf16"
        )
    pairings = plan.plan(selection, settings, lambda task: corpus(task, settings, held), precision)
    from bench.runs.store import Store
    from bench.runs.workplace import Place

    store = Store(settings.tracking_uri, settings.results)
    return pairings, Place(store, held, settings.results, device, settings.save_weights)


def _tuned(pairings: "Sequence[Pairing]", store: "Store") -> "list[Pairing]":
    from bench.runs.plan import tuned
    from bench.search.tune import chosen

    return [tuned(pairing, chosen(store)) for pairing in pairings]


def _search(
    pairings: "Sequence[Pairing]",
    place: "Place",
    settings: Settings,
    tuning: Tuning,
    cluster: "Cluster | None",
) -> int:
    """Search every pairing that can run; how many failed, which must not stop the search of the
    others.
    """
    from bench.search.tune import tune

    def fail(pairing: "Pairing", reason: str) -> None:
        say(f"{pairing.record.label} on {pairing.task.name}: the search failed: {reason}")

    ready, failed = [p for p in pairings if p.ready], 0
    if cluster:
        from bench.cluster import grid

        if cluster.several and (tuning.storage or "sqlite").startswith("sqlite"):
            raise UsageError(
                "a search on several machines needs a database that all of them reach: --storage URL"
            )
        work = partial(
            tune, settings=replace(settings, task=(), data={}), tuning=tuning
        )  # which names no file
        lost = grid.spread(cluster, ready, place, work, tuning.trials, say)
        for pairing, reason in lost:
            fail(pairing, reason)
        return len(lost)
    for pairing in ready:
        try:
            tune(pairing, settings, tuning, place, say)
        except UsageError:
            raise
        except BenchError as error:
            failed += 1
            fail(pairing, str(error))
    return failed


def _execute(
    pairings: "Sequence[Pairing]", place: "Place", settings: Settings, cluster: "Cluster | None"
) -> "Outcome":
    if cluster:
        from bench.cluster import grid

        return grid.execute(cluster, pairings, place, settings.fresh, say)
    from bench.runs import runner

    return runner.execute(pairings, place, settings.fresh, say)


def _finished(
    outcome: "Outcome",
    pairings: "Sequence[Pairing]",
    place: "Place",
    settings: Settings,
    format: Formats,
) -> int:
    """Print the table of what was asked for; the exit code."""
    tasks = list(dict.fromkeys(p.task.name for p in pairings))
    names = list(dict.fromkeys(p.record.backbone for p in pairings))
    print(table(settings, tasks, names, format, colour=sys.stdout.isatty(), store=place.store))
    say(_told(outcome))
    return 1 if outcome.failed else 0


def _told(outcome: "Outcome") -> str:
    parts = {"recorded now": outcome.done, "recorded before": outcome.already}
    parts |= {"skipped": outcome.skipped, "failed": outcome.failed}
    return ", ".join(f"{n} {what}" for what, n in parts.items() if n or what.startswith("recorded"))


def _published(task: str) -> "Sequence[Published]":
    """Figures that others printed for a task; a manifest's task has none."""
    from bench import registry

    known = task.partition(":")[0] in registry.entries("task")
    return registry.tasks([task])[0].published if known else ()
