"""A task's clips with their audio: decoded once, named by content, and every unusable one accounted
for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from bench.contracts.clip import Clip
from bench.contracts.feature import SAMPLE_RATE
from bench.contracts.task import Task
from bench.data.audio import AudioError, decode, source_key
from bench.data.cache import Cache
from bench.errors import CorpusError
from bench.fingerprint import digest

HOURS_SLACK = 0.02  # of the expected hours; they are quoted rounded


@dataclass(frozen=True, eq=False)
class Corpus:
    """The readable clips of a task, in the task's order."""

    task: Task
    clips: tuple[Clip, ...]
    content: Mapping[str, str] = field(repr=False)  # clip id -> hash of its decoded samples
    seconds: Mapping[str, float] = field(repr=False)  # clip id -> duration
    missing: tuple[
        tuple[Clip, str], ...
    ] = ()  # unreadable clips that the user chose to go on without, and why

    @cached_property
    def by_id(self) -> Mapping[str, Clip]:
        return {clip.id: clip for clip in self.clips}

    @cached_property
    def checksum(self) -> str:
        """32 hex digits over id, labels, speaker and samples of every clip, in any order."""
        return digest(
            sorted(
                [c.id, sorted(c.labels), c.speaker or "", self.content[c.id]] for c in self.clips
            )
        )

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """What is odd about the corpus as loaded; every table made with it says so."""
        return tuple(dict.fromkeys([*self.task.notes, *self._oddities()]))

    def _oddities(self) -> Iterator[str]:
        expected, durations = self.task.expected, [self.seconds[clip.id] for clip in self.clips]
        if expected:
            yield from expected.differences([*self.clips, *(clip for clip, _ in self.missing)])
            hours = sum(durations) / 3600
            if expected.hours and abs(hours / expected.hours - 1) > HOURS_SLACK:
                yield f"{hours:.2f} hours instead of {expected.hours:.2f}"
        if len(set(durations)) == 1 < len(durations):
            yield f"all clips last {durations[0]:.2f} s: were they padded or cut?"
        if silent := [
            label
            for label in self.task.labels
            if not any(label in clip.labels for clip in self.clips)
        ]:
            yield f"no clip of {', '.join(silent)}"

    def name(self, clip_id: str) -> str:
        """How an error names a clip to its user; never by its id in a private task."""
        return _name(self.task, self.by_id[clip_id])


def load(
    task: Task, root: Path | None, cache: Cache, skip_bad: bool = False, progress: bool = True
) -> Corpus:
    """The corpus of a task, its audio decoded into the cache.

    `skip_bad` goes on without unusable clips; else one CorpusError counts and names them. A clip id
    used twice and a label that the task does not have are always errors.
    """
    clips = task.clips(root)
    _check_labels(task, clips)
    results = _decode_all(clips, cache, progress)
    bad = [(i, r) for i, r in enumerate(results) if isinstance(r, AudioError)]
    good = {
        clip.id: r for clip, r in zip(clips, results, strict=True) if not isinstance(r, AudioError)
    }
    if bad and not (skip_bad and good):
        names = [f"{_name(task, clips[i])} ({error.reason})" for i, error in bad]
        advice = "mend them, or go on without them with --skip-bad-audio" if good else "mend them"
        raise _error(task, f"{len(bad)} of {len(clips)} clips cannot be used", names, advice)
    return Corpus(
        task=task,
        clips=tuple(c for c in clips if c.id in good),
        content={id: content for id, (content, _) in good.items()},
        seconds={id: seconds for id, (_, seconds) in good.items()},
        missing=tuple((clips[i], error.reason) for i, error in bad),
    )


def _decode_all(
    clips: Sequence[Clip], cache: Cache, progress: bool
) -> list[tuple[str, float] | AudioError]:
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda clip: _decode(clip, cache), clips)
        return list(
            tqdm(
                results,
                "audio",
                len(clips),
                unit="clip",
                leave=False,
                disable=None if progress else True,
            )
        )


def _decode(clip: Clip, cache: Cache) -> tuple[str, float] | AudioError:
    """Content hash and seconds of a clip, or what is wrong with it."""
    try:
        source = source_key(clip.audio)
        content = cache.content(source) or cache.put_waveform(source, decode(clip.audio))
    except AudioError as error:
        return error
    samples = cache.waveform(content)
    assert samples is not None
    return content, len(samples) / SAMPLE_RATE


def _check_labels(task: Task, clips: Sequence[Clip]) -> None:
    if not clips:
        raise _error(task, "there are no clips", [], "see its documentation for what it must hold")
    uses = Counter(clip.id for clip in clips)
    twice = [_name(task, clip) for clip in clips if uses[clip.id] > 1]
    if twice:
        raise _error(
            task, f"{len(twice)} clips share their id with another", twice, "give each its own"
        )
    wrong = [_label_fault(task, clip) for clip in clips if not _labels_fit(task, clip)]
    if wrong:
        known = "" if task.private else f"the labels are {', '.join(task.labels)}"
        raise _error(
            task,
            f"{len(wrong)} clips are not labelled as the task asks",
            wrong,
            known or "mend their labels",
        )


def _labels_fit(task: Task, clip: Clip) -> bool:
    return set(clip.labels) <= set(task.labels) and (task.multilabel or len(clip.labels) == 1)


def _label_fault(task: Task, clip: Clip) -> str:
    labels = "" if task.private else f" ({'|'.join(clip.labels) or 'no label'})"
    return f"{_name(task, clip)}{labels}"


def _name(task: Task, clip: Clip) -> str:
    return clip.where or ("a clip" if task.private else clip.id)


def _error(task: Task, what: str, names: Sequence[str], advice: str) -> CorpusError:
    listed = f": {', '.join(names)}" if names else ""
    return CorpusError(
        f"{'the private task' if task.private else task.name}: {what}{listed}; {advice}"
    )
