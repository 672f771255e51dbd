"""A trend for people: tables like Table VII of Wang et al., and the tests behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.tables.formats import Format, as_csv, as_json, draw
from bench.tables.numbers import NOTHING, probability
from bench.tables.table import Column, Table, cells
from bench.trend import notes, records
from bench.trend.analysis import Analysis, Contrast, Relation, Summary
from bench.trend.groups import DRAWS, PERMUTATIONS, Interval
from bench.trend.trend import Trend

DIGITS = {"NSS": 1, "ECR": 3}  # of a measure's mean


def render(
    trend: Trend,
    format: Format = "text",
    colour: bool = False,
    width: int | None = None,
) -> str:
    """The tables; as CSV one line per row of a table; as JSON with every call and segment, too.

    The text format fits `width` columns, by default those of the terminal.
    """
    if format == "json":
        return as_json(records.record(trend))
    if format == "csv":
        return as_csv(records.lines(trend.analysis))
    return draw(tables(trend), format, colour, width)


def tables(trend: Trend) -> list[Table]:
    """The measures; the tests, if groups can be compared; the correlations, if there are scores."""
    shown = [_measures(trend)]
    if trend.analysis.contrasts:
        shown.append(_tests(trend.analysis))
    if trend.analysis.relations:
        shown.append(_relations(trend.analysis))
    return shown


# --- cells ---


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return NOTHING
    return f"{value:.{digits}f}"


def _bounds(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return ""
    low, high = (_number(bound, digits) for bound in interval)
    return f" [{low}, {high}]"


def _mean(summary: Summary) -> str:
    digits = DIGITS[summary.measure]
    mean = _number(summary.mean, digits)
    bounds = _bounds(summary.interval, digits)
    return mean + bounds


def _difference(contrast: Contrast) -> str:
    digits = DIGITS[contrast.measure]
    found = contrast.found
    bounds = _bounds(found.difference_interval, digits)
    return f"{found.difference:+.{digits}f}{bounds}"


def _effect(contrast: Contrast) -> str:
    found = contrast.found
    g = _number(found.g, 2)
    bounds = _bounds(found.g_interval, 2)
    return g + bounds


def _rho(relation: Relation) -> str:
    rho = _number(relation.rho, 2)
    bounds = _bounds(relation.interval, 2)
    return rho + bounds


# --- measures ---


@dataclass(frozen=True)
class _Both:
    """What a line of the table of measures shows: a group in a stage."""

    nss: Summary
    ecr: Summary


MEASURES: tuple[Column[_Both], ...] = (
    Column("group", lambda line: line.nss.group, number=False, elastic=True),
    Column("stage", lambda line: line.nss.stage, number=False),
    Column("calls", lambda line: line.nss.calls),
    Column(
        "segments per call", lambda line: line.nss.segments, "{:.1f}".format, spare=1
    ),
    Column("NSS [95 %]", lambda line: _mean(line.nss)),
    Column("ECR [95 %]", lambda line: _mean(line.ecr)),
)


def _measures(trend: Trend) -> Table:
    lines = _lines(trend.analysis.summaries)
    counted = "probabilities"
    if trend.analysis.binarised:
        counted = "decisions (0 or 1), as in the released script"
    equation = "Eq. 7 of Wang et al., arXiv 2501.08696"
    legend = (
        "NSS: number of negative segments per call",
        f"ECR: mean change from one segment to the next ({equation}), of {counted}",
        f"mean over calls [low, high]: 95 % bootstrap-t interval from {DRAWS:,} draws of calls",
    )
    return _table(trend.title, MEASURES, lines, notes.under_measures(trend), legend)


def _lines(summaries: Sequence[Summary]) -> list[_Both]:
    ecr = {}
    for summary in summaries:
        if summary.measure == "ECR":
            ecr[summary.group, summary.stage] = summary
    lines = []
    for summary in summaries:
        if summary.measure == "NSS":
            lines.append(_Both(summary, ecr[summary.group, summary.stage]))
    return lines


# --- tests ---

PAIR: tuple[Column[Contrast], ...] = (
    Column("group", lambda contrast: contrast.group, number=False, elastic=True),
    Column("against", lambda contrast: contrast.other, number=False, elastic=True),
)
TESTS: tuple[Column[Contrast], ...] = (
    Column("stage", lambda contrast: contrast.stage, number=False),
    Column("measure", lambda contrast: contrast.measure, number=False),
    Column("difference [95 %]", _difference),
    Column("t", lambda contrast: _number(contrast.found.t, 2), spare=3),
    Column("df", lambda contrast: _number(contrast.found.df, 1), spare=1),
    Column("p Welch", lambda contrast: contrast.p[0], probability),
    Column("U", lambda contrast: contrast.found.u, "{:g}".format, spare=2),
    Column("p Mann-Whitney", lambda contrast: contrast.p[1], probability, spare=6),
    Column("p permuted", lambda contrast: contrast.p[2], probability, spare=7),
    Column("g [95 %]", _effect, spare=5),
    Column("delta", lambda contrast: _number(contrast.found.delta, 2), spare=4),
)
TESTS_LEGEND = (
    "difference: of the means, with Welch's interval; all tests are two-sided",
    f"p permuted: Welch's t over all divisions of the calls, or {PERMUTATIONS:,} random ones",
    "U: of the first group",
    "g: Hedges' g, the difference in pooled standard deviations, corrected for bias",
    "delta: Cliff's delta, the share of pairs of calls in which the first group is higher, "
    "minus the share in which it is lower",
)


def _tests(analysis: Analysis) -> Table:
    pairs = {(contrast.group, contrast.other) for contrast in analysis.contrasts}
    if len(pairs) == 1:
        [(group, other)] = pairs
        title = f"tests · {group} against {other}"
        columns = TESTS
    else:
        title = "tests · every pair of groups"
        columns = PAIR + TESTS

    footnotes = notes.under_tests(analysis)
    return _table(title, columns, analysis.contrasts, footnotes, TESTS_LEGEND)


# --- correlations ---

RELATIONS: tuple[Column[Relation], ...] = (
    Column("group", lambda relation: relation.group, number=False, elastic=True),
    Column("stage", lambda relation: relation.stage, number=False),
    Column("measure", lambda relation: relation.measure, number=False),
    Column("calls", lambda relation: relation.calls),
    Column("rho [95 %]", _rho),
    Column("p", lambda relation: relation.p, probability),
)


def _relations(analysis: Analysis) -> Table:
    title = "correlation with the scale score"
    footnotes = notes.under_relations(analysis)
    legend = (
        "rho: Spearman's rank correlation, with the interval of Bonett and Wright",
    )
    return _table(title, RELATIONS, analysis.relations, footnotes, legend)


# --- every table ---


def _table(
    title: str,
    columns: Sequence[Column[Any]],
    lines: Sequence[Any],
    footnotes: Sequence[str],
    legend: tuple[str, ...],
) -> Table:
    return Table(
        title=title + _marks(len(footnotes)),
        columns=tuple(columns),
        body=tuple(cells(columns, line) for line in lines),
        footnotes=tuple(footnotes),
        legend=legend,
    )


def _marks(footnotes: int) -> str:
    """The numbers of all footnotes."""
    if footnotes == 0:
        return ""
    if footnotes == 1:
        return " [1]"
    return f" [1–{footnotes}]"
