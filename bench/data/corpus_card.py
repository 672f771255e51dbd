"""The card of a corpus, as `bench prepare` prints it: what is in it, what is odd about it, what
each protocol leaks.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import soundfile

from bench.contracts.clip import Recording
from bench.contracts.task import Expected, Fold, Protocol
from bench.data.corpus import Corpus
from bench.errors import BenchError
from bench.splits.leakage import check
from bench.splits.protocols import split_hash

INDENT = 12


@dataclass(frozen=True)
class Copies:
    """Identical audio: groups of clips, the clips in them, and the groups that disagree."""

    groups: int
    clips: int
    labels_differ: int
    speakers_differ: int


@dataclass(frozen=True)
class Division:
    """A protocol on this corpus: its folds as sizes, what the check found, or why it cannot be
    used.
    """

    name: str
    summary: str
    sizes: tuple[tuple[str, int, int, int], ...] = ()  # fold, train, valid, test
    split: str = ""  # hash of the folds
    notes: tuple[str, ...] = ()
    violation: str = ""


@dataclass(frozen=True)
class Card:
    """What a corpus holds. No path, file name or speaker's name is in it, so it may be shown of a
    private one, too.
    """

    task: str
    title: str
    clips: int
    seconds: tuple[float, ...]  # shortest, 5 %, median, 95 %, longest
    hours: float
    speakers: int
    labels: Mapping[str, int]
    rates: Mapping[int, int]  # Hz -> source files of that rate
    copies: Copies
    missing: Mapping[str, int]  # reason -> clips
    warnings: tuple[str, ...]
    checksum: str
    expected: Expected | None  # what a complete copy holds, where that is known
    default: str  # the default protocol
    divisions: tuple[Division, ...]

    def text(self) -> str:
        """The card as lines for a terminal."""
        return "\n".join(_lines(self))


def card(corpus: Corpus) -> Card:
    """The card of a loaded corpus; every protocol is tried and checked."""
    task, clips = corpus.task, corpus.clips
    durations = [corpus.seconds[clip.id] for clip in clips]
    return Card(
        task=task.name,
        title=task.title,
        clips=len(clips),
        seconds=_spread(durations),
        hours=sum(durations) / 3600,
        speakers=len({clip.speaker for clip in clips if clip.speaker}),
        labels={label: sum(label in clip.labels for clip in clips) for label in task.labels},
        rates=_rates([clip.audio for clip in clips]),
        copies=_copies(corpus),
        missing=Counter(reason for _, reason in corpus.missing),
        warnings=corpus.caveats,
        checksum=corpus.checksum,
        expected=task.expected,
        default=task.default_protocol,
        divisions=tuple(
            _division(name, protocol, corpus) for name, protocol in task.protocols().items()
        ),
    )


def _spread(durations: Sequence[float]) -> tuple[float, ...]:
    if len(durations) < 2:
        return (*durations,) * 5
    cuts = quantiles(durations, n=20, method="inclusive")
    return min(durations), cuts[0], cuts[9], cuts[18], max(durations)


def _rates(recordings: Sequence[Recording]) -> Counter[int]:
    """Sample rates of the source files, in Hz; a file of several clips counts once."""
    sources: dict[Any, Path | bytes] = {
        recording.path or id(recording): _source(recording) for recording in recordings
    }
    rates: Counter[int] = Counter()
    for source in sources.values():
        rates[
            soundfile.info(io.BytesIO(source) if isinstance(source, bytes) else source).samplerate
        ] += 1
    return rates


def _source(recording: Recording) -> Path | bytes:
    return recording.path or recording.data or b""


def _copies(corpus: Corpus) -> Copies:
    together: dict[str, list[str]] = {}
    for clip in corpus.clips:
        together.setdefault(corpus.content[clip.id], []).append(clip.id)
    groups = [[corpus.by_id[clip] for clip in ids] for ids in together.values() if len(ids) > 1]
    return Copies(
        groups=len(groups),
        clips=sum(map(len, groups)),
        labels_differ=sum(len({frozenset(clip.labels) for clip in group}) > 1 for group in groups),
        speakers_differ=sum(len({clip.speaker for clip in group}) > 1 for group in groups),
    )


def _division(name: str, protocol: Protocol, corpus: Corpus) -> Division:
    try:
        folds: Sequence[Fold] = protocol.split(corpus.clips, corpus.content)
        found = check(folds, corpus.clips, protocol, corpus.content)
    except BenchError as error:
        return Division(name, protocol.summary, notes=protocol.notes, violation=str(error))
    sizes = tuple((fold.name, len(fold.train), len(fold.valid), len(fold.test)) for fold in folds)
    return Division(name, protocol.summary, sizes, split_hash(folds), (*protocol.notes, *found))


def _lines(card: Card) -> Iterator[str]:
    yield f"{card.task} · {card.title}"
    meant = card.expected or Expected(clips=0)
    classes = [
        f"{label} {count:,}{_meant(meant.labels.get(label))}"
        for label, count in card.labels.items()
    ]
    facts = {
        "clips": f"{card.clips:,}{_meant(meant.clips)}",
        "hours": f"{card.hours:.2f}{_meant(meant.hours)}",
        "speakers": f"{card.speakers:,}{_meant(meant.speakers)}" if card.speakers else "unknown",
        "classes": ", ".join(classes),
        "seconds": "{:.2f} shortest, {:.2f} at 5 %, {:.2f} median, {:.2f} at 95 %, {:.2f} longest".format(
            *card.seconds
        ),
        "recorded at": ", ".join(
            f"{rate:,} Hz ({count:,} files)" for rate, count in sorted(card.rates.items())
        ),
        "copies": _copies_text(card.copies),
        "missing": ", ".join(f"{count:,} clips ({why})" for why, count in card.missing.items())
        or "none",
        "checksum": card.checksum,
    }
    yield from (f"  {name:{INDENT}}{text}" for name, text in facts.items())
    yield from (f"  WARNING     {warning}" for warning in card.warnings)
    for division in card.divisions:
        yield from _division_lines(division, division.name == card.default)


def _meant(number: float | None) -> str:
    return f" of {number:,}" if number else ""


def _copies_text(copies: Copies) -> str:
    if not copies.groups:
        return "none: all audio is different"
    groups = f"{copies.groups:,} group{'s' * (copies.groups > 1)} of identical audio, {copies.clips:,} clips"
    return f"{groups}; {copies.labels_differ:,} with different labels, {copies.speakers_differ:,} with different speakers"


def _division_lines(division: Division, default: bool) -> Iterator[str]:
    yield f"  protocol {division.name}{' (default)' if default else ''}: {division.summary}"
    if division.violation:
        yield f"    {'CANNOT BE USED':{INDENT}} {division.violation}"
    for name, *sizes in division.sizes:
        yield f"    {f'fold {name}':{INDENT}}" + "{:,} train, {:,} valid, {:,} test".format(*sizes)
    yield from (f"    {'note':{INDENT}}{note}" for note in division.notes)
