"""What a reader must know before believing a trend: the sentences under its tables."""

from collections.abc import Iterator, Sequence

from bench.tables.numbers import many
from bench.trend.analysis import FULL, MEASURES, Analysis
from bench.trend.calls import Call
from bench.trend.groups import MIN_CALLS
from bench.trend.matching import Scored
from bench.trend.measures import THRESHOLD, decisions
from bench.trend.source import Tested
from bench.trend.trend import Trend


def under_measures(trend: Trend) -> list[str]:
    """Footnotes of the table of measures, with the reason if there is no table of tests."""
    analysis = trend.analysis
    said = [
        _decisions(trend.label),
        _recall(trend, trend.run) if trend.run else _no_truth(),
        *_left_out(trend.scored),
        *_stages(analysis),
        *_intervals(analysis),
    ]
    if trend.run:
        said += trend.run.notes
    if not analysis.contrasts:
        said += under_tests(analysis)
    return said


def under_tests(analysis: Analysis) -> list[str]:
    """Footnotes of the table of tests; the reason, where there is no such table."""
    groups = len(analysis.groups)
    if groups < 2:
        return ["one group, so there is nothing to compare it with and no test"]
    pairs = groups * (groups - 1) // 2
    questions = len(analysis.stages) * len(MEASURES)
    absent = pairs * questions - len(analysis.contrasts)
    said = []
    if absent:
        comparisons = many(absent, "comparison")
        said.append(
            f"{comparisons} left out: a group has fewer than two calls with the measure"
        )
    if not analysis.contrasts:
        return said
    if _undefined(analysis):
        said.append("–: not defined for calls that are all alike")
    said.append(_correction(pairs, questions))
    said.append(
        "calls are treated as independent, which several calls by one caller are not"
    )
    return said


def under_relations(analysis: Analysis) -> list[str]:
    """Footnotes of the table of correlations."""
    said = []
    scores = [measured.call.scale for measured in analysis.of(FULL)]
    without = scores.count(None)
    if without:
        said.append(f"{many(without, 'call')} without a scale score left out")
    if len(analysis.groups) > 1:
        said.append(
            "over all calls, a correlation may only reflect the difference between groups"
        )
    return said


def _undefined(analysis: Analysis) -> bool:
    """Whether a test has no result."""
    for contrast in analysis.contrasts:
        if contrast.found.p_welch is None or contrast.found.p_mann_whitney is None:
            return True
    return False


def _correction(pairs: int, questions: int) -> str:
    corrected = "p-values are not corrected"
    if pairs > 1:
        corrected = "p-values are corrected for the pairs of groups (Holm), but not"
    others = f"for {questions} measures and stages, nor for three tests of one question"
    return f"{corrected} {others}: choose one beforehand"


def _decisions(label: str) -> str:
    return (
        f"NSS counts the decisions of a classifier (a probability of {label} from {THRESHOLD:g} "
        "on), not truths: segments that it misses are not counted, which biases NSS low; and a "
        "longer call has more segments to count"
    )


def _no_truth() -> str:
    return (
        "how many segments the classifier misses is not known: "
        "a table of probabilities does not contain the truth"
    )


def _recall(trend: Trend, run: Tested) -> str:
    """How many segments the classifier finds and how many it counts wrongly, by group."""
    label = trend.label
    calls = trend.scored.calls
    found = _share(calls, True)
    groups = trend.analysis.groups
    if len(groups) > 1:
        by_group = []
        for group in groups:
            members = [call for call in calls if call.group == group]
            by_group.append(f"{group} {_share(members, True)}")
        found += f": {', '.join(by_group)}"
    return (
        f"of the segments that are truly {label}, NSS counts {found}; "
        f"of the others, {_share(calls, False)}; "
        f"the run's recall of {label} over all its test clips is {100 * run.recall:.1f} %"
    )


def _share(calls: Sequence[Call], truth: bool) -> str:
    """How many of the segments of one truth are counted."""
    probabilities = []
    for call in calls:
        for segment in call.segments:
            if segment.truth is truth and segment.probability is not None:
                probabilities.append(segment.probability)
    total = len(probabilities)
    if not total:
        return "none (there are none)"
    counted = sum(decisions(probabilities))
    return f"{100 * counted / total:.1f} % ({counted} of {total})"


def _left_out(scored: Scored) -> Iterator[str]:
    if scored.missing:
        segments = many(scored.missing, "segment")
        calls = many(scored.incomplete + scored.lost, "call")
        whole = ""
        if scored.lost:
            whole = f", among them every segment of {many(scored.lost, 'call')}"
        yield (
            f"{segments} of {calls} without a prediction left out as requested{whole}: NSS does "
            "not count them, and ECR treats the segments around them as neighbours"
        )
    if scored.idle:
        yield f"{many(scored.idle, 'test clip')} of the run in none of the calls"


def _stages(analysis: Analysis) -> Iterator[str]:
    timed = len(analysis.stages) > 1
    if not timed:
        minutes = f"{analysis.minutes:g}"
        yield f"there are no first {minutes} minutes, since only the order of segments is known"
    for stage in analysis.stages:
        yield from _short_calls(analysis, stage)
    if timed:
        yield from _short_of_first_stage(analysis)


def _short_calls(analysis: Analysis, stage: str) -> Iterator[str]:
    """How many calls have too few segments in the stage."""
    among = analysis.of(stage)
    empty = sum(measured.segments == 0 for measured in among)
    if empty:
        yield f"{stage}: {many(empty, 'call')} without any segment, with an NSS of 0"
    without = sum(measured.ecr is None for measured in among)
    if without:
        calls = many(without, "call")
        yield f"{stage}: {calls} with fewer than two segments, which only NSS includes"


def _short_of_first_stage(analysis: Analysis) -> Iterator[str]:
    early = analysis.of(analysis.stages[0])
    full = analysis.of(FULL)
    same = 0
    for first, whole in zip(early, full, strict=True):
        same += first.segments == whole.segments
    if same:
        calls = many(len(full), "call")
        yield f"{same} of {calls} have no later segment, so that both stages are the same for them"


def _intervals(analysis: Analysis) -> Iterator[str]:
    for summary in analysis.summaries:
        if summary.mean is not None and summary.interval is None:
            yield (
                f"no interval for a group of fewer than {MIN_CALLS} calls, "
                "nor for calls that are (nearly) all alike"
            )
            return
