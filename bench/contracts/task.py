"""The contract of a task: a corpus, its label set, its split protocols, its provenance, its
published figures.

A task is one file in `tasks/` with one subclass of `Task`; the file's name is the task's name (`_`
reads `-`). Task files import nothing heavy at the top: `bench list` imports them all.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bench.contracts.clip import Clip
from bench.contracts.plugin import Plugin


@dataclass(frozen=True)
class Fold:
    """One train / validation / test division of a corpus, as clip ids. `valid` is cut from the
    training part.
    """

    name: str
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


Split = Callable[
    [Sequence[Clip], Mapping[str, str]], Sequence[Fold]
]  # clips, clip id -> hash of its samples


@dataclass(frozen=True)
class Protocol:
    """A way to divide a corpus, and what it promises.

    `split` is deterministic: the same clips give the same folds, whatever the training seed
    (`bench.splits.protocols` has builders). The harness checks every fold before use
    (`bench.splits.leakage.check`): no clip on two sides ever; no speaker and no identical audio on
    two sides where promised. What is not promised is measured and said under every table.
    """

    summary: str  # one line: how it divides, and whose it is
    split: Split
    speaker_disjoint: bool
    audio_disjoint: bool
    # every fold has the same test part; else every clip is tested once at most
    shared_test: bool = False
    source: str = ""  # paper, table or repository that defined it
    notes: tuple[str, ...] = ()  # caveats that every table made with it must carry


@dataclass(frozen=True)
class Figure:
    """One number of a publication as it is printed there: the text `73.30` in a column `Acc`."""

    column: str
    text: str
    value: float  # the same as a fraction, 0 to 1
    score: str = (
        ""  # our name for it, "WA"; empty where it is not read as one of our scores
    )


@dataclass(frozen=True)
class ClipCounts:
    """The test clips behind published figures; of several folds, all their test clips together."""

    clips: int
    classes: Mapping[str, int] = field(default_factory=dict)  # empty where unknown
    folds: int = 1


@dataclass(frozen=True)
class Published:
    """A row of figures that somebody else printed, shown beside the measured rows and marked
    `published`.

    `scores` are fractions (0 to 1) under the names of `bench.scoring.scores` ("UA", "WA", "F1
    macro", "F1 weighted", "F1 (negative)"), named by what the figure IS, which may differ from its
    column in the paper: then `note` says so. `bench.contracts.published` reads rows from a file,
    with the figures as printed.
    """

    system: str
    scores: Mapping[str, float]
    protocol: str  # a protocol of the task where it is the same one, else a few words
    source: str  # citation, with table
    note: str = ""
    figures: tuple[Figure, ...] = ()  # as printed, where the printed text is known
    test_part: ClipCounts | None = None  # None where unknown


@dataclass(frozen=True)
class Expected:
    """What a complete copy of the corpus holds; `bench prepare` compares it with what is found."""

    clips: int
    speakers: int | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    hours: float | None = None
    rate: int | None = None  # Hz of the published files

    def differences(self, clips: Sequence[Clip]) -> tuple[str, ...]:
        """What `clips` have more or less than a complete copy, as caveats; empty if nothing."""
        uses = Counter(label for clip in clips for label in clip.labels)
        pairs = {
            "clips": (len(clips), self.clips),
            **{f"clips of {k}": (uses[k], n) for k, n in self.labels.items()},
        }
        if self.speakers is not None:
            pairs["speakers"] = (
                len({clip.speaker for clip in clips if clip.speaker}),
                self.speakers,
            )
        said = [
            f"{found:,} {what} instead of {meant:,}"
            for what, (found, meant) in pairs.items()
            if found != meant
        ]
        return (f"not the complete corpus: {', '.join(said)}",) if said else ()


class Task(Plugin, ABC):
    """A corpus and the rules by which systems are compared on it."""

    title: ClassVar[str]
    labels: tuple[str, ...]  # in table order
    languages: tuple[str, ...]  # ISO 639-1
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    url: ClassVar[str] = ""
    obtain: ClassVar[str] = (
        ""  # how to get the corpus: completes the error about its absence
    )
    expected: Expected | None = None
    published: tuple[Published, ...] = ()
    positive: str | None = None  # the class a binary task is about
    multilabel: bool = False
    private: bool = (
        False  # no path, file name or manifest text of it leaves the process
    )
    default_protocol: str  # speaker-disjoint wherever speakers are known
    notes: tuple[
        str, ...
    ] = ()  # caveats of the corpus as loaded; read after `clips`; tables carry them

    @property
    def table_digest(self) -> str:
        """Identifies the manifest that the task was made from; empty where it was not."""
        return ""

    @abstractmethod
    def clips(self, root: Path | None) -> list[Clip]:
        """Every labelled clip, in a fixed order; `root` is what the user gave with `--data`, or
        None.

        Reads labels, never audio. Raises CorpusError if the corpus is absent, if a file the corpus
        must have is missing, or if a label is unknown, naming all of them.
        """

    @abstractmethod
    def protocols(self) -> Mapping[str, Protocol]:
        """The split protocols the task offers, by name."""
