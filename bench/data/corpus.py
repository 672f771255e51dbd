"""A task's clips with their audio: decoded once, identified by content. Every unusable clip is
reported.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.contracts.clip import Clip
from bench.contracts.feature import SAMPLE_RATE
from bench.contracts.task import Task
from bench.data.audio import AudioError, decode, source_key
from bench.data.cache import Cache
from bench.data.sample_rates import sample_rates, too_low
from bench.errors import CorpusError
from bench.fingerprint import digest
from bench.progress import display
from bench.scoring.names import is_too_long
from bench.scoring.predictions import is_reserved

HOURS_SLACK = 0.02  # share of the expected hours, which are quoted rounded

Decoded = tuple[str, float]  # content hash and seconds


@dataclass(frozen=True, eq=False)
class Corpus:
    """The readable clips of a task, in the task's order."""

    task: Task
    clips: tuple[Clip, ...]
    content: Mapping[str, str] = field(
        repr=False
    )  # clip id -> hash of its decoded samples
    seconds: Mapping[str, float] = field(repr=False)  # clip id -> duration
    # unreadable clips that the user chose to skip, and why they are unreadable
    missing: tuple[tuple[Clip, str], ...] = ()

    @cached_property
    def by_id(self) -> Mapping[str, Clip]:
        return {clip.id: clip for clip in self.clips}

    @cached_property
    def checksum(self) -> str:
        """32 hex digits over id, labels, speaker and samples of every clip, in any order."""
        entries = []
        for clip in self.clips:
            labels = sorted(clip.labels)
            entries.append([clip.id, labels, clip.speaker or "", self.content[clip.id]])
        return digest(sorted(entries))

    @cached_property
    def rates(self) -> Counter[int]:
        """Hz -> source files of that sample rate."""
        recordings = [clip.audio for clip in self.clips]
        return sample_rates(recordings)

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """What is odd about the corpus as loaded; every table made with it says so."""
        caveats = [
            *self.task.notes,
            *self._incomplete(),
            *self._oddities(),
        ]
        return tuple(dict.fromkeys(caveats))

    def _incomplete(self) -> Iterator[str]:
        """How the corpus differs from a complete copy."""
        expected = self.task.expected
        if expected is None:
            return
        unreadable = [clip for clip, _ in self.missing]
        yield from expected.differences([*self.clips, *unreadable])
        hours = sum(self._durations) / 3600
        if expected.hours and abs(hours / expected.hours - 1) > HOURS_SLACK:
            yield f"{hours:.2f} hours instead of {expected.hours:.2f}"
        if expected.rate:
            lower = too_low(self.rates, expected.rate)
            for rate, files in lower.items():
                yield (
                    f"{files:,} files are sampled at {rate:,} Hz "
                    f"instead of {expected.rate:,} Hz"
                )

    def _oddities(self) -> Iterator[str]:
        durations = self._durations
        if len(durations) > 1 and len(set(durations)) == 1:
            yield f"all clips last {durations[0]:.2f} s: were they padded or cut?"
        used = {label for clip in self.clips for label in clip.labels}
        unused = [label for label in self.task.labels if label not in used]
        if unused:
            yield f"no clip of {', '.join(unused)}"

    @property
    def _durations(self) -> list[float]:
        return [self.seconds[clip.id] for clip in self.clips]

    def name(self, clip_id: str) -> str:
        """How an error names a clip to its user; never by its id in a private task."""
        clip = self.by_id[clip_id]
        return _name(self.task, clip)


def load(task: Task, root: Path | None, cache: Cache, skip_bad: bool = False) -> Corpus:
    """The corpus of a task, its audio decoded into the cache.

    `skip_bad` leaves unusable clips out; otherwise they are an error that names them all.

    Raises:
        CorpusError: clips are unusable, an id is used twice, or a label is not one of the task's.
    """
    clips = task.clips(root)
    _check_clips(task, clips)
    results = _decode_all(task, clips, cache)
    good: dict[str, Decoded] = {}
    bad: list[tuple[Clip, str]] = []
    for clip, result in zip(clips, results, strict=True):
        if isinstance(result, AudioError):
            bad.append((clip, result.reason))
        else:
            good[clip.id] = result
    may_go_on = skip_bad and good
    if bad and not may_go_on:
        raise _unusable(task, bad, len(clips))
    return Corpus(
        task=task,
        clips=tuple(clip for clip in clips if clip.id in good),
        content={clip: content for clip, (content, _) in good.items()},
        seconds={clip: seconds for clip, (_, seconds) in good.items()},
        missing=tuple(bad),
    )


def _decode_all(
    task: Task, clips: Sequence[Clip], cache: Cache
) -> list[Decoded | AudioError]:
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda clip: _decode(clip, cache), clips)
        return list(
            display.track(results, f"audio of {task.name}", len(clips), "clips")
        )


def _decode(clip: Clip, cache: Cache) -> Decoded | AudioError:
    """Content hash and seconds of a clip, or what is wrong with it."""
    try:
        source = source_key(clip.audio)
        content = cache.content(source)
        if content is None:
            samples = decode(clip.audio)
            content = cache.put_waveform(source, samples)
    except AudioError as error:
        return error
    return content, cache.samples(content) / SAMPLE_RATE


def _check_clips(task: Task, clips: Sequence[Clip]) -> None:
    """Raise CorpusError for no clips, ids that are not unique, and labels that do not fit."""
    if not clips:
        raise _error(
            task,
            "there are no clips",
            [],
            "see its documentation for what it must hold",
        )
    uses = Counter(clip.id for clip in clips)
    repeated = [_name(task, clip) for clip in clips if uses[clip.id] > 1]
    if repeated:
        problem = f"{len(repeated)} clips share their id with another"
        raise _error(task, problem, repeated, "give each its own")
    names = [label for label in task.labels if is_reserved(label) or is_too_long(label)]
    if names:
        problem = f"{len(names)} labels cannot be part of the names of what is recorded"
        raise _error(task, problem, [] if task.private else names, "rename them")
    mislabelled = [
        _with_labels(task, clip) for clip in clips if not _labels_fit(task, clip)
    ]
    if mislabelled:
        problem = f"{len(mislabelled)} clips are not labelled as the task asks"
        labels = ", ".join(task.labels)
        advice = "fix their labels" if task.private else f"the labels are {labels}"
        raise _error(task, problem, mislabelled, advice)


def _labels_fit(task: Task, clip: Clip) -> bool:
    if not task.multilabel and len(clip.labels) != 1:
        return False
    known = set(task.labels)
    return known.issuperset(clip.labels)


def _with_labels(task: Task, clip: Clip) -> str:
    """A clip and its labels, which an error about a private task must not show."""
    name = _name(task, clip)
    if task.private:
        return name
    labels = "|".join(clip.labels) or "no label"
    return f"{name} ({labels})"


def _name(task: Task, clip: Clip) -> str:
    hidden = "a clip" if task.private else clip.id
    return clip.where or hidden


def _unusable(task: Task, bad: Sequence[tuple[Clip, str]], total: int) -> CorpusError:
    names = [f"{_name(task, clip)} ({reason})" for clip, reason in bad]
    advice = "fix them"
    if len(bad) < total:
        advice += ", or go on without them with --skip-bad-audio"
    return _error(task, f"{len(bad)} of {total} clips cannot be used", names, advice)


def _error(task: Task, problem: str, names: Sequence[str], advice: str) -> CorpusError:
    """An error that names every clip at fault."""
    title = "the private task" if task.private else task.name
    listed = ", ".join(names)
    if listed:
        problem = f"{problem}: {listed}"
    return CorpusError(f"{title}: {problem}; {advice}")
