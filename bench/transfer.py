"""The functions of `import bench` that carry recorded runs from one store to another."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import recorded
from bench.errors import UsageError
from bench.keywords import Backbones, Mode, Names, Scale, Tasks, names, paths
from bench.objects import take_backbones, take_tasks
from bench.results import Result, data_frame
from bench.runs.lookup import Where
from bench.settings_file import gather

if TYPE_CHECKING:
    import pandas

    from bench.runs.exporting import Exported
    from bench.runs.importing import Imported


@dataclass(frozen=True, repr=False)
class Transfer(Result):
    """How many runs were written to a file, or added from one."""

    counts: "Exported | Imported"

    @property
    def frame(self) -> "pandas.DataFrame":
        """The counts as one line."""
        return data_frame([asdict(self.counts)])

    def text(self) -> str:
        return self.counts.text


def export_runs(
    path: str | Path,
    row: Names | None = None,
    *,
    backbone: Backbones | None = None,
    task: Tasks | None = None,
    with_weights: bool = False,
    mode: Mode | None = None,
    protocol: str | None = None,
    scale: Scale | None = None,
    results: str | Path | None = None,
    tracking_uri: str | None = None,
) -> Transfer:
    """Write recorded runs, their predictions and their searches to one file, without audio.

    Args:
        path: the file, which is replaced if it is there.
        row: backbones, `backbone@task`, or MLflow's ids or the starts of fingerprints of runs;
            default: everything.
        backbone: only these, as they are recorded.
        task: only these; names or paths of manifests.
        with_weights: with the networks that `save_weights` has kept.
        mode: only finetune, or only probe.
        protocol: only this one.
        scale: only full, or only tiny.
        results: the folder of the runs.
        tracking_uri: the MLflow server of the runs, instead of the folder.

    Raises:
        UsageError: if nothing is meant.
        BenchError: if the store cannot be read, or the file not written.
    """
    (file,) = paths(path)
    if file.is_dir() or not file.parent.is_dir():
        raise UsageError(
            f"{file} is a folder, or in none: name a file such as runs.zip"
        )
    backbones, tasks = take_backbones(backbone).names, take_tasks(task).names
    where = Where(tasks, backbones, mode, protocol, scale)
    store = {"results": results, "tracking_uri": tracking_uri}
    settings = gather({**where.settings, **store})
    from bench.runs.exporting import export

    rows = names(row) if row is not None else []
    opened = recorded.open_store(settings)
    return Transfer(export(opened, file, rows, where, with_weights))


def import_runs(
    path: str | Path,
    *,
    results: str | Path | None = None,
    tracking_uri: str | None = None,
) -> Transfer:
    """Add the runs of a file of `export_runs`. What is recorded already is left as it is.

    Args:
        path: the file.
        results: the folder of the runs.
        tracking_uri: the MLflow server of the runs, instead of the folder.

    Raises:
        BenchError: if the file is damaged or another kind of file, or the store does not answer.
    """
    (file,) = paths(path)
    settings = gather({"results": results, "tracking_uri": tracking_uri})
    from bench.runs.archive import opened

    with opened(file) as archive:
        from bench.runs.importing import load

        store = recorded.open_store(settings)
        return Transfer(load(archive, store, settings.results))
