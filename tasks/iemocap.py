"""IEMOCAP, its four usual classes: ten actors in five sessions of improvised and scripted dialogue.

Busso et al., Language Resources and Evaluation 42(4), 2008. Each session has a table per dialogue
in `dialog/EmoEvaluation/*.txt`, with a line `[start - end] utterance emotion [valence, ...]` for
each utterance, and the utterances themselves in `sentences/wav/<dialogue>/`. Happy is read with
excited, as is usual.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from bench.contracts.clip import Clip, Recording
from bench.contracts.published import published
from bench.contracts.task import Expected, Fold, Protocol, Split, Task
from bench.errors import CorpusError, and_more
from bench.splits.protocols import speaker_groups, stratified
from tasks._files import differences, folder, inside, media, nested

CODES = {"neu": "neutral", "ang": "angry", "sad": "sad", "hap": "happy", "exc": "happy"}
OTHERS = (
    "fru",
    "sur",
    "fea",
    "dis",
    "oth",
    "xxx",
)  # labelled, and of none of the four classes
KNOWN = (*CODES, *OTHERS)
LABELS = ("neutral", "angry", "sad", "happy")
COUNTS = {"neu": 1708, "ang": 1103, "sad": 1084, "exc": 1041, "hap": 595}
# of the improvised dialogues: 2,943 together, as in EmoBox's list of files
IMPROVISED_COUNTS = {"neu": 1099, "ang": 289, "sad": 608, "exc": 663, "hap": 284}
RATE = 16_000  # Hz
SESSIONS = tuple(f"Session{n}" for n in range(1, 6))
EVALUATION = ("dialog", "EmoEvaluation")
WAVES = ("sentences", "wav")
NESTED = "IEMOCAP_full_release"  # the archive's own folder
TURN = re.compile(
    r"\[(?P<start>\d+\.\d+) - (?P<end>\d+\.\d+)\]\t(?P<name>\S+)\t(?P<emotion>\w+)\t\["
)
NAME = re.compile(
    r"(?P<session>Ses0[1-5])[FM]_(?P<kind>impro|script)\w*_(?P<gender>[FM])\w+"
)
# what an annotator says of the turn above, of its emotion (C) or its valence (A)
ANNOTATION = re.compile(r"[CA]-[EFM]\d*:")
SAYS_NOTHING = re.compile(r"%.*|\s*")  # the heading, and what stands between turns
# one annotator's emotions, `Neutral;` or `Anger; Frustration;`
RATER = re.compile(r"C-E\d+:\t(?P<emotions>[^\t]*)")
IMPROVISED = "improvised"
KINDS = {"impro": IMPROVISED, "script": "scripted"}
GENDERS = {"F": "female", "M": "male"}

# s -> clips of a complete copy that are at least as long
SEGMENTS = {"1.6": 2352, "1.8": 2236, "2.0": 2118, "2.2": 1997}
MAIN_SEGMENT = "2.0"
FIGURES = published(__file__)


class Iemocap(Task):
    """`neutral angry sad happy`. `Clip.meta` states which happy clips were labelled excited, and
    which clips were improvised.
    """

    title = "IEMOCAP: 10 actors in English dialogue, 4 emotions"
    labels = LABELS
    languages = ("en",)
    licence = "IEMOCAP's, for research; see the corpus"
    citation = "Busso et al., IEMOCAP, Language Resources and Evaluation 42(4), 2008"
    url = "https://sail.usc.edu/iemocap/"
    obtain = (
        "ask for it at https://sail.usc.edu/iemocap/, unpack it and name the folder that holds "
        "Session1 to Session5 with --data iemocap=PATH"
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
        self.complete = _expected(self.improvised, self.excited_only)
        self.expected = self.complete

    def clips(self, root: Path | None) -> list[Clip]:
        """Every utterance of the four classes; turns that cannot be used are errors, other lines
        that cannot be read a note.
        """
        top = folder(self.name, root, self.obtain)
        base = nested(top, NESTED)
        self._check_tables(base)
        faults: list[str] = []
        skipped: list[str] = []
        every: list[Clip] = []
        for name in SESSIONS:
            session = inside(base, name)
            every += _session(session, faults, skipped)
        if faults:
            listed = and_more(faults)
            raise CorpusError(
                f"{base}: {len(faults)} turns cannot be used: {listed}; get a fresh copy"
            )
        clips = [clip for clip in every if self._wanted(clip)]
        self.expected = _lasting(self.complete, clips)
        self.notes = (*differences(self, clips), *_left_out(skipped))
        return clips

    def _check_tables(self, base: Path) -> None:
        """Raise CorpusError for sessions without a folder of tables."""
        absent = []
        for session in SESSIONS:
            tables = inside(base, session, *EVALUATION)
            if not tables.is_dir():
                name = tables.relative_to(base)
                absent.append(name.as_posix())
        if absent:
            listed = and_more(absent)
            raise CorpusError(f"{base} has no {listed}: {self.obtain}")

    def protocols(self) -> Mapping[str, Protocol]:
        pairs = [{f"Ses0{n}F", f"Ses0{n}M"} for n in range(1, 6)]
        protocols = {
            "session": Protocol(
                "leave one session, of 2 actors, out: 5 folds; 1 of the other 8 actors validates",
                speaker_groups(pairs),
                speaker_disjoint=True,
                audio_disjoint=True,
                source=FIGURES.sources["emobox"],
            ),
            "published": _strl(MAIN_SEGMENT),
        }
        for seconds in SEGMENTS:
            if seconds != MAIN_SEGMENT:
                protocols[f"published-{seconds}"] = _strl(seconds)
        return protocols

    def _wanted(self, clip: Clip) -> bool:
        if self.improvised and clip.meta["kind"] != IMPROVISED:
            return False
        return not (self.excited_only and clip.meta["emotion"] == "hap")


def _expected(improvised: bool, excited_only: bool) -> Expected:
    labels = dict.fromkeys(LABELS, 0)
    counts = IMPROVISED_COUNTS if improvised else COUNTS
    for code, count in counts.items():
        if not (excited_only and code == "hap"):
            labels[CODES[code]] += count
    total = sum(labels.values())
    return Expected(clips=total, speakers=10, labels=labels, rate=RATE)


def _lasting(complete: Expected, clips: Sequence[Clip]) -> Expected:
    """The same with the hours that the tables give the clips."""
    seconds = [float(clip.meta["seconds"]) for clip in clips]
    hours = sum(seconds) / 3600
    return replace(complete, hours=hours)


def _left_out(skipped: Sequence[str]) -> Iterator[str]:
    if skipped:
        places = and_more(skipped)
        yield f"{len(skipped):,} places in the tables cannot be read: {places}"


def _strl(seconds: str) -> Protocol:
    """STRL-SER's evaluation at one length of its segments, as its figures imply it."""
    clips = f"{SEGMENTS[seconds]:,}"
    strl = FIGURES.sources["strl-ser"]
    return Protocol(
        f"STRL-SER's subset for segments of {seconds} s, one random 80/20 division; "
        "15 % of the 80 validate",
        _of_at_least(float(seconds), stratified(test=0.2)),
        speaker_disjoint=False,
        audio_disjoint=False,
        source=f"{strl}, Table 10: its figures are multiples of 1/n for this n alone",
        notes=(
            f"improvised clips of {seconds} s or more, happy being excited alone: {clips} of a "
            "complete copy; the evaluation set changes with the length of the segments, so results "
            "at two lengths are not of the same clips",
            "STRL-SER's own division is not published: the same sizes, other clips",
        ),
    )


def _of_at_least(seconds: float, split: Split) -> Split:
    """`split` of STRL-SER's subset: improvised, excited but not happy, at least as long as a
    segment.
    """

    def subset(clips: Sequence[Clip], content: Mapping[str, str]) -> Sequence[Fold]:
        chosen = []
        for clip in clips:
            eligible = clip.meta["kind"] == IMPROVISED and clip.meta["emotion"] != "hap"
            if eligible and float(clip.meta["seconds"]) >= seconds:
                chosen.append(clip)
        return split(chosen, content)

    return subset


def _session(session: Path, faults: list[str], skipped: list[str]) -> Iterator[Clip]:
    """The clips of a session.

    Args:
        session: its folder.
        faults: gets the turns that cannot be used.
        skipped: gets the lines that cannot be read, and the tables without a turn.
    """
    waves = inside(session, *WAVES)
    for table in media(inside(session, *EVALUATION), (".txt",)):
        turns = list(_turns(table, skipped))
        if not turns:
            skipped.append(f"{table.name} (no turn)")
        for lines in turns:
            turn = TURN.match(lines[0])
            name = NAME.fullmatch(turn["name"]) if turn else None
            emotion = turn["emotion"] if turn else ""
            if not turn or not name or emotion not in KNOWN:
                faults.append(f"{table.name}: {lines[0][:80]!r}")
            elif emotion in CODES:
                folder = waves / table.stem
                yield _clip(folder, turn, name, lines[1:])


def _turns(table: Path, skipped: list[str]) -> Iterator[list[str]]:
    """The lines of each turn: the first begins with `[`, the annotators' follow it.

    Lines that are neither are added to `skipped`; whose annotators follow them is unknown.
    """
    turn: list[str] = []
    text = table.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if SAYS_NOTHING.fullmatch(line):
            continue
        if turn and ANNOTATION.match(line):
            turn.append(line)
            continue
        if turn:
            yield turn
        turn = []
        if line.startswith("["):
            turn.append(line)
        else:
            skipped.append(f"{table.name}:{number}")
    if turn:
        yield turn


def _clip(
    folder: Path, turn: re.Match[str], name: re.Match[str], annotators: Sequence[str]
) -> Clip:
    path = folder / f"{turn['name']}.wav"
    emotion = turn["emotion"]
    seconds = float(turn["end"]) - float(turn["start"])
    meta = {
        "session": name["session"][-1],
        "kind": KINDS[name["kind"]],
        "emotion": emotion,
        "gender": GENDERS[name["gender"]],
        "seconds": f"{seconds:.4f}",
        "agreement": _agreement(emotion, annotators),
    }
    return Clip(
        id=turn["name"],
        audio=Recording(path),
        labels=(CODES[emotion],),
        # who speaks; the dialogue's own letter is who wears the markers
        speaker=name["session"] + name["gender"],
        language="en",
        where=str(path),
        meta=meta,
    )


def _agreement(emotion: str, annotators: Sequence[str]) -> str:
    """How many of the annotators named the emotion: `2 of 3`."""
    votes = 0
    agreed = 0
    for line in annotators:
        rater = RATER.match(line)
        if rater is None:
            continue
        words = rater["emotions"].split(";")
        codes = [word.strip()[:3].lower() for word in words]
        votes += 1
        agreed += emotion in codes
    return f"{agreed} of {votes}"
