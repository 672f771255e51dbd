"""EmoDB, the Berlin database of emotional speech: 10 actors say ten German sentences in seven
emotions.

Burkhardt et al., Interspeech 2005. A file's name is speaker, sentence, emotion and version, as in
`03a01Fa.wav`: the sixth character is the first letter of the emotion's German name.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contracts.clip import Clip, Recording
from bench.contracts.published import published
from bench.contracts.task import Expected, Protocol, Task
from bench.errors import CorpusError, and_more
from bench.splits.protocols import leave_one_speaker_out
from tasks._files import differences, folder, media, nested

LETTERS = {  # Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
COUNTS = {
    "anger": 127,
    "boredom": 81,
    "disgust": 46,
    "fear": 69,
    "happiness": 71,
    "sadness": 62,
    "neutral": 79,
}
SPEAKERS = {
    "03": 49,
    "08": 58,
    "09": 43,
    "10": 38,
    "11": 55,
    "12": 35,
    "13": 61,
    "14": 69,
    "15": 56,
    "16": 71,
}
MALE = ("03", "10", "11", "12", "15")
NAME = re.compile(r"(03|08|09|1[0-6])([ab]\d\d)([WLEAFTN])[a-z]?")
FIRST = "03"  # the speaker that Ha's abstract is about
FIGURES = published(__file__)


class EmoDB(Task):
    title = "EmoDB: 10 German actors, 7 emotions"
    labels = tuple(COUNTS)
    languages = ("de",)
    licence = "free for research; see the corpus"
    citation = (
        "Burkhardt et al., A Database of German Emotional Speech, Interspeech 2005"
    )
    url = "http://emodb.bilderbar.info"
    obtain = (
        "download it from http://emodb.bilderbar.info, unpack it and name the folder that holds "
        "wav/03a01Fa.wav with --data emodb=PATH"
    )
    expected = Expected(clips=535, speakers=10, labels=COUNTS, hours=0.413, rate=16_000)
    default_protocol = "speaker"
    published = FIGURES.rows

    def clips(self, root: Path | None) -> list[Clip]:
        """Every clip; files of other names are errors, missing ones a note."""
        top = folder(self.name, root, self.obtain)
        base = nested(top, "wav")
        paths = media(base)
        if not paths:
            raise CorpusError(f"{base} holds no WAV files: {self.obtain}")
        odd = [path.name for path in paths if not NAME.fullmatch(_name(path))]
        if odd:
            raise CorpusError(
                f"{base}: {len(odd)} of {len(paths)} files are not named like 03a01Fa.wav: "
                f"{and_more(odd)}; remove them"
            )
        clips = [_clip(path) for path in sorted(paths, key=_name)]
        missing = differences(self, clips)
        self.notes = (*missing, *_uneven(clips))
        return clips

    def protocols(self) -> Mapping[str, Protocol]:
        return {
            "speaker": Protocol(
                "leave one speaker out: 10 folds; 1 of the other 9 validates",
                leave_one_speaker_out(),
                speaker_disjoint=True,
                audio_disjoint=True,
            ),
            "first-speaker": Protocol(
                f"Ha's: speaker {FIRST} alone is tested; 1 of the other 9 validates",
                leave_one_speaker_out(FIRST),
                speaker_disjoint=True,
                audio_disjoint=True,
                source=f"{FIGURES.sources['ha']}, Table 5, footnote *",
                notes=(
                    f"one speaker of ten: {SPEAKERS[FIRST]} clips, 1 of disgust; "
                    "UA depends on single clips",
                ),
            ),
        }


def _name(path: Path) -> str:
    """A file's name as the corpus writes it, `03a01Fa`, whatever has become of its case."""
    name = path.stem.lower()
    emotion = name[5:6].upper()
    return f"{name[:5]}{emotion}{name[6:]}"


def _clip(path: Path) -> Clip:
    name = _name(path)
    speaker = name[:2]
    letter = name[5]
    meta = {
        "gender": "male" if speaker in MALE else "female",
        "sentence": name[2:5],
        "version": name[6:],
    }
    return Clip(
        id=name,
        audio=Recording(path),
        labels=(LETTERS[letter],),
        speaker=speaker,
        language="de",
        where=str(path),
        meta=meta,
    )


def _uneven(clips: Sequence[Clip]) -> list[str]:
    """Speakers with another number of clips than the corpus has of them."""
    counts = Counter(str(clip.speaker) for clip in clips)
    other = []
    for name, complete in SPEAKERS.items():
        if counts[name] != complete:
            other.append(
                f"{counts[name]} clips of speaker {name} instead of {complete}"
            )
    return [f"not the complete corpus: {', '.join(other)}"] if other else []
