"""A trend for programs: JSON, and lines for CSV."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.tables.formats import as_csv
from bench.trend import notes
from bench.trend.analysis import TESTS, Analysis, Contrast, Measured, Relation, Summary
from bench.trend.calls import Call, Segment
from bench.trend.measures import decisions
from bench.trend.trend import Trend


def record(trend: Trend) -> dict[str, Any]:
    """Everything as one JSON object, None for what is not known. Of private calls, no scale score
    of a single call.
    """
    analysis = trend.analysis
    timed = len(analysis.stages) > 1
    footnotes = [*notes.under_measures(trend), *notes.under_tests(analysis)]
    if analysis.relations:
        footnotes += notes.under_relations(analysis)
    return {
        "title": trend.title,
        "class": trend.label,
        "ecr": "binarised" if analysis.binarised else "probabilities",
        "first_minutes": analysis.minutes if timed else None,
        "groups": [_summary(summary) for summary in analysis.summaries],
        "comparisons": [_contrast(contrast) for contrast in analysis.contrasts],
        "correlations": [_relation(relation) for relation in analysis.relations],
        "calls": [_call(call, trend) for call in trend.scored.calls],
        "notes": footnotes,
    }


def lines(analysis: Analysis) -> list[dict[str, Any]]:
    """Lines of three kinds for one table; each kind fills its own columns."""
    found = []
    for summary in analysis.summaries:
        found.append({"kind": "group", **_summary(summary)})
    for contrast in analysis.contrasts:
        found.append({"kind": "comparison", **_contrast(contrast)})
    for relation in analysis.relations:
        found.append({"kind": "correlation", **_relation(relation)})
    return found


def segments(trend: Trend) -> str:
    """A CSV line per segment: a table of probabilities as `--probabilities` reads it, with the
    decisions beside them.
    """
    found = []
    for call in trend.scored.calls:
        about = _about(call, trend)
        for segment in call.segments:
            content = _segment(segment, trend)
            found.append({**about, **content})
    return as_csv(found)


def _summary(summary: Summary) -> dict[str, Any]:
    return _with_bounds(asdict(summary), "interval", "")


def _relation(relation: Relation) -> dict[str, Any]:
    return _with_bounds(asdict(relation), "interval", "")


def _contrast(contrast: Contrast) -> dict[str, Any]:
    content = asdict(contrast)
    found = content.pop("found")
    holm = content.pop("holm")
    corrected = holm or (None,) * len(TESTS)
    found = _with_bounds(found, "difference_interval", "difference_")
    found = _with_bounds(found, "g_interval", "g_")
    names = [f"{test}_holm" for test in TESTS]
    return {**content, **found, **dict(zip(names, corrected, strict=True))}


def _with_bounds(content: Mapping[str, Any], key: str, prefix: str) -> dict[str, Any]:
    """The content with the interval under `key` as two numbers at its end."""
    low, high = content[key] or (None, None)
    moved = dict(content)
    del moved[key]
    bounds = {
        f"{prefix}low": low,
        f"{prefix}high": high,
    }
    return moved | bounds


def _call(call: Call, trend: Trend) -> dict[str, Any]:
    stages = []
    for measured in trend.analysis.measured:
        if measured.call is call:
            stages.append(_stage(measured))
    return {
        **_about(call, trend),
        "stages": stages,
        "segments": [_segment(segment, trend) for segment in call.segments],
    }


def _stage(measured: Measured) -> dict[str, Any]:
    return {
        "stage": measured.stage,
        "segments": measured.segments,
        "nss": measured.nss,
        "ecr": measured.ecr,
    }


def _about(call: Call, trend: Trend) -> dict[str, Any]:
    about: dict[str, Any] = {
        "call": call.name,
        "group": call.group,
    }
    if call.scale is not None and not trend.private:
        about["scale"] = call.scale
    return about


def _segment(segment: Segment, trend: Trend) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if segment.name:
        content["segment"] = segment.name
    for name in ("start", "end", "order"):
        value = getattr(segment, name)
        if value is not None:
            content[name] = value
    probability = segment.probability
    assert probability is not None, "calls come scored"
    [counted] = decisions([probability])
    return {**content, trend.label: probability, "counted": int(counted)}
