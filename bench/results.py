"""What the functions of `import bench` return: text for a terminal, HTML for a notebook, and
DataFrames.
"""

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import table_file
from bench.tables.formats import Format, render
from bench.tables.row import Row, record

if TYPE_CHECKING:
    import pandas

    from bench.data.corpus_card import Card
    from bench.runs.clip_table import ClipTable
    from bench.runs.dry_run import Planned
    from bench.runs.forgetting import Removal
    from bench.runs.inference import Found
    from bench.runs.records import RunRecord
    from bench.runs.search_record import SearchRecord
    from bench.runs.workplace import Outcome

    Frame = pandas.DataFrame


class Result(ABC):
    """What a function of `import bench` returns."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return True

    @property
    @abstractmethod
    def frame(self) -> "Frame":
        """The result as a DataFrame."""

    @abstractmethod
    def text(self) -> str:
        """The result as the command line prints it."""

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """The result as a notebook shows it."""
        return f"<pre>{html.escape(self.text())}</pre>"


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Comparison tables: measured pairings beside published figures."""

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that was recorded can be read."""
        return not any(row.lost for row in self.rows)

    @property
    def frame(self) -> "Frame":
        """One line per row, with the columns of `bench table --format json`; scores from 0 to 1."""
        return data_frame(record(row) for row in self.rows)

    def text(
        self, format: Format = "text", colour: bool = False, width: int | None = None
    ) -> str:
        """The tables in one of the formats of `bench table`.

        The text format fits `width` columns, by default those of the terminal; with `colour` the
        best figures are bold.
        """
        return render(self.rows, format, colour, width)

    def _repr_html_(self) -> str:
        return render(self.rows, "html")


@dataclass(frozen=True, repr=False)
class RunResult(Comparison):
    """The table of the pairings that were asked for, and how their runs ended."""

    outcome: "Outcome"

    @property
    def ok(self) -> bool:
        """Whether everything is recorded, or skipped for a reason."""
        return not self.outcome.failed

    @property
    def summary(self) -> str:
        """`2 recorded now, 40 recorded before, 1 failed`."""
        outcome = self.outcome
        parts = [f"{outcome.done} recorded now", f"{outcome.already} recorded before"]
        if outcome.skipped:
            parts.append(f"{outcome.skipped} skipped")
        if outcome.failed:
            parts.append(f"{outcome.failed} failed")
        return ", ".join(parts)


@dataclass(frozen=True, repr=False)
class Plan(Result):
    """What a run would do: the result of `bench.run(..., dry_run=True)`."""

    pairings: "tuple[Planned, ...]"

    @property
    def frame(self) -> "Frame":
        """One line per pairing: its runs, and why it would be skipped."""
        return data_frame(asdict(pairing) for pairing in self.pairings)

    def text(self) -> str:
        from bench.runs.dry_run import show_plan

        return show_plan(self.pairings)


@dataclass(frozen=True, repr=False)
class Searches(Result):
    """What recorded searches chose."""

    searches: "tuple[SearchRecord, ...]"
    failed: int = 0  # pairings that could not be searched

    @property
    def ok(self) -> bool:
        """Whether no search failed."""
        return not self.failed

    @property
    def frame(self) -> "Frame":
        """One line per search, or per fold of a nested one; a column for each chosen value."""
        return data_frame(_search_records(self.searches))

    def text(self) -> str:
        from bench.search.report import show_searches

        return show_searches(self.searches)


@dataclass(frozen=True, repr=False)
class TuneResult(RunResult):
    """The table of default and tuned rows, with the searches behind the tuned ones."""

    searches: Searches

    @property
    def ok(self) -> bool:
        """Whether everything is recorded, and no search failed."""
        return super().ok and self.searches.ok


@dataclass(frozen=True, repr=False)
class Corpora(Result):
    """The cards of corpora: what each holds, and what its protocols leak."""

    cards: "tuple[Card, ...]"

    @property
    def frame(self) -> "Frame":
        """One line per corpus."""
        return data_frame(_corpus_record(card) for card in self.cards)

    @property
    def classes(self) -> "Frame":
        """The number of clips of each class, by task and label."""
        frame = data_frame(_class_records(self.cards))
        return frame.set_index(["task", "label"])

    @property
    def folds(self) -> "Frame":
        """The number of clips in each part of each fold, by task, protocol and fold."""
        frame = data_frame(_fold_records(self.cards))
        return frame.set_index(["task", "protocol", "fold"])

    def text(self) -> str:
        return "\n".join(card.text() for card in self.cards)


@dataclass(frozen=True, repr=False)
class AudioPredictions(Result):
    """Probabilities for new audio."""

    found: "Found"
    averaged: str = ""  # over which networks; empty for one

    @property
    def ok(self) -> bool:
        """Whether there is a prediction for every file."""
        return not self.found.failed

    @property
    def failed(self) -> Mapping[str, str]:
        """The files, or windows of them, without a prediction, and why."""
        return dict(self.found.failed)

    @property
    def frame(self) -> "Frame":
        """One line per file or window: `file`, `start`, `end` (s), `predicted`, and a probability
        for each class.
        """
        from bench.runs.inference import records

        return data_frame(records(self.found))

    def text(self, format: Literal["csv", "json"] = "csv") -> str:
        from bench.runs.inference import table

        return table(self.found, format)

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False)


@dataclass(frozen=True, repr=False)
class ClipPredictions(Result):
    """The test clips of a pairing: truth and probabilities, with the fold and the seed of each."""

    table: "ClipTable"

    @classmethod
    def of(cls, runs: "Iterable[RunRecord]") -> "ClipPredictions":
        """The predictions of recorded runs of one pairing."""
        from bench.runs.clip_table import clip_table

        return cls(clip_table(runs))

    @property
    def frame(self) -> "Frame":
        """One line per run and clip: `fold`, `seed`, `clip`, `speaker`, `truth`, and a probability
        for each class.
        """
        import pandas

        return pandas.DataFrame(self.table.rows, columns=list(self.table.columns))

    def text(self) -> str:
        return table_file.text(self.table.columns, self.table.rows).rstrip("\n")

    def write(self, path: Path) -> None:
        """Write a CSV file, or by its suffix a Parquet file."""
        table_file.write(path, self.table.columns, self.table.rows)

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False)


@dataclass(frozen=True, repr=False)
class Forgotten(Result):
    """What was removed, or would be: one entry per pairing."""

    removals: "tuple[Removal, ...]"

    @property
    def runs(self) -> int:
        """The number of runs."""
        return sum(len(removal.runs) for removal in self.removals)

    @property
    def frame(self) -> "Frame":
        """One line per pairing: its names, and the number of its runs that are removed."""
        return data_frame(
            {
                "task": removal.pairing.task,
                "backbone": removal.pairing.backbone,
                "mode": removal.pairing.mode,
                "protocol": removal.pairing.protocol,
                "scale": removal.pairing.scale,
                "runs": len(removal.runs),
            }
            for removal in self.removals
        )

    def text(self) -> str:
        return "\n".join(removal.text for removal in self.removals)


@dataclass(frozen=True, repr=False)
class Plugins(Result, Sequence[str]):
    """The backbones or tasks that are available: a sequence of their names."""

    records: tuple[Mapping[str, Any], ...]  # of `bench.catalogue`
    shown: tuple[str, ...]  # the columns that are shown; `frame` has all of them

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> Any:
        return [record["name"] for record in self.records][index]

    @property
    def frame(self) -> "Frame":
        """One line per plugin, by name."""
        return data_frame(self.records).set_index("name")

    def text(self) -> str:
        return self._shown().to_string(justify="left")

    def _repr_html_(self) -> str:
        return self._shown().to_html(justify="left")

    def _shown(self) -> "Frame":
        frame = self.frame
        return frame[[name for name in self.shown if name in frame]].fillna("")


def data_frame(records: Iterable[Mapping[str, Any]]) -> "Frame":
    import pandas

    return pandas.DataFrame(list(records))


def _search_records(searches: "Iterable[SearchRecord]") -> Iterator[dict[str, Any]]:
    for search in searches:
        for study in search.parts:
            best = study.best
            yield {
                "task": search.task,
                "backbone": search.backbone,
                "mode": search.mode,
                "protocol": search.protocol,
                "fold": study.fold or "all",
                "trials": search.trials,
                "objective": search.objective,
                "default": study.default,
                "best": best.score if best else None,
                **(best.values if best else {}),
            }


def _corpus_record(card: "Card") -> dict[str, Any]:
    shortest, _, median, _, longest = card.seconds
    return {
        "task": card.task,
        "title": card.title,
        "clips": card.clips,
        "hours": card.hours,
        "speakers": card.speakers,
        "seconds_min": shortest,
        "seconds_median": median,
        "seconds_max": longest,
        "missing": sum(card.missing.values()),
        "checksum": card.checksum,
    }


def _class_records(cards: "Iterable[Card]") -> Iterator[dict[str, Any]]:
    for card in cards:
        for label, clips in card.labels.items():
            yield {"task": card.task, "label": label, "clips": clips}


def _fold_records(cards: "Iterable[Card]") -> Iterator[dict[str, Any]]:
    for card in cards:
        for division in card.divisions:
            for fold, train, valid, test in division.sizes:
                yield {
                    "task": card.task,
                    "protocol": division.name,
                    "fold": fold,
                    "train": train,
                    "valid": valid,
                    "test": test,
                }
