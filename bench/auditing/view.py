"""Audits for people and for programs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bench.auditing.audit import Finding, Fit, Range, best_p
from bench.tables.formats import Format, as_csv, as_json, draw
from bench.tables.numbers import NOTHING, many
from bench.tables.table import Column, Table, cells

NEVER = "nothing fits all figures"
LEGEND = (
    "fits if: the class or the averaging that recall, precision and F1 must have for a confusion "
    "matrix to fit; `without` names the figure that must be wrong then",
    "low-high: over every matrix that fits, in %",
    "to the best: clips that are wrong more than in the best row of the table, and the least p "
    "that McNemar's exact test of the two could give",
)


@dataclass(frozen=True)
class _Line:
    """A row of a publication under one reading, or under none."""

    finding: Finding
    fit: Fit | None
    best: Finding | None = None  # the row of the same table with most clips right

    def range(self, score: str) -> str:
        bounds = self.fit.ranges.get(score) if self.fit else None
        return NOTHING if bounds is None else _percent(bounds)


def render(
    findings: Sequence[Finding],
    format: Format = "text",
    colour: bool = False,
    width: int | None = None,
) -> str:
    """The audit in one of the formats of `bench table`; as CSV a line per row and reading."""
    if format == "json":
        return as_json([record(finding) for finding in findings])
    if format == "csv":
        return as_csv(lines(findings))
    found = tables(findings)
    if not found:
        return (
            "no figure can be judged: the class counts of the test clips are not known"
        )
    return draw(found, format, colour, width)


def tables(findings: Sequence[Finding]) -> list[Table]:
    """A table for each table of a publication that can be judged."""
    judged = [finding for finding in findings if not finding.reason]
    shown = []
    for source, members in groupby(judged, lambda finding: finding.row.source):
        shown.append(_table(source, list(members)))
    return shown


def record(finding: Finding) -> dict[str, Any]:
    """A row's audit as JSON; scores are fractions."""
    return {
        "system": finding.row.system,
        "source": finding.row.source,
        "printed": {claim.column: claim.text for claim in finding.claims},
        "possible": None if finding.reason else finding.possible,
        "reason": finding.reason,
        "unread": list(finding.unread),
        "correct_clips": finding.correct,
        "WA_wilson": finding.accuracy,
        "majority": dict(finding.baseline),
        "fits": [_fit_record(fit) for fit in finding.fits],
    }


def lines(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One flat record per row and reading; one without a reading where nothing fits."""
    flat = []
    for finding in findings:
        about = record(finding)
        del about["fits"], about["majority"], about["WA_wilson"]
        for fit in finding.fits or (None,):
            entry = _fit_record(fit) if fit else {}
            ranges = entry.pop("ranges", {})
            bounds = {}
            for name, (low, high) in ranges.items():
                bounds[f"{name} low"] = low
                bounds[f"{name} high"] = high
            flat.append({**about, **entry, **bounds})
    return flat


def _fit_record(fit: Fit) -> dict[str, Any]:
    return {
        "reading": fit.reading,
        "printing": fit.printing,
        "without": fit.without,
        "matrices": fit.matrices,
        "hits": dict(fit.hits),
        "ranges": dict(fit.ranges),
    }


# --- tables ---


def _table(source: str, findings: Sequence[Finding]) -> Table:
    best = _best(findings)
    body = []
    columns = _columns(findings[0])
    for finding in findings:
        for fit in _shown(finding):
            line = _Line(finding, fit, best)
            body.append(cells(columns, line))
    part = findings[0].row.test_part
    assert part, "only rows with known test clips are judged"
    counts = ", ".join(f"{label} {size}" for label, size in part.classes.items())
    clips = many(part.clips, "clip")
    title = " · ".join(filter(None, (source, clips, counts)))
    return Table(title, columns, tuple(body), (), (*LEGEND, *_trivial(findings[0])))


def _shown(finding: Finding) -> list[Fit | None]:
    """The fits that have a line; None for a line that says that nothing fits."""
    if finding.possible:
        return list(finding.fits)
    return [None, *finding.fits]


def _columns(finding: Finding) -> tuple[Column[_Line], ...]:
    part = finding.row.test_part
    labels = list(part.classes) if part and len(part.classes) == 2 else []
    scores = ["WA", "UA"]
    if labels:
        scores += ["F1 macro", *(f"F1 ({label})" for label in labels)]
    named = [
        _column("system", lambda line: line.finding.row.system, number=False),
        _column("printed", _printed, number=False, spare=3),
        _column("fits if", _reading, number=False),
        _column("matrices", _matrices),
    ]
    of_scores = [_score(name, place) for place, name in enumerate(scores)]
    behind = [
        _column("to the best", _to_the_best, spare=2),
        _column("WA, Wilson 95 %", _wilson, spare=1),
    ]
    return (*named, *of_scores, *behind)


def _column(
    header: str, read: Callable[[_Line], str], spare: int = 0, number: bool = True
) -> Column[_Line]:
    return Column(header, read, number=number, spare=spare, elastic=not number)


def _score(name: str, place: int) -> Column[_Line]:
    return _column(name, lambda line: line.range(name), spare=4 if place > 2 else 0)


def _best(findings: Sequence[Finding]) -> Finding | None:
    best = None
    most = -1
    for finding in findings:
        right = finding.correct
        if right is not None and right > most:
            best = finding
            most = right
    return best


# --- cells ---


def _printed(line: _Line) -> str:
    said = [f"{claim.column} {claim.text}" for claim in line.finding.claims]
    return ", ".join(said)


def _reading(line: _Line) -> str:
    fit = line.fit
    if fit is None:
        return NEVER
    said = fit.reading
    if fit.printing != "rounded":
        said += f", {fit.printing}"
    return f"without {fit.without}: {said}" if fit.without else said


def _matrices(line: _Line) -> str:
    if line.fit is None:
        return "0"
    return NOTHING if line.fit.matrices is None else str(line.fit.matrices)


def _to_the_best(line: _Line) -> str:
    finding, best = line.finding, line.best
    if best is None or best is finding:
        return NOTHING
    p = best_p(finding, best)
    most = best.correct
    right = finding.correct
    if p is None or most is None or right is None:
        return NOTHING
    behind = most - right
    return f"{behind}, p ≥ {p:.2g}"


def _wilson(line: _Line) -> str:
    bounds = line.finding.accuracy
    return _percent(bounds) if bounds else NOTHING


def _percent(bounds: Range) -> str:
    low, high = bounds
    lowest = f"{100 * low:.2f}"
    highest = f"{100 * high:.2f}"
    if lowest == highest:
        return lowest
    return f"{lowest}-{highest}"


def _trivial(finding: Finding) -> list[str]:
    if not finding.baseline:
        return []
    scores = [f"{name} {100 * value:.2f}" for name, value in finding.baseline.items()]
    return [f"calling every clip the largest class has {', '.join(scores)}"]
