"""The functions of `import bench` that judge what is recorded; the others are in `bench.interface`.

Nothing is run: everything is computed from saved predictions and recorded facts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import recorded, registry
from bench.errors import UsageError, suggest
from bench.keywords import Mode, Names, Scale, Tasks, names, paths
from bench.objects import take_tasks
from bench.results import Result, data_frame
from bench.runs.lookup import Where
from bench.settings_file import gather
from bench.tables.formats import Format

if TYPE_CHECKING:
    import pandas

    from bench.auditing.audit import Finding
    from bench.comparison.found import Comparison
    from bench.contracts.task import Published

FIGURES = (".svg", ".png", ".pdf")


@dataclass(frozen=True, repr=False)
class Compared(Result):
    """Pairs of systems: differences, their intervals and tests; over several tasks mean ranks."""

    found: "Comparison"

    @property
    def frame(self) -> "pandas.DataFrame":
        """One line per pair, with the entries of `bench compare --format json`."""
        from bench.comparison.view import pair_records

        return data_frame(pair_records(self.found))

    def text(
        self, format: Format = "text", colour: bool = False, width: int | None = None
    ) -> str:
        """The comparison in one of the formats of `bench table`."""
        from bench.comparison.view import render

        return render(self.found, format, colour, width)

    def figure(self, path: str | Path) -> None:
        """Write the critical-difference diagram as .svg, .png or .pdf.

        Raises:
            UsageError: there is one task alone, or the suffix is another.
        """
        path = Path(path)
        if not self.found.ranks:
            raise UsageError(
                "a diagram of mean ranks needs several tasks: name them all"
            )
        if path.suffix.lower() not in FIGURES:
            raise UsageError(f"{path} must end in {', '.join(FIGURES)}")
        from bench.comparison.diagram import draw

        draw(self.found.ranks, path)


@dataclass(frozen=True, repr=False)
class Audited(Result):
    """Published rows: what their figures can mean, and whether they can be right."""

    findings: "tuple[Finding, ...]"

    @property
    def frame(self) -> "pandas.DataFrame":
        """One line per row and reading that fits; one without a reading where nothing fits."""
        from bench.auditing.view import lines

        return data_frame(lines(self.findings))

    def text(
        self, format: Format = "text", colour: bool = False, width: int | None = None
    ) -> str:
        """The audit in one of the formats of `bench table`."""
        from bench.auditing.view import render

        return render(self.findings, format, colour, width)


def audit(source: str | Path | None = None) -> Audited:
    """Whether published figures can be right: every confusion matrix of the test clips' classes
    that fits them under each reading of their columns, or the proof that none does.

    Args:
        source: a file in the layout of `bench.contracts.published`, or the name of a task;
            default: every built-in task.

    Raises:
        UsageError: if there is no such file or task, or the file has another layout.
    """
    from bench.auditing.audit import audit as audited

    rows: list[Published] = []
    if source is None:
        for task in registry.tasks([registry.EVERYTHING]):
            rows += task.published
    elif str(source) in registry.entries("task"):
        (task,) = registry.tasks([str(source)])
        rows += task.published
    else:
        rows += _rows(source)
    return Audited(tuple(audited(rows)))


def _rows(source: str | Path) -> "tuple[Published, ...]":
    from bench.contracts.published import read

    (path,) = paths(source)
    if not path.is_file():
        hint = suggest(str(source), registry.entries("task"))
        raise UsageError(
            f"{source} is neither a file nor a task{hint}: name a file like those in "
            "tasks/published, or a task with published figures"
        )
    return read(path).rows


def compare(
    task: Tasks,
    system: Names | None = None,
    *,
    all: bool = False,
    mode: Mode | None = None,
    protocol: str | None = None,
    scale: Scale | None = None,
    results: str | Path | None = None,
    tracking_uri: str | None = None,
) -> Compared:
    """Whether recorded systems differ: paired differences with 95 % intervals, permutation and
    McNemar's tests, corrected for the number of pairs; over several tasks their mean ranks.

    Args:
        task: one task or several; names or paths of manifests.
        system: two or more: backbones as they are recorded, MLflow's ids or the starts of
            fingerprints of runs.
        all: every system that is recorded whole, instead of names.

    The other keywords are those of `bench.table`.

    Raises:
        UsageError: if a name means none or several systems, or they were tested on different
            clips, labels or protocols, at different scales or in different modes.
    """
    systems = names(system) if system is not None else []
    if bool(systems) == all:
        raise UsageError(
            "name the systems that are to be compared, or ask for all of them (--all)"
        )
    tasks = take_tasks(task).names
    where = Where(tasks, (), mode, protocol, scale)
    store = {"results": results, "tracking_uri": tracking_uri}
    settings = gather({**where.settings, **store})
    from bench.comparison.found import compare as compared

    return Compared(compared(recorded.open_store(settings), tasks, systems, where))
