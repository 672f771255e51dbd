"""The columns of a comparison table: one entry each, in the order in which they are shown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.tables.numbers import (
    NOTHING,
    count,
    duration,
    many,
    percent,
    quantity,
    signed,
)
from bench.tables.row import AVERAGES, Row
from bench.tables.table import Column

BY_FOLD, OVER_SEEDS = "by fold", "over seeds"
TRAIN_TIME, GAIN = "train time", "by tuning"
MEAN_RECALL = "mean recall"  # what UA is where clips have several labels
CLASS_SPARE = 7  # as Column.spare, of the F1 of single classes

Group = Literal["name", "score", "setup", "cost", "status"]
Selection = Callable[[Iterable[Row]], list[Row]]


# --- the rows that a column is about ---


def measured(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.measured]


def scored(rows: Iterable[Row]) -> list[Row]:
    """The measured rows that have scores."""
    found = []
    for row in measured(rows):
        if row.scores:
            found.append(row)
    return found


def _published_alone(rows: Iterable[Row]) -> list[Row]:
    every = list(rows)
    return [] if measured(every) else every


def _tuned(rows: Iterable[Row]) -> list[Row]:
    found = []
    for row in rows:
        if row.gains:
            found.append(row)
    return found


def _repeated(rows: Iterable[Row]) -> list[Row]:
    """The rows of several training seeds."""
    found = []
    for row in rows:
        if row.seed_sd:
            found.append(row)
    return found


# --- what a cell says ---


def _name(row: Row) -> str:
    if row.measured:
        return row.label
    return row.backbone


def ranked_cell(row: Row) -> str:
    """The score that ranks, with its interval."""
    name = row.ranked_by
    value = percent(row.scores.get(name))
    bounds = row.intervals.get(name)
    if bounds is None:
        return value
    low, high = bounds
    return f"{value} [{percent(low)}, {percent(high)}]"


def _gain(row: Row) -> str:
    name = row.ranked_by
    gain = row.gains.get(name)
    if gain is None:
        return NOTHING
    value = signed(gain)
    bounds = row.gain_intervals.get(name)
    if bounds is None:
        return value
    low, high = map(signed, bounds)
    return f"{value} [{low}, {high}]"


def _by_fold(row: Row) -> str:
    if not row.fold_sd:
        return NOTHING
    name = row.ranked_by
    mean = percent(row.fold_mean[name])
    deviation = percent(row.fold_sd[name])
    return f"{mean} ± {deviation}"


def _over_seeds(row: Row) -> str:
    if not row.seed_sd:
        return NOTHING
    deviation = percent(row.seed_sd[row.ranked_by])
    return f"± {deviation}"


def interval_units(row: Row) -> str:
    """Over what an interval is: `24 speakers`."""
    if not row.interval_unit:
        return NOTHING
    if row.interval_unit == "clip":
        return many(row.interval_units, "clip")
    speakers = many(row.interval_units, "speaker")
    if not row.interval_clips:
        return speakers
    clips = many(row.interval_clips, "clip")
    return f"{speakers} + {clips}"


def _folds(row: Row) -> str:
    expected = row.folds_expected
    if row.status == "skipped":
        return NOTHING
    if not expected:
        return NOTHING
    return f"{row.folds}/{expected}"


def _status(row: Row) -> str:
    if row.measured:
        return row.status
    return "published"


def _text(value: str) -> str:
    return value or NOTHING


# --- the columns ---


@dataclass(frozen=True)
class RowColumn(Column[Row]):
    """A column of comparison tables, shown where there are rows that it is about."""

    group: Group = "score"
    about: Selection = list
    title: Callable[[Row], str] | None = (
        None  # in place of a column where all these rows agree
    )
    marked: bool = False  # followed by the numbers of the row's footnotes

    def differs(self, rows: Iterable[Row]) -> bool:
        about = self.about(rows)
        texts = set(map(self.text, about))
        return len(texts) > 1

    def shown(self, rows: Sequence[Row]) -> bool:
        if self.title:
            return self.differs(rows)
        return bool(self.about(rows))


def _score(name: str, spare: int = 0, header: str = "") -> RowColumn:
    def read(row: Row) -> float | None:
        return row.scores.get(name)

    return RowColumn(
        header or name,
        read,
        percent,
        spare=spare,
        about=_with_score(name),
    )


def _with_score(name: str) -> Selection:
    def select(rows: Iterable[Row]) -> list[Row]:
        found = []
        for row in rows:
            if name in row.scores:
                found.append(row)
        return found

    return select


COLUMNS: tuple[RowColumn, ...] = (
    RowColumn("backbone", _name, number=False, elastic=True, group="name"),
    RowColumn(
        "protocol",
        lambda row: row.protocol,
        number=False,
        elastic=True,
        group="name",
        about=_published_alone,
    ),
    RowColumn(GAIN, _gain, spare=10, group="setup", about=_tuned),
    RowColumn(
        "mode",
        lambda row: row.mode,
        _text,
        number=False,
        group="setup",
        about=measured,
        title=lambda row: row.mode,
    ),
    RowColumn(
        "scale",
        lambda row: row.scale,
        _text,
        number=False,
        spare=9,  # a footnote marks tiny rows
        group="setup",
        about=measured,
        title=lambda row: f"{row.scale} scale",
    ),
    RowColumn(
        "seeds",
        lambda row: row.seeds,
        count,
        spare=8,
        group="setup",
        about=scored,
        title=lambda row: many(row.seeds, "seed"),
    ),
    RowColumn(
        "clips",
        lambda row: row.clips,
        count,
        spare=4,  # the footnote of a partial row says as much
        group="setup",
        about=scored,
        title=lambda row: f"{row.clips} clips",
    ),
    RowColumn(
        "intervals over",
        interval_units,
        spare=9,
        group="setup",
        about=scored,
        title=lambda row: f"intervals over {interval_units(row)}",
    ),
    RowColumn(OVER_SEEDS, _over_seeds, spare=2, group="cost", about=_repeated),
    RowColumn(BY_FOLD, _by_fold, spare=1, group="cost", about=scored),
    RowColumn("folds", _folds, spare=5, group="cost", about=scored),
    RowColumn(
        "params",
        lambda row: row.parameters,
        quantity,
        spare=2,
        group="cost",
        about=scored,
    ),
    RowColumn(
        TRAIN_TIME,
        lambda row: row.train_seconds,
        duration,
        spare=3,
        group="cost",
        about=scored,
    ),
    RowColumn("status", _status, number=False, group="status", marked=True),
)
SPARE = {"F1 weighted": 6, "F1 micro": CLASS_SPARE}  # as Column.spare
DECLARED = (*AVERAGES, "F1 micro")  # the scores with a column of their own


def columns(rows: Sequence[Row]) -> list[RowColumn]:
    """The columns of a table of these rows."""
    scores = _averages(rows)
    for name in _other_scores(rows):
        scores.append(_score(name, CLASS_SPARE))

    front: list[RowColumn] = []
    back: list[RowColumn] = []
    for column in COLUMNS:
        if column.group == "name":
            front.append(column)
        else:
            back.append(column)
    every = [*front, *scores, *back]
    return [column for column in every if column.shown(rows)]


def _averages(rows: Sequence[Row]) -> list[RowColumn]:
    """The score that ranks, and the other averages."""
    first = rows[0].ranked_by
    ranked = RowColumn(
        f"{first} [95 %]", ranked_cell, score=True, about=_with_score(first)
    )
    others = []
    for name in DECLARED:
        if name != first:
            header = MEAN_RECALL if name == "UA" else name
            others.append(_score(name, SPARE.get(name, 0), header))
    return [ranked, *others]


def titles(rows: Sequence[Row]) -> list[str]:
    """What all measured rows share, for the table's title."""
    said = []
    for column in COLUMNS:
        about = column.about(rows)
        if column.title and about and not column.differs(rows):
            said.append(column.title(about[0]))
    return said


def _other_scores(rows: Sequence[Row]) -> list[str]:
    """Scores without an entry: the F1 of each class in a binary task; of published rows alone, all
    that they have.
    """
    present: dict[str, None] = {}
    for row in rows:
        present |= dict.fromkeys(row.scores)
    if not measured(rows):
        return [name for name in present if name not in DECLARED]
    labels = _labels(rows)
    if len(labels) != 2:
        return []
    names = [f"F1 ({label})" for label in labels]
    return [name for name in names if name in present]


def _labels(rows: Sequence[Row]) -> tuple[str, ...]:
    """The classes of the table's task."""
    for row in rows:
        if row.labels:
            return row.labels
    return ()
