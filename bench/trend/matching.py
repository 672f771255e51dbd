"""Calls whose segments have a probability, from a recorded run or from their own table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.csv_table import unusable
from bench.data.manifest_rows import recording
from bench.data.privacy import pseudonym, pseudonymous
from bench.errors import CorpusError, and_more
from bench.trend.calls import Call, Segment
from bench.trend.source import Tested

Matches = Mapping[
    int, str | None
]  # row of a segment -> the run's clip, None if it has none


@dataclass(frozen=True)
class Scored:
    """Calls in which every segment has a probability."""

    calls: list[Call]
    missing: int  # segments without a prediction, left out
    incomplete: int  # calls that some of their segments were left out of
    lost: int  # calls that all of their segments were left out of; left out, too
    idle: int  # clips of the run that are in no call


def score(calls: Sequence[Call], run: Tested, skip_missing: bool = False) -> Scored:
    """The calls with a probability for each segment, found by the id of its clip.

    A segment of a manifest's task is named as in the manifest: by its path, and where the manifest
    gives times, by `path@start-end` or by `start` and `end` columns with the same values. Of a
    private task, calls, segments and groups are returned under pseudonyms.

    Raises:
        CorpusError: a segment is in two rows or, unless `skip_missing`, has no prediction. The
            error names the rows and, of a task that is not private, the segments.
    """
    every = [segment for call in calls for segment in call.segments]
    matches = {segment.row: _clip(segment, run) for segment in every}
    repeated = list(_repeated(matches))
    if repeated:
        raise unusable("the table of calls", repeated)
    missing = [segment for segment in every if matches[segment.row] is None]
    if len(missing) == len(every):
        raise CorpusError(_no_match(run))
    if missing and not skip_missing:
        raise CorpusError(_no_prediction(missing, len(every), run))
    kept = [_matched(call, matches, run) for call in calls]
    if run.private:
        kept = hidden(kept)
    idle = run.probability.keys() - set(matches.values())
    return _counted(calls, kept, len(idle))


def complete(
    calls: Sequence[Call], skip_missing: bool = False, private: bool = False
) -> Scored:
    """The calls of a table of probabilities; of a `private` one under pseudonyms.

    Raises:
        CorpusError: segments have no probability, unless `skip_missing`.
    """
    every = [segment for call in calls for segment in call.segments]
    missing = [segment.row for segment in every if segment.probability is None]
    if missing and (not skip_missing or len(missing) == len(every)):
        raise CorpusError(
            f"{len(missing)} segments have no probability, the first in row {missing[0]} of the "
            "table: add them, or leave them out with --skip-missing"
        )
    kept = [_with_probability(call) for call in calls]
    if private:
        kept = hidden([_anonymous(call) for call in kept])
    return _counted(calls, kept)


def hidden(calls: Sequence[Call]) -> list[Call]:
    """Calls under pseudonyms, with groups numbered in the order of the table."""
    groups: dict[str, str] = {}
    renamed = []
    for call in calls:
        number = len(groups) + 1
        group = groups.setdefault(call.group, f"group {number}")
        renamed.append(replace(call, name=pseudonym(call.name, "call"), group=group))
    return renamed


def _with_probability(call: Call) -> Call:
    scored = []
    for segment in call.segments:
        if segment.probability is not None:
            scored.append(segment)
    return replace(call, segments=tuple(scored))


def _anonymous(call: Call) -> Call:
    """The call with pseudonyms for the names of its segments."""
    segments = []
    for segment in call.segments:
        name = ""
        if segment.name:
            name = pseudonym(segment.name, "clip")
        segments.append(replace(segment, name=name))
    return replace(call, segments=tuple(segments))


def _counted(calls: Sequence[Call], kept: Sequence[Call], idle: int = 0) -> Scored:
    """The calls of which anything was kept, and how much was not."""
    missing = 0
    incomplete = 0
    for call, own in zip(calls, kept, strict=True):
        left_out = len(call.segments) - len(own.segments)
        missing += left_out
        incomplete += left_out > 0
    whole = [call for call in kept if call.segments]
    lost = len(kept) - len(whole)
    return Scored(whole, missing, incomplete - lost, lost, idle)


# --- segments and clips ---


def _clip(segment: Segment, run: Tested) -> str | None:
    """The run's clip that a segment names."""
    plain = Path(segment.name).as_posix()
    timed = recording(segment.name, segment.start, segment.end)
    from_zero = (
        f"{plain}@0-"  # what 0.1.0 called a segment with a start of 0 and no end
    )
    names = [segment.name, plain, timed]
    if timed == plain:
        names.append(from_zero)
    if run.private:
        names += [pseudonym(name, "clip") for name in names]
    for name in names:
        if name in run.probability:
            return name
    return None


def _repeated(matches: Matches) -> Iterator[str]:
    """Rows that name the clip of an earlier row."""
    first: dict[str, int] = {}
    for row, clip in matches.items():
        if clip is None:
            continue
        earlier = first.setdefault(clip, row)
        if earlier != row:
            yield f"row {row}: the same segment as row {earlier}"


def _matched(call: Call, matches: Matches, run: Tested) -> Call:
    """The call with the segments that the run has a prediction of."""
    segments = []
    for segment in call.segments:
        clip = matches[segment.row]
        if clip is not None:
            segments.append(_scored(segment, clip, run))
    return replace(call, segments=tuple(segments))


def _scored(segment: Segment, clip: str, run: Tested) -> Segment:
    name = segment.name
    if run.private:
        name = _secret(clip)
    return replace(
        segment,
        name=name,
        probability=run.probability[clip],
        truth=run.truth[clip],
    )


def _secret(clip: str) -> str:
    """The pseudonym of a clip; a clip of a private manifest is one already."""
    if pseudonymous([clip]):
        return clip
    return pseudonym(clip, "clip")


# --- errors ---


def _no_match(run: Tested) -> str:
    problem = f"no segment of the calls is a test clip of {run.title}"
    if run.private:
        return (
            f"{problem}: name segments as its manifest does, "
            "on the machine whose key made its pseudonyms"
        )
    example = next(iter(run.probability))
    return f"{problem}, whose clips have names like {example}"


def _no_prediction(missing: Iterable[Segment], total: int, run: Tested) -> str:
    rows = []
    for segment in missing:
        named = "" if run.private else f" ({segment.name})"
        rows.append(f"row {segment.row}{named}")
    problem = f"{len(rows)} of {total} segments have no prediction in {run.title}"
    remedy = "leave them out with --skip-missing"
    if run.partial:
        remedy = f"name the whole pairing, record what it lacks with `bench run`, or {remedy}"
    return f"{problem}: {and_more(rows)}; {remedy}"
