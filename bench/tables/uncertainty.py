"""How sure the figures of a table are: intervals, what tuning gained, and which rows cannot be told
from the best one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.errors import and_more
from bench.scoring.best import as_good_as_best
from bench.scoring.jackknife import difference, interval
from bench.scoring.sample import Sample, same_clips
from bench.tables.row import AVERAGES, Row

OTHER_CLIPS = (
    "no row is starred: the rows were not tested on the same clips, so that their "
    "differences cannot be judged"
)
ONE_SPEAKER = (
    "no row is starred: all clips are of one speaker, who does not show whether a "
    "difference would hold for others"
)
OTHER_CODE = (
    "no gain is given: the code of its backbone or features has changed between this row and "
    "that of the default recipe"
)
SHOWN = 5  # classes that a footnote names


@dataclass(frozen=True)
class Measured:
    """A measured row with the predictions behind it; None where its seeds were tested on different
    clips, because some of their folds are missing.
    """

    row: Row
    sample: Sample | None = None


def with_intervals(row: Row, sample: Sample) -> Row:
    """The row with the 95 % intervals of its scores, and what is unusual about them."""
    names = [*AVERAGES, "F1 micro"]
    names += [f"F1 ({label})" for label in row.labels]
    found = {name: interval(sample, name) for name in names if name in row.scores}
    bounds = {}
    for name, each in found.items():
        if each.bounds:
            bounds[name] = each.bounds
    ranked = found[row.ranked_by]
    notes = [*row.notes, *_about_classes(sample)]
    if ranked.note:
        notes.append(f"{row.ranked_by}: {ranked.note}")
    return replace(
        row,
        intervals=bounds,
        interval_unit=ranked.unit,
        interval_units=ranked.units,
        interval_clips=ranked.clips,
        notes=tuple(notes),
    )


def with_gains(found: Sequence[Measured]) -> list[Measured]:
    """The rows, each tuned one with its gain over the default recipe on the same clips."""
    default = {}
    for measured in found:
        if measured.sample and not measured.row.recipe:
            default[measured.row.system] = measured
    rows = []
    for measured in found:
        row = measured.row
        usual = default.get(row.system)
        if usual and row.recipe:
            rows.append(_with_gain(measured, usual))
        else:
            rows.append(measured)
    return rows


def with_stars(found: Sequence[Measured]) -> list[Row]:
    """The rows, those marked that are the best of their table or do not differ from it."""
    tables: dict[object, list[Measured]] = {}
    for measured in found:
        members = tables.setdefault(measured.row.table, [])
        members.append(measured)

    starred: dict[int, Row] = {}
    for members in tables.values():
        competing = _competing(members)
        judged = _starred(competing)
        for before, after in zip(competing, judged, strict=True):
            starred[id(before.row)] = after

    rows = [measured.row for measured in found]
    return [starred.get(id(row), row) for row in rows]


def _with_gain(measured: Measured, default: Measured) -> Measured:
    row = measured.row
    tuned, usual = measured.sample, default.sample
    if not tuned or not usual or not same_clips(tuned, usual):
        return measured
    codes = {row.code, default.row.code} - {""}
    if len(codes) > 1:
        noted = replace(row, notes=(*row.notes, OTHER_CODE))
        return Measured(noted, tuned)
    gains = {}
    intervals = {}
    for name in ("UA", row.ranked_by):
        gains[name] = tuned.value(name) - usual.value(name)
        found = difference(tuned, usual, name)
        if found:
            intervals[name] = found.bounds
    gained = replace(row, gains=gains, gain_intervals=intervals)
    return Measured(gained, tuned)


def _competing(members: Iterable[Measured]) -> list[Measured]:
    """Only rows that cover the whole protocol compete, and tiny ones only among themselves."""
    whole = []
    full_size = []
    for measured in members:
        row = measured.row
        if row.status == "ok" and not row.outdated:
            whole.append(measured)
            if row.scale != "tiny":
                full_size.append(measured)
    competing = full_size or whole
    if len(competing) < 2:
        return []
    return competing


def _starred(competing: Sequence[Measured]) -> list[Row]:
    rows = [each.row for each in competing]
    if not rows:
        return []
    samples = [each.sample for each in competing if each.sample]
    obstacle = _obstacle(samples, len(rows))
    if obstacle:
        return _all_with(rows, obstacle)

    score = rows[0].ranked_by
    good = as_good_as_best(samples, score)
    starred = []
    for row, is_good in zip(rows, good, strict=True):
        starred.append(replace(row, best=is_good))
    return starred


def _obstacle(samples: Sequence[Sample], rows: int) -> str:
    """Why no row of a table is starred; empty if rows can be."""
    if len(samples) < rows:
        return OTHER_CLIPS
    first = samples[0]
    for other in samples:
        if not same_clips(first, other):
            return OTHER_CLIPS
    if first.df < 1:
        return ONE_SPEAKER
    return ""


def _all_with(rows: Iterable[Row], note: str) -> list[Row]:
    noted = []
    for row in rows:
        notes = (*row.notes, note)
        noted.append(replace(row, notes=notes))
    return noted


def _about_classes(sample: Sample) -> Iterator[str]:
    lacking = _named(sample.lacking)
    if lacking:
        yield f"no test clip has the label {lacking}, which UA and F1 macro leave out"
    of_one = _named(sample.of_one_speaker)
    if of_one and sample.speakers:
        yield f"one speaker alone has the label {of_one}: its variation is not in the intervals"


def _named(labels: Sequence[str]) -> str:
    return and_more(labels, SHOWN)
