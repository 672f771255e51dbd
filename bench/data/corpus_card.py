"""The card of a corpus, as `bench prepare` prints it: its contents, its oddities, and the leakage
of each protocol.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from bench.contracts.clip import Clip
from bench.contracts.task import Expected, Protocol
from bench.data.corpus import Corpus
from bench.errors import BenchError
from bench.splits.leakage import check
from bench.splits.protocols import split_hash

INDENT = 12
SPREAD = "{:.2f} shortest, {:.2f} at 5 %, {:.2f} median, {:.2f} at 95 %, {:.2f} longest"


@dataclass(frozen=True)
class Copies:
    """Identical audio: groups of clips, the clips in them, and the groups that disagree."""

    groups: int
    clips: int
    labels_differ: int
    speakers_differ: int


@dataclass(frozen=True)
class Division:
    """A protocol on this corpus: the sizes of its folds and the findings of the check, or why it
    cannot be used.
    """

    name: str
    summary: str
    sizes: tuple[tuple[str, int, int, int], ...] = ()  # fold, train, valid, test
    split: str = ""  # hash of the folds
    notes: tuple[str, ...] = ()
    violation: str = ""


@dataclass(frozen=True)
class Card:
    """The contents of a corpus. It holds no path, file name or speaker's name, so that it may be
    shown for a private corpus, too.
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
    expected: Expected | None  # the contents of a complete copy, where they are known
    default: str  # the default protocol
    divisions: tuple[Division, ...]

    def text(self) -> str:
        """The card as lines for a terminal."""
        return "\n".join(_lines(self))


def card(corpus: Corpus) -> Card:
    """The card of a loaded corpus; every protocol is tried and checked."""
    task = corpus.task
    clips = corpus.clips
    durations = [corpus.seconds[clip.id] for clip in clips]
    speakers = {clip.speaker for clip in clips if clip.speaker}
    uses = Counter(label for clip in clips for label in set(clip.labels))
    divisions = []
    for name, protocol in task.protocols().items():
        division = _division(name, protocol, corpus)
        divisions.append(division)
    return Card(
        task=task.name,
        title=task.title,
        clips=len(clips),
        seconds=_spread(durations),
        hours=sum(durations) / 3600,
        speakers=len(speakers),
        labels={label: uses[label] for label in task.labels},
        rates=corpus.rates,
        copies=_copies(corpus),
        missing=Counter(reason for _, reason in corpus.missing),
        warnings=corpus.caveats,
        checksum=corpus.checksum,
        expected=task.expected,
        default=task.default_protocol,
        divisions=tuple(divisions),
    )


def _spread(durations: Sequence[float]) -> tuple[float, ...]:
    """Shortest, 5 %, median, 95 %, longest."""
    if len(durations) < 2:
        return tuple(durations) * 5
    cuts = quantiles(durations, n=20, method="inclusive")
    shortest = min(durations)
    longest = max(durations)
    return shortest, cuts[0], cuts[9], cuts[18], longest


def _copies(corpus: Corpus) -> Copies:
    by_content: dict[str, list[Clip]] = {}
    for clip in corpus.clips:
        group = by_content.setdefault(corpus.content[clip.id], [])
        group.append(clip)
    groups = [group for group in by_content.values() if len(group) > 1]
    labels_differ = 0
    speakers_differ = 0
    for group in groups:
        labels = {frozenset(clip.labels) for clip in group}
        speakers = {clip.speaker for clip in group}
        labels_differ += len(labels) > 1
        speakers_differ += len(speakers) > 1
    return Copies(
        groups=len(groups),
        clips=sum(map(len, groups)),
        labels_differ=labels_differ,
        speakers_differ=speakers_differ,
    )


def _division(name: str, protocol: Protocol, corpus: Corpus) -> Division:
    summary = protocol.summary
    try:
        folds = protocol.split(corpus.clips, corpus.content)
        findings = check(folds, corpus.clips, protocol, corpus.content)
    except BenchError as error:
        return Division(name, summary, notes=protocol.notes, violation=str(error))
    sizes = []
    for fold in folds:
        sizes.append((fold.name, len(fold.train), len(fold.valid), len(fold.test)))
    notes = (*protocol.notes, *findings)
    return Division(name, summary, tuple(sizes), split_hash(folds), notes)


def _lines(card: Card) -> Iterator[str]:
    yield f"{card.task} · {card.title}"
    for name, text in _facts(card).items():
        yield f"  {name:{INDENT}}{text}"
    for warning in card.warnings:
        yield f"  {'WARNING':{INDENT}}{warning}"
    for division in card.divisions:
        yield from _division_lines(division, division.name == card.default)


def _facts(card: Card) -> dict[str, str]:
    expected = card.expected or Expected(clips=0)
    speakers = (
        f"{card.speakers:,}{_of(expected.speakers)}" if card.speakers else "unknown"
    )
    rates = [
        f"{rate:,} Hz ({count:,} files)" for rate, count in sorted(card.rates.items())
    ]
    missing = [f"{count:,} clips ({reason})" for reason, count in card.missing.items()]
    return {
        "clips": f"{card.clips:,}{_of(expected.clips)}",
        "hours": f"{card.hours:.2f}{_of(expected.hours)}",
        "speakers": speakers,
        "classes": _classes_text(card.labels, expected.labels),
        "seconds": SPREAD.format(*card.seconds),
        "recorded at": ", ".join(rates) + _published_at(card),
        "copies": _copies_text(card.copies),
        "missing": ", ".join(missing) or "none",
        "checksum": card.checksum,
    }


def _classes_text(counts: Mapping[str, int], expected: Mapping[str, int]) -> str:
    texts = []
    for label, count in counts.items():
        complete = _of(expected.get(label))
        texts.append(f"{label} {count:,}{complete}")
    return ", ".join(texts)


def _published_at(card: Card) -> str:
    """`; published at 48,000 Hz`, where the files of this copy are of another rate."""
    published = card.expected.rate if card.expected else None
    if published is None or set(card.rates) <= {published}:
        return ""
    return f"; published at {published:,} Hz"


def _of(expected: float | None) -> str:
    """` of 535`, where the number in a complete copy is known."""
    return f" of {expected:,}" if expected else ""


def _copies_text(copies: Copies) -> str:
    if not copies.groups:
        return "none: all audio is different"
    plural = "s" if copies.groups > 1 else ""
    return (
        f"{copies.groups:,} group{plural} of identical audio, {copies.clips:,} clips; "
        f"{copies.labels_differ:,} with different labels, "
        f"{copies.speakers_differ:,} with different speakers"
    )


def _division_lines(division: Division, default: bool) -> Iterator[str]:
    mark = " (default)" if default else ""
    yield f"  protocol {division.name}{mark}: {division.summary}"
    if division.violation:
        yield f"    CANNOT BE USED {division.violation}"
    for name, train, valid, test in division.sizes:
        title = f"fold {name}"
        yield f"    {title:{INDENT}}{train:,} train, {valid:,} valid, {test:,} test"
    for note in division.notes:
        yield f"    {'note':{INDENT}}{note}"
