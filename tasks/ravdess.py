"""RAVDESS, its speech part: 24 actors say two sentences in eight emotions.

Livingstone and Russo, PLoS ONE 13(5), 2018. A file's name is
modality-channel-emotion-intensity-statement-repetition-actor, as in
`Actor_01/03-01-05-02-01-01-01.wav`; actors with odd numbers are men, with even numbers women.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from bench.contracts.clip import Clip, Recording
from bench.contracts.published import published
from bench.contracts.task import Expected, Protocol, Task
from bench.errors import CorpusError, and_more
from bench.splits.protocols import consecutive_speakers, speaker_groups, stratified
from tasks._files import differences, folder, media, nested

LABELS = (
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
)  # 01 to 08
STATEMENTS = {
    "01": "Kids are talking by the door",
    "02": "Dogs are sitting by the door",
}
INTENSITIES = {"01": "normal", "02": "strong"}
NESTED = "Audio_Speech_Actors_01-24"  # the archive's own folder
NAME = re.compile(
    r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])"
)
ACTOR = re.compile(r"actor_\d\d", re.IGNORECASE)
SPEECH = ("03", "01")  # modality: audio alone; channel: speech
EMOBOX_FOLDS = (
    ("01", "11", "20", "21"),
    ("04", "10", "12", "14"),
    ("08", "09", "19", "23"),
    ("03", "05", "07", "24"),
    ("02", "15", "16", "18"),
    ("06", "13", "17", "22"),
)

FIGURES = published(__file__)


class Ravdess(Task):
    title = "RAVDESS, speech: 24 actors, 8 emotions"
    labels = LABELS
    languages = ("en",)
    licence = "CC BY-NC-SA 4.0"
    citation = "Livingstone and Russo, PLoS ONE 13(5) e0196391, 2018"
    url = "https://zenodo.org/records/1188976"
    obtain = (
        "download Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976, unpack it "
        "and name the folder that holds Actor_01 to Actor_24 with --data ravdess=PATH"
    )
    expected = Expected(
        clips=1440,
        speakers=24,
        labels={label: 96 if label == "neutral" else 192 for label in LABELS},
        hours=1.48,
        rate=48_000,
    )
    default_protocol = "speaker"
    published = FIGURES.rows

    def clips(self, root: Path | None) -> list[Clip]:
        """Every speech clip; song, video and other names are errors, missing clips a note."""
        top = folder(self.name, root, self.obtain)
        base = nested(top, NESTED)
        paths = []
        for actor in _actors(base):
            paths += media(actor, (".wav", ".mp4"))
        if not paths:
            raise CorpusError(f"{base} holds no Actor_01/*.wav: {self.obtain}")
        faults = []
        for path in paths:
            fault = _fault(path)
            if fault:
                faults.append(f"{path.parent.name}/{path.name} ({fault})")
        if faults:
            raise CorpusError(
                f"{base}: {len(faults)} of {len(paths)} files are not RAVDESS speech: "
                f"{and_more(faults)}; remove them"
            )
        clips = [_clip(path) for path in paths]
        self.notes = differences(self, clips)
        return clips

    def protocols(self) -> Mapping[str, Protocol]:
        return {
            "speaker": Protocol(
                "EmoBox's 6 folds of 4 actors; 3 of the other 20 validate",
                speaker_groups(EMOBOX_FOLDS),
                speaker_disjoint=True,
                audio_disjoint=True,
                source=FIGURES.sources["emobox"],
            ),
            "speaker-3": Protocol(
                "8 folds of 3 consecutive actors; 3 of the other 21 validate",
                consecutive_speakers(3),
                speaker_disjoint=True,
                audio_disjoint=True,
            ),
            "published": Protocol(
                "one random stratified 80/20 division, as STRL-SER's; 15 % of the 80 validate",
                stratified(test=0.2),
                speaker_disjoint=False,
                audio_disjoint=False,
                source=f"{FIGURES.sources['strl-ser']}, section 4",
                notes=(
                    "STRL-SER's own division is not published: the same sizes, other clips",
                ),
            ),
        }


def _actors(base: Path) -> list[Path]:
    """The actors' folders, in order, whatever the case of their names."""
    folders = []
    for path in base.iterdir():
        if ACTOR.fullmatch(path.name) and path.is_dir():
            folders.append(path)
    return sorted(folders, key=lambda path: path.name.lower())


def _fault(path: Path) -> str:
    """What keeps a file from being a RAVDESS speech clip; empty if nothing does."""
    name = NAME.fullmatch(path.stem)
    if not name:
        return "unlike 03-01-05-02-01-01-01.wav"
    if name[2] != SPEECH[1]:
        return "song"
    if name[1] != SPEECH[0] or path.suffix.lower() != ".wav":
        return "video"

    actor = name[7]
    if path.parent.name.lower() != f"actor_{actor}":
        return f"of actor {actor}, in another's folder"
    return ""


def _clip(path: Path) -> Clip:
    _, _, emotion, intensity, statement, repetition, actor = path.stem.split("-")
    meta = {
        "gender": "male" if int(actor) % 2 else "female",
        "intensity": INTENSITIES[intensity],
        "statement": STATEMENTS[statement],
        "repetition": str(int(repetition)),
    }
    label = LABELS[int(emotion) - 1]
    return Clip(
        id=path.stem,
        audio=Recording(path),
        labels=(label,),
        speaker=actor,
        language="en",
        where=str(path),
        meta=meta,
    )
