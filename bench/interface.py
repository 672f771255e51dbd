"""The functions of `import bench`: what the command line does, for scripts and notebooks.

Their keywords are the words of the command line; one that is left out, or None, has the value in
`bench.toml`, or else its default. What a wrong argument, a missing corpus or an absent file raises
is a `bench.BenchError` with one sentence that says what to do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, overload

from bench import catalogue, recorded, registry
from bench.contracts.backbone import Backbone
from bench.keywords import (
    Backbones,
    Mode,
    Names,
    RunOptions,
    Scale,
    Tasks,
    TuneOptions,
    check,
    names,
    paths,
    takes,
)
from bench.objects import selection, settings_of, take_backbones, take_tasks, tuning
from bench.results import (
    AudioPredictions,
    ClipPredictions,
    Comparison,
    Corpora,
    Forgotten,
    Plan,
    Plugins,
    RunResult,
    Searches,
    TuneResult,
)
from bench.runs.lookup import Where, find, with_networks
from bench.runs.selection import check_names
from bench.runs.windows import windows_of
from bench.settings import Settings
from bench.settings_file import gather

if TYPE_CHECKING:
    from bench.jobs import Job
    from bench.runs.workplace import Outcome


@overload
def run(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    dry_run: Literal[True],
    **options: Unpack[RunOptions],
) -> "Plan": ...
@overload
def run(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    dry_run: Literal[False] | None = None,
    **options: Unpack[RunOptions],
) -> "RunResult": ...
@takes(RunOptions)
def run(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    dry_run: bool | None = None,
    **options: Unpack[RunOptions],
) -> "RunResult | Plan":
    """Run backbones on tasks, and compare them. What is recorded is not run again.

    With neither a backbone nor a task, this is the main job of `bench.toml`.

    Args:
        backbone: names such as `hubert` or `feature-fusion:released`, `all` or `everything`.
        task: names such as `ravdess`, paths of manifests, or `all`.
        dry_run: return the plan, and run nothing.
        options: the keywords of `RunOptions`.

    Raises:
        UsageError: if a name or an option is wrong.
        BenchError: if the store or the cluster cannot be used. A run that fails stops no other:
            its reason is in the table, and `ok` of the result is False.
    """
    check("run", options, RunOptions)
    backbones = take_backbones(backbone)
    tasks = take_tasks(task)
    settings = settings_of(backbones, tasks, {**options, "dry_run": dry_run})
    from bench import jobs

    job = jobs.run(settings, selection(backbones, tasks))
    if job.outcome is None:
        from bench.runs.dry_run import planned

        return Plan(tuple(planned(job.pairings, job.place.store, job.place.cache)))
    return _run_result(job, job.outcome)


@overload
def tune(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    show: Literal[True],
    search_only: bool = False,
    **options: Unpack[TuneOptions],
) -> "Searches": ...
@overload
def tune(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    show: Literal[False] = False,
    search_only: Literal[True],
    **options: Unpack[TuneOptions],
) -> "Searches": ...
@overload
def tune(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    show: Literal[False] = False,
    search_only: Literal[False] = False,
    **options: Unpack[TuneOptions],
) -> "TuneResult": ...
@takes(TuneOptions)
def tune(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    show: bool = False,
    search_only: bool = False,
    **options: Unpack[TuneOptions],
) -> "TuneResult | Searches":
    """Search the recipe of each pairing on validation speakers, then run what was chosen beside the
    default.

    Args:
        backbone: as in `run`.
        task: as in `run`.
        show: return what recorded searches chose, and search nothing.
        search_only: return what the searches chose, without running it.
        options: the keywords of `TuneOptions`.

    Raises:
        UsageError: if a name or an option is wrong, or no search is recorded.
        BenchError: as `run`. A search that fails stops no other, and `ok` of the result is False.
    """
    check("tune", options, TuneOptions)
    backbones = take_backbones(backbone)
    tasks = take_tasks(task)
    settings = settings_of(backbones, tasks, tuning(options))
    if show:
        where = Where(tasks.names, backbones.names)
        return Searches(recorded.searches(recorded.open_store(settings), where))
    from bench import jobs

    job = jobs.tune(settings, search_only, selection(backbones, tasks))
    where = Where(job.tasks, job.backbones, corpora=job.corpora)
    searches = Searches(recorded.searches(job.place.store, where), job.failed_searches)
    if job.outcome is None:
        return searches
    table = _run_result(job, job.outcome)
    return TuneResult(table.rows, job.outcome, searches)


def table(
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    *,
    mode: Mode | None = None,
    protocol: str | None = None,
    scale: Scale | None = None,
    results: str | Path | None = None,
    tracking_uri: str | None = None,
) -> "Comparison":
    """Comparison tables of what is recorded, with published figures beside it.

    Args:
        backbone: only these, as they are recorded: `hubert`, `feature-fusion:released`.
        task: only these; names or paths of manifests.
        mode: only finetune, or only probe.
        protocol: only this one, and the published figures under it.
        scale: only full, or only tiny.
        results: the folder of the runs.
        tracking_uri: the MLflow server of the runs, instead of the folder.

    Raises:
        UsageError: if nothing is recorded for what is asked.
        BenchError: if the store cannot be read.
    """
    backbones = take_backbones(backbone)
    tasks = take_tasks(task)
    where = Where(tasks.names, backbones.names, mode, protocol, scale)
    settings = _settings(where, results, tracking_uri)
    return Comparison(
        recorded.rows(recorded.open_store(settings), where, tasks.plugins)
    )


def predictions(
    row: str,
    *,
    mode: Mode | None = None,
    protocol: str | None = None,
    scale: Scale | None = None,
    results: str | Path | None = None,
    tracking_uri: str | None = None,
) -> "ClipPredictions":
    """Every test clip's truth and probabilities, with the fold and the seed it was tested in.

    Args:
        row: `backbone@task`, the start of a fingerprint, or MLflow's id of a run.
        mode: finetune or probe, where both are recorded.
        protocol: the protocol, where several are recorded.
        scale: full or tiny, where both are recorded.
        results: the folder of the runs.
        tracking_uri: the MLflow server of the runs, instead of the folder.

    Raises:
        UsageError: if no pairing, or more than one, is meant.
        BenchError: if predictions are lost or cannot be read.
    """
    where = Where(mode=mode, protocol=protocol, scale=scale)
    settings = _settings(where, results, tracking_uri)
    return ClipPredictions.of(find(recorded.open_store(settings), row, where).runs)


def prepare(
    task: Tasks,
    *,
    folds: str | Path | None = None,
    data: Mapping[str, str | Path] | None = None,
    skip_bad_audio: bool | None = None,
    cache: str | None = None,
    quiet: bool | None = None,
    verbose: bool | None = None,
) -> "Corpora":
    """Fetch or check corpora, and give their cards: clips, hours, speakers, classes, duplicates,
    and what each protocol leaks.

    Args:
        task: names, or paths of manifests.
        folds: a CSV or Parquet file to write: which clip is in which part of which fold.
        data: task -> folder of its corpus.
        skip_bad_audio: go on without unreadable clips.
        cache: a folder, or the URL of an object store.
        quiet: show no progress.
        verbose: show everything that libraries log.

    Raises:
        UsageError: if a task is unknown.
        CorpusError: if a corpus is absent, incomplete or not as its task describes it.
    """
    options = {
        "data": data,
        "skip_bad_audio": skip_bad_audio,
        "cache": cache,
        "quiet": quiet,
        "verbose": verbose,
    }
    tasks = take_tasks(task)
    own_names = [plugin.name for plugin in tasks.plugins]
    named = [name for name in tasks.names if name not in own_names]
    plugins = [*registry.tasks(named), *tasks.plugins]
    settings = gather({**options, "task": tasks.names})
    from bench import jobs
    from bench.data.corpus_card import card

    corpora = jobs.corpora(plugins, settings, paths(folds))
    return Corpora(tuple(map(card, corpora)))


def predict(
    run: str,
    audio: Names,
    *,
    backbone: Backbone | type[Backbone] | None = None,
    window: float | None = None,
    hop: float | None = None,
    weights: Mapping[str, str] | None = None,
    device: str | None = None,
    results: str | Path | None = None,
    tracking_uri: str | None = None,
) -> "AudioPredictions":
    """Probabilities for new audio, by networks of runs that were made with `save_weights`.

    Args:
        run: `backbone@task`: the mean over the networks of all its folds and seeds; or of one run
            the start of its fingerprint, or MLflow's id.
        audio: audio files, or folders of them.
        backbone: the one that was trained, where it was passed to `run` as an object.
        window: length in seconds of the windows that audio is cut into; 0: never. Default: 10 s
            where the audio is longer than 30 s.
        hop: seconds from the start of one window to the start of the next. Default: `window`.
        weights: backbone -> where the run's own pre-trained weights are now.
        device: auto, cpu, cuda, cuda:1 or mps.
        results: the folder of the runs.
        tracking_uri: the MLflow server of the runs, instead of the folder.

    Raises:
        UsageError: if no pairing, or more than one, is meant, or there is no audio.
        NetworkError: if a network cannot be built as it was trained.
    """
    cut = windows_of(window, hop)
    given = paths(audio)
    options = {"weights": weights, "device": device, "results": results}
    settings = gather({**options, "tracking_uri": tracking_uri})
    pairing = find(recorded.open_store(settings), run)
    runs = with_networks(pairing, run)
    check_names("--weights", settings.weights, [pairing.pairing.backbone], "backbone")
    from bench.runs import ensemble, inference
    from bench.training import devices

    files = inference.audio_files(given)
    chosen = devices.choose(settings.device)
    own = take_backbones(backbone).plugins
    with ensemble.opened(runs, settings.weights, *own) as networks:
        found = inference.predict_audio(networks, files, chosen, cut)
    return AudioPredictions(found, ensemble.averaged(runs, pairing.runs))


def forget(
    row: Names,
    task: Tasks | None = None,
    *,
    dry_run: bool = False,
    mode: Mode | None = None,
    protocol: str | None = None,
    scale: Scale | None = None,
    results: str | Path | None = None,
    tracking_uri: str | None = None,
) -> "Forgotten":
    """Remove recorded runs; the next `run` does them again. MLflow can restore what was removed.

    Args:
        row: backbones, `backbone@task`, or MLflow's ids or the starts of fingerprints of runs.
        task: only of these; names or paths of manifests.
        dry_run: only say what would be removed.

    The other keywords are those of `table`.

    Raises:
        UsageError: if nothing is meant, or the start of a fingerprint means several runs.
        BenchError: if another process is doing one of the runs.
    """
    where = Where(take_tasks(task).names, (), mode, protocol, scale)
    settings = _settings(where, results, tracking_uri)
    store = recorded.open_store(settings)
    from bench.runs.forgetting import removals, remove

    found = removals(store, names(row), where)
    if not dry_run:
        remove(store, found, settings.results)
    return Forgotten(tuple(found))


def backbones() -> "Plugins":
    """The backbones that are available, with their provenance."""
    return Plugins(tuple(catalogue.backbones()), ("summary", "reads", "error"))


def tasks() -> "Plugins":
    """The tasks that are available, with their provenance."""
    return Plugins(tuple(catalogue.tasks()), ("title", "labels", "languages", "error"))


def _settings(
    where: Where, results: str | Path | None, tracking_uri: str | None
) -> Settings:
    """Where runs are recorded; what selects among them is checked on the way."""
    store = {"results": results, "tracking_uri": tracking_uri}
    return gather({**where.settings, **store})


def _run_result(job: "Job", outcome: "Outcome") -> RunResult:
    tasks = [pairing.task for pairing in job.pairings]
    where = Where(job.tasks, job.backbones, corpora=job.corpora)
    rows = recorded.kept_rows(job.place.store, where, tasks, outcome)
    return RunResult(rows, outcome)
