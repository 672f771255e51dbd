"""A trend for people (tables as Wang et al.'s Table VII, and the tests behind it) and for programs
(CSV, JSON).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.tables.formats import Format, as_csv, draw
from bench.tables.numbers import NOTHING
from bench.tables.table import Cell, Column, Table
from bench.trend import notes
from bench.trend.analysis import Analysis, Contrast, Measured, Relation, Summary
from bench.trend.calls import Call
from bench.trend.groups import DRAWS, PERMUTATIONS, Interval
from bench.trend.measures import decisions
from bench.trend.source import Scored, Tested


@dataclass(frozen=True)
class Trend:
    """All that there is to show."""

    analysis: Analysis
    scored: Scored
    label: str  # the class that is counted
    run: Tested | None  # None: probabilities from a table
    private: bool

    @property
    def title(self) -> str:
        return f"{self.run.title if self.run else 'a table of probabilities'} · segments of {self.label}"


def render(
    trend: Trend, format: Format = "text", colour: bool = False, width: int | None = None
) -> str:
    """The tables; as CSV one line per figure's row; as JSON with every call and segment, too.

    The text format fits `width` columns, by default those of the terminal.
    """
    if format == "json":
        return json.dumps(record(trend), ensure_ascii=False, indent=2, allow_nan=False)
    if format == "csv":
        return as_csv(_lines(trend.analysis))
    return draw(
        [_measures(trend), *_tests(trend.analysis), *_relations(trend.analysis)],
        format,
        colour,
        width,
    )


def record(trend: Trend) -> dict[str, Any]:
    """Everything as one JSON object: None for what there is not. Of private calls no scale score of
    a single call.
    """
    a = trend.analysis
    return {
        "title": trend.title,
        "class": trend.label,
        "ecr": "binarised" if a.binarised else "probabilities",
        "first_minutes": a.minutes if len(a.stages) > 1 else None,
        "groups": [_summary(s) for s in a.summaries],
        "comparisons": [_contrast(c) for c in a.contrasts],
        "correlations": [_relation(r) for r in a.relations],
        "calls": [_call(call, trend) for call in trend.scored.calls],
        "notes": [
            *_footnotes(trend),
            *notes.of_tests(a),
            *(notes.of_relations(a) if a.relations else []),
        ],
    }


def segments(trend: Trend) -> str:
    """A CSV line per segment: a table of probabilities as `--probabilities` reads it, decisions
    beside them.
    """
    return as_csv(
        [
            {**_about(call, trend), **_segment(s, trend)}
            for call in trend.scored.calls
            for s in call.segments
        ]
    )


# --- tables ---


def _measures(trend: Trend) -> Table:
    a = trend.analysis
    ecr = {(s.group, s.stage): s for s in a.summaries if s.measure == "ECR"}
    rows = [s for s in a.summaries if s.measure == "NSS"]
    columns: list[Column[Summary]] = [
        Column("group", lambda s: s.group, number=False),
        Column("stage", lambda s: s.stage, number=False),
        Column("calls", lambda s: str(s.calls)),
        Column("segments per call", lambda s: f"{s.segments:.1f}"),
        Column("NSS [95 %]", lambda s: _mean(s, 1)),
        Column("ECR [95 %]", lambda s: _mean(ecr[s.group, s.stage], 3)),
    ]
    what = "decisions (0 or 1), as in the released script" if a.binarised else "probabilities"
    legend = (
        "NSS: negative segments per call; ECR: mean change of the probability from segment to segment (Eq. 7 of Wang "
        f"et al., arXiv 2501.08696), of {what}",
        f"mean over calls [low, high]: 95 % bootstrap-t interval, {DRAWS:,} draws of calls",
    )
    return _table(trend.title, columns, rows, _footnotes(trend), legend)


def _tests(a: Analysis) -> list[Table]:
    if not a.contrasts:
        return []
    pairs = list(dict.fromkeys((c.group, c.other) for c in a.contrasts))
    alone = " against ".join(pairs[0]) if len(pairs) == 1 else "every pair of groups"
    named: list[Column[Contrast]] = [
        Column("group", lambda c: c.group, number=False),
        Column("against", lambda c: c.other, number=False),
    ]
    columns: list[Column[Contrast]] = [
        *(named if len(pairs) > 1 else []),
        Column("stage", lambda c: c.stage, number=False),
        Column("measure", lambda c: c.measure, number=False),
        Column("difference [95 %]", _difference),
        Column("t", lambda c: _number(c.found.t, 2), spare=2),
        Column("df", lambda c: _number(c.found.df, 1), spare=1),
        Column("p Welch", lambda c: _p(c, 0)),
        Column("U", lambda c: f"{c.found.u:g}", spare=2),
        Column("p Mann-Whitney", lambda c: _p(c, 1)),
        Column("p permuted", lambda c: _p(c, 2)),
        Column("g [95 %]", lambda c: f"{_number(c.found.g, 2)}{_bounds(c.found.g_interval, 2)}"),
        Column("delta", lambda c: _number(c.found.delta, 2), spare=3),
    ]
    legend = (
        f"difference of means, Welch's interval; permuted: of Welch's t, all or {PERMUTATIONS:,} ways; every "
        "test two-sided",
        "U: of the first group",
        "g: Hedges' g, the difference in pooled standard deviations, less its bias",
        "delta: Cliff's delta, the share of pairs of calls in which the first is higher, less the others",
    )
    return [_table(f"tests · {alone}", columns, a.contrasts, notes.of_tests(a), legend)]


def _relations(a: Analysis) -> list[Table]:
    columns: list[Column[Relation]] = [
        Column("group", lambda r: r.group, number=False),
        Column("stage", lambda r: r.stage, number=False),
        Column("measure", lambda r: r.measure, number=False),
        Column("calls", lambda r: str(r.calls)),
        Column("rho [95 %]", lambda r: f"{r.rho:.2f}{_bounds(r.interval, 2)}"),
        Column("p", lambda r: _small(r.p)),
    ]
    legend = ("rho: Spearman's rank correlation, with Bonett and Wright's interval",)
    title = "correlation with the scale score"
    return (
        [_table(title, columns, a.relations, notes.of_relations(a), legend)] if a.relations else []
    )


def _footnotes(trend: Trend) -> list[str]:
    a = trend.analysis
    return [
        *notes.of_measures(a, trend.scored, trend.label, trend.run),
        *([] if a.contrasts else notes.of_tests(a)),
    ]


def _table(
    title: str,
    columns: Sequence[Column[Any]],
    rows: Sequence[Any],
    footnotes: Sequence[str],
    legend: tuple[str, ...],
) -> Table:
    body = tuple(tuple(Cell(column.text(row)) for column in columns) for row in rows)
    marks = f" [1–{len(footnotes)}]" if len(footnotes) > 1 else " [1]" * len(footnotes)
    return Table(title + marks, tuple(columns), body, tuple(footnotes), legend)


def _mean(s: Summary, digits: int) -> str:
    return f"{_number(s.mean, digits)}{_bounds(s.interval, digits)}"


def _difference(c: Contrast) -> str:
    digits = 1 if c.measure == "NSS" else 3
    return f"{c.found.difference:+.{digits}f}{_bounds(c.found.difference_interval, digits)}"


def _p(c: Contrast, test: int) -> str:
    raw = (c.found.p_welch, c.found.p_mann_whitney, c.found.p_permutation)
    return _small((c.holm or raw)[test])


def _small(p: float | None) -> str:
    return NOTHING if p is None else f"{p:.3f}" if p >= 0.0005 else "<0.001"


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _bounds(interval: Interval | None, digits: int) -> str:
    return f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""


# --- records ---


def _lines(a: Analysis) -> list[dict[str, Any]]:
    """Rows of three kinds in one table; each kind fills its own columns."""
    kinds: list[tuple[str, Sequence[Any], Callable[[Any], dict[str, Any]]]] = [
        ("group", a.summaries, _summary),
        ("comparison", a.contrasts, _contrast),
        ("correlation", a.relations, _relation),
    ]
    return [{"kind": kind, **of(row)} for kind, rows, of in kinds for row in rows]


def _summary(s: Summary) -> dict[str, Any]:
    return _with_bounds(asdict(s), "interval", "")


def _contrast(c: Contrast) -> dict[str, Any]:
    content = {k: v for k, v in asdict(c).items() if k not in ("found", "holm")}
    found = _with_bounds(
        _with_bounds(asdict(c.found), "difference_interval", "difference_"), "g_interval", "g_"
    )
    tests = ("p_welch_holm", "p_mann_whitney_holm", "p_permutation_holm")
    return {**content, **found, **dict(zip(tests, c.holm or (None,) * len(tests), strict=True))}


def _relation(r: Relation) -> dict[str, Any]:
    return _with_bounds(asdict(r), "interval", "")


def _with_bounds(content: dict[str, Any], key: str, prefix: str) -> dict[str, Any]:
    low, high = content.pop(key) or (None, None)
    return {**content, f"{prefix}low": low, f"{prefix}high": high}


def _call(call: Call, trend: Trend) -> dict[str, Any]:
    measured = [m for m in trend.analysis.measured if m.call is call]
    stages = [_stage(m) for m in measured]
    return {
        **_about(call, trend),
        "stages": stages,
        "segments": [_segment(s, trend) for s in call.segments],
    }


def _stage(m: Measured) -> dict[str, Any]:
    return {"stage": m.stage, "segments": m.segments, "nss": m.nss, "ecr": m.ecr}


def _about(call: Call, trend: Trend) -> dict[str, Any]:
    scale = {} if trend.private or call.scale is None else {"scale": call.scale}
    return {"call": call.name, "group": call.group, **scale}


def _segment(s: Any, trend: Trend) -> dict[str, Any]:
    places = {
        name: value for name in ("start", "end", "order") if (value := getattr(s, name)) is not None
    }
    named = {"segment": s.name} if s.name else {}
    return {
        **named,
        **places,
        trend.label: s.probability,
        "counted": int(decisions([s.probability])[0]),
    }
