"""IEMOCAP, its four usual classes: ten actors in five sessions of improvised and scripted dialogue.

Busso et al., Language Resources and Evaluation 42(4), 2008. Each session has a table per dialogue
in `dialog/EmoEvaluation/*.txt`, with a line `[start - end] utterance emotion [valence, ...]` for
each utterance, and the utterances themselves in `sentences/wav/<dialogue>/`. Happy is read with
excited, as is usual.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from bench.contracts.clip import Clip, Recording
from bench.contracts.published import published
from bench.contracts.task import Expected, Fold, Protocol, Split, Task
from bench.errors import CorpusError
from bench.splits.protocols import speaker_groups, stratified
from tasks._files import folder, listed, media

CODES = {"neu": "neutral", "ang": "angry", "sad": "sad", "hap": "happy", "exc": "happy"}
OTHERS = ("fru", "sur", "fea", "dis", "oth", "xxx")  # labelled, and of none of the four classes
LABELS = ("neutral", "angry", "sad", "happy")
COUNTS = {"neu": 1708, "ang": 1103, "sad": 1084, "exc": 1041, "hap": 595}
SESSIONS = tuple(f"Session{n}" for n in range(1, 6))
NESTED = "IEMOCAP_full_release"  # the archive's own folder
TURN = re.compile(
    r"\[(?P<start>\d+\.\d+) - (?P<end>\d+\.\d+)\]\t(?P<name>\S+)\t(?P<emotion>\w+)\t\["
)
NAME = re.compile(r"(?P<session>Ses0[1-5])[FM]_(?P<kind>impro|script)\w*_(?P<gender>[FM])\w+")
RATER = re.compile(
    r"C-E\d+:\t(?P<said>[^\t]*)"
)  # one annotator's emotions, `Neutral;` or `Anger; Frustration;`
KINDS = {"impro": "improvised", "script": "scripted"}

SEGMENTS = {
    "1.6": 2352,
    "1.8": 2236,
    "2.0": 2118,
    "2.2": 1997,
}  # s -> clips at least as long, of a complete copy
MAIN_SEGMENT = "2.0"
FIGURES = published(__file__)


class Iemocap(Task):
    """`neutral angry sad happy`; `Clip.meta` tells which happy clips were excited, and which were
    improvised.
    """

    title = "IEMOCAP: 10 actors in English dialogue, 4 emotions"
    labels = LABELS
    languages = ("en",)
    licence = "IEMOCAP's, for research; see the corpus"
    citation = "Busso et al., IEMOCAP, Language Resources and Evaluation 42(4), 2008"
    url = "https://sail.usc.edu/iemocap/"
    obtain = (
        "ask for it at https://sail.usc.edu/iemocap/, unpack it and name the folder that holds Session1 to Session5 "
        "with --data iemocap=PATH"
    )
    variants: ClassVar[Mapping[str, str]] = {
        "improvised": "improvised dialogue alone",
        "excited-only": "happy is excited alone; clips labelled happy are left out",
        "improvised-excited-only": "both",
    }
    default_protocol = "session"
    published = FIGURES.rows

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.improvised = self.variant.startswith("improvised")
        self.excited_only = self.variant.endswith("excited-only")
        counts = {
            code: count
            for code, count in COUNTS.items()
            if not (self.excited_only and code == "hap")
        }
        labels = {
            label: sum(n for code, n in counts.items() if CODES[code] == label) for label in LABELS
        }
        if not self.improvised:  # what a complete copy has of it alone is nowhere stated
            self.expected = Expected(clips=sum(labels.values()), speakers=10, labels=labels)

    def clips(self, root: Path | None) -> list[Clip]:
        """Every utterance of the four classes; lines and emotions that cannot be read are errors."""
        top = folder(self.name, root, self.obtain)
        base = top / NESTED if (top / NESTED).is_dir() else top
        if absent := [
            name for name in SESSIONS if not (base / name / "dialog" / "EmoEvaluation").is_dir()
        ]:
            raise CorpusError(
                f"{base} has no {listed([f'{n}/dialog/EmoEvaluation' for n in absent])}: {self.obtain}"
            )
        faults: list[str] = []
        found = [clip for name in SESSIONS for clip in _session(base / name, faults)]
        if faults:
            raise CorpusError(
                f"{base}: {len(faults)} turns cannot be used: {listed(faults)}; get a fresh copy"
            )
        clips = [clip for clip in found if self._wanted(clip)]
        self.notes = self.expected.differences(clips) if self.expected else ()
        return clips

    def protocols(self) -> Mapping[str, Protocol]:
        pairs = [{f"Ses0{n}F", f"Ses0{n}M"} for n in range(1, 6)]
        lengths = {
            f"published{'' if s == MAIN_SEGMENT else f'-{s}'}": s
            for s in sorted(SEGMENTS, key=_main_first)
        }
        return {
            "session": Protocol(
                "leave one session, of 2 actors, out: 5 folds; 1 of the other 8 actors validates",
                speaker_groups(pairs),
                speaker_disjoint=True,
                audio_disjoint=True,
                source=FIGURES.sources["emobox"],
            ),
            **{name: _strl(seconds) for name, seconds in lengths.items()},
        }

    def _wanted(self, clip: Clip) -> bool:
        return not (self.improvised and clip.meta["kind"] != "improvised") and not (
            self.excited_only and clip.meta["emotion"] == "hap"
        )


def _main_first(seconds: str) -> tuple[bool, str]:
    return seconds != MAIN_SEGMENT, seconds


def _strl(seconds: str) -> Protocol:
    """STRL-SER's evaluation at one length of its segments, as its figures give it away."""
    return Protocol(
        f"STRL-SER's subset for segments of {seconds} s, one random 80/20 division; 15 % of the 80 validate",
        _of_at_least(float(seconds), stratified(test=0.2)),
        speaker_disjoint=False,
        audio_disjoint=False,
        source=f"{FIGURES.sources['strl-ser']}, Table 10: its figures are multiples of 1/n for this n alone",
        notes=(
            f"improvised clips of {seconds} s or more, happy being excited alone: {SEGMENTS[seconds]:,} of a complete "
            "copy; the evaluation set changes with the length of the segments, so results at two lengths are not of "
            "the same clips",
            "STRL-SER's own division is not published: the same sizes, other clips",
        ),
    )


def _of_at_least(seconds: float, split: Split) -> Split:
    """`split` of STRL-SER's subset: improvised, excited but not happy, as long as a segment or
    longer.
    """

    def subset(clips: Sequence[Clip], content: Mapping[str, str]) -> Sequence[Fold]:
        improvised = (
            c for c in clips if c.meta["kind"] == "improvised" and c.meta["emotion"] != "hap"
        )
        return split([c for c in improvised if float(c.meta["seconds"]) >= seconds], content)

    return subset


def _session(session: Path, faults: list[str]) -> Iterator[Clip]:
    for table in media(session / "dialog" / "EmoEvaluation", (".txt",)):
        for lines in _turns(table):
            turn = TURN.match(lines[0])
            name = NAME.fullmatch(turn["name"]) if turn else None
            if not turn or not name or turn["emotion"] not in (*CODES, *OTHERS):
                faults.append(f"{table.name}: {lines[0][:80]!r}")
            elif turn["emotion"] in CODES:
                yield _clip(session / "sentences" / "wav" / table.stem, turn, name, lines[1:])


def _turns(table: Path) -> Iterator[list[str]]:
    """The lines of each turn: the first begins with `[`, the annotators' follow it."""
    lines: list[str] = []
    for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("["):
            if lines:
                yield lines
            lines = []
        if lines or line.startswith("["):
            lines.append(line)
    if lines:
        yield lines


def _clip(wav: Path, turn: re.Match[str], name: re.Match[str], annotators: Sequence[str]) -> Clip:
    path, emotion = wav / f"{turn['name']}.wav", turn["emotion"]
    votes = [rater["said"] for line in annotators if (rater := RATER.match(line))]
    agreed = sum(
        any(word.strip()[:3].lower() == emotion for word in said.split(";")) for said in votes
    )
    meta = {
        "session": name["session"][-1],
        "kind": KINDS[name["kind"]],
        "emotion": emotion,
        "gender": {"F": "female", "M": "male"}[name["gender"]],
        "seconds": f"{float(turn['end']) - float(turn['start']):.4f}",
        "agreement": f"{agreed} of {len(votes)}",
    }
    speaker = (
        name["session"] + name["gender"]
    )  # who speaks; the dialogue's own letter is who wears the markers
    return Clip(
        turn["name"],
        Recording(path),
        (CODES[emotion],),
        speaker,
        language="en",
        where=str(path),
        meta=meta,
    )
