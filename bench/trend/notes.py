"""What a reader must know before believing a trend: the sentences under its tables."""

from collections.abc import Iterator, Sequence

from bench.trend.analysis import FULL, MEASURES, Analysis
from bench.trend.calls import Call
from bench.trend.groups import MIN_CALLS
from bench.trend.measures import THRESHOLD, decisions
from bench.trend.source import Scored, Tested


def of_measures(a: Analysis, scored: Scored, label: str, run: Tested | None) -> list[str]:
    """Footnotes of the table of measures; `run` is None for a table of probabilities."""
    told = [*_trust(a, scored, label, run), *_left_out(scored), *_stages(a), *_intervals(a)]
    return [*told, *(run.notes if run else ())]


def of_tests(a: Analysis) -> list[str]:
    """Footnotes of the table of tests; the reason, where there is no such table."""
    if len(a.groups) < 2:
        return ["one group: there is nothing to compare it with, so there is no test"]
    pairs = len(a.groups) * (len(a.groups) - 1) // 2
    asked = len(a.stages) * len(MEASURES)
    absent = pairs * asked - len(a.contrasts)
    said = (
        [f"{absent} comparisons are left out: a group has fewer than two calls with the measure"]
        if absent
        else []
    )
    if not a.contrasts:
        return said
    if any(None in (c.found.p_welch, c.found.p_mann_whitney) for c in a.contrasts):
        said.append("–: calls that are all alike allow no such figure")
    corrected = (
        "each p is corrected for the pairs of groups (Holm), none"
        if pairs > 1
        else "no p is corrected"
    )
    return [
        *said,
        f"{corrected} for {asked} measures and stages, nor for three tests of one question: choose one beforehand",
        "calls count as independent of each other; several calls of one caller are not",
    ]


def of_relations(a: Analysis) -> list[str]:
    """Footnotes of the table of correlations."""
    without = sum(m.call.scale is None for m in a.of(FULL))
    said = [f"{without} calls without a scale score are left out"] if without else []
    if len(a.groups) > 1:
        said.append(
            "over all calls, a correlation may be no more than the difference between groups"
        )
    return said


def _trust(a: Analysis, scored: Scored, label: str, run: Tested | None) -> Iterator[str]:
    yield (
        f"NSS counts decisions of a classifier, a probability of {label} from {THRESHOLD:g} on, not truths: what it "
        "misses is not counted, which biases NSS low; and a longer call has more segments to count"
    )
    if run is None:
        yield "how much the classifier misses is not known here: a table of probabilities does not hold the truth"
        return
    groups = [(group, [c for c in scored.calls if c.group == group]) for group in a.groups]
    by_group = (
        ", ".join(f"{group} {_share(calls, True)}" for group, calls in groups)
        if len(groups) > 1
        else ""
    )
    yield (
        f"of the segments that are truly {label}, NSS counts {_share(scored.calls, True)}"
        f"{f': {by_group}' if by_group else ''}; of the others, {_share(scored.calls, False)}; the run's recall "
        f"of {label} over all its test clips is {100 * run.recall:.1f} %"
    )


def _share(calls: Sequence[Call], truth: bool) -> str:
    """How many of the segments of one truth are counted."""
    every = [s for call in calls for s in call.segments if s.truth is truth]
    counted = sum(decisions([s.probability for s in every if s.probability is not None]))
    return (
        f"{100 * counted / len(every):.1f} % ({counted} of {len(every)})"
        if every
        else "none (there are none)"
    )


def _left_out(scored: Scored) -> Iterator[str]:
    if scored.missing:
        whole = (
            f", {_calls(scored.lost)} of which nothing is left among them" if scored.lost else ""
        )
        yield (
            f"{_many(scored.missing, 'segment')} of {_calls(scored.incomplete + scored.lost)} without a prediction "
            f"left out on request{whole}: NSS misses them, and ECR takes what they divide for neighbours"
        )
    if scored.idle:
        yield f"{_many(scored.idle, 'test clip')} of the run in none of the calls"


def _stages(a: Analysis) -> Iterator[str]:
    if len(a.stages) == 1:
        yield f"without start times, only the order of segments, there are no first {a.minutes:g} minutes"
    for stage in a.stages:
        among = a.of(stage)
        if none := sum(m.segments == 0 for m in among):
            yield f"{stage}: {_calls(none)} without any segment, with an NSS of 0"
        if without := sum(m.ecr is None for m in among):
            yield f"{stage}: {_calls(without)} with fewer than two segments, so without ECR; left out of ECR alone"
    if len(a.stages) > 1:
        pairs = zip(a.of(a.stages[0]), a.of(FULL), strict=True)
        if same := sum(early.segments == whole.segments for early, whole in pairs):
            yield f"{same} of {_calls(len(a.of(FULL)))} have no later segment: both stages are the same of them"


def _intervals(a: Analysis) -> Iterator[str]:
    if any(s.mean is not None and s.interval is None for s in a.summaries):
        yield f"no interval for a group of fewer than {MIN_CALLS} calls, nor for calls that are (nearly) all alike"


def _calls(number: int) -> str:
    return _many(number, "call")


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
