"""A corpus that the project makes itself: tonal speech-like clips whose emotion is carried by known
cues.

Twelve synthetic speakers (six low voices, six high) read eight sentences of three or four
syllables, each syllable with a lexical tone, in four emotions: 384 clips, 6 minutes. The four
readings of a sentence by a speaker differ in the cues of the emotion (and in the noise), in nothing
else. Directions of the cues: Juslin and Laukka, Psychological Bulletin 129, 2003; their sizes are
ours. docs/demo.md says what a score on each variant proves.
"""

import tempfile
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.contracts.clip import Clip, Recording
from bench.contracts.task import Expected, Protocol, Task
from bench.errors import CorpusError
from bench.paths import home
from bench.splits.protocols import speaker_groups

if TYPE_CHECKING:
    from tasks._voice import Reading

VERSION = 1  # of the sound: a new one is made beside the old

LABELS = ("angry", "happy", "neutral", "sad")
SENTENCES = (  # consonant, vowel, tone; every tone seven times
    "ma1 ti2 su4",
    "ka3 le4 no2",
    "si4 mo3 ta1",
    "hu2 na1 ke3",
    "lo3 sa2 mi4 tu1",
    "te4 ni1 ho2 ka3",
    "nu1 ki3 la4 se2",
    "mo2 ha4 ti1 lu3",
)
# middle F0 in Hz, tract (1 is 17.5 cm, more is shorter), tilt in dB per octave, dB, syllables per
# second
SPEAKERS = {
    "low-1": (112, 0.97, 3.5, 0.5, 3.9),
    "low-2": (104, 1.02, 2.5, -1.0, 4.2),
    "low-3": (121, 1.00, 3.0, 1.0, 4.0),
    "low-4": (108, 0.94, 2.0, 1.5, 4.1),
    "low-5": (117, 1.04, 4.0, -1.5, 3.8),
    "low-6": (110, 0.99, 3.0, 0.0, 4.0),
    "high-1": (198, 1.15, 3.0, -0.5, 4.1),
    "high-2": (210, 1.20, 4.0, 1.0, 3.9),
    "high-3": (187, 1.12, 2.5, 1.5, 4.0),
    "high-4": (203, 1.18, 3.5, -1.5, 3.8),
    "high-5": (192, 1.22, 2.0, 0.0, 4.2),
    "high-6": (206, 1.14, 3.0, -1.0, 4.0),
}
# What an emotion adds at full strength, in the order of LABELS; neutral adds nothing and sounds
# alike in all variants.
CUES: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "pitch": {
        "semitones": (3, 5, 0, -3),
        "range": (0.45, 0.85, 0, -1.2),
    },  # range and rate in octaves (1 doubles)
    "energy": {"level": (9, 4, 0, -6)},  # dB
    "timbre": {
        "tilt": (-4, -2, 0, 5),
        "breath": (-4, 0, 0, 9),
        "tract": (0.03, 0.1, 0, -0.05),
    },  # dB/octave, dB, 1
    "tempo": {"rate": (0.58, 0.28, 0, -0.52)},
}
STRENGTH = (0.7, 1.1)  # a clip's share of its cues
WHIM = {  # largest deviation from a speaker's habit, the same in all four readings of a sentence
    "semitones": 0.5,
    "range": 0.15,
    "level": 1.0,
    "tilt": 0.5,
    "breath": 2.0,
    "tract": 0.01,
    "rate": 0.04,
}
BASE_LEVEL = -34.0  # dB relative to full scale, RMS: the loudest clip's peaks stay below full scale
# dB, aspiration relative to the glottal pulses (which the glottis then takes 30 dB from at 2 kHz)
BASE_BREATH = -44.0


class Demo(Task):
    title = "Demo: synthetic tonal speech made by this project"
    labels = LABELS
    languages = (
        "vi",
    )  # a tonal language, so that the checkpoints of one are chosen; the syllables mean nothing
    licence = "MIT"
    citation = "ser-bench, docs/demo.md: synthetic, no human voice in it"
    obtain = "it is made on first use, in seconds"
    expected = Expected(clips=384, speakers=12, labels=dict.fromkeys(LABELS, 96))
    variants: ClassVar[Mapping[str, str]] = {
        "pitch": "the emotion in mean F0 and F0 range alone",
        "energy": "the emotion in level alone",
        "timbre": "the emotion in spectral tilt, breathiness and formants alone",
        "tempo": "the emotion in syllable rate alone",
    }
    default_protocol = "speaker"
    notes = ("synthetic speech: scores say which cues a system hears, not how it does on people",)

    def clips(self, root: Path | None) -> list[Clip]:
        """384 clips; the sound is made, in seconds, unless the folder is there. `root` is where to
        keep it.
        """
        folder = (root or home() / "corpora") / f"demo-v{VERSION}-{self.variant or 'all'}"
        readings = {clip_id: reading(clip_id, self.variant) for clip_id in clip_ids()}
        if not folder.is_dir():
            _make(folder, readings)
        present = {path.stem for path in folder.iterdir()}
        absent = [f"{clip_id}.wav" for clip_id in readings if clip_id not in present]
        if absent:
            named = (
                f"{len(absent)} clips ({', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''})"
            )
            raise CorpusError(f"{folder} lacks {named}: delete the folder and it is made again")
        return [_clip(clip_id, readings[clip_id], folder) for clip_id in readings]

    def protocols(self) -> Mapping[str, Protocol]:
        summary = "3 folds of 4 test speakers, 2 low and 2 high voices"
        groups = [
            {f"{voice}-{n}" for voice in ("low", "high") for n in pair}
            for pair in ((1, 2), (3, 4), (5, 6))
        ]
        return {
            "speaker": Protocol(
                summary, speaker_groups(groups), speaker_disjoint=True, audio_disjoint=True
            )
        }


def clip_ids() -> list[str]:
    """`low-1.s1.angry` and so on: speaker, sentence, emotion."""
    numbers = range(1, len(SENTENCES) + 1)
    return [
        f"{speaker}.s{number}.{label}"
        for speaker in SPEAKERS
        for number in numbers
        for label in LABELS
    ]


def reading(clip_id: str, variant: str = "") -> "Reading":
    """How a clip is spoken: the truth about it. `tasks._voice.render` gives its samples and its F0."""
    from tasks._voice import Reading, generator

    speaker, sentence, label = clip_id.split(".")
    f0, tract, tilt, level, rate = SPEAKERS[speaker]
    whim = generator(f"{speaker}.{sentence}").uniform(-1, 1, len(WHIM))
    strength = generator(f"{clip_id} strength").uniform(*STRENGTH)
    change = {
        name: float(share * most) for (name, most), share in zip(WHIM.items(), whim, strict=True)
    }
    for cue in [variant] if variant else CUES:
        for name, offsets in CUES[cue].items():
            change[name] += float(strength * offsets[LABELS.index(label)])
    return Reading(
        name=clip_id,
        syllables=tuple(SENTENCES[int(sentence[1:]) - 1].split()),
        f0=f0 * 2 ** (change["semitones"] / 12),
        pitch_range=2 ** change["range"],
        rate=rate * 2 ** change["rate"],
        tract=tract * (1 + change["tract"]),
        tilt=tilt + change["tilt"],
        breath=BASE_BREATH + change["breath"],
        level=BASE_LEVEL + level + change["level"],
    )


def _clip(clip_id: str, truth: "Reading", folder: Path) -> Clip:
    speaker, sentence, label = clip_id.split(".")
    path = folder / f"{clip_id}.wav"
    known = {
        name: f"{value:.4g}" for name, value in vars(truth).items() if isinstance(value, float)
    }
    meta = {
        "voice": speaker.partition("-")[0],
        "sentence": sentence,
        "syllables": " ".join(truth.syllables),
        **known,
    }
    return Clip(clip_id, Recording(path), (label,), speaker, where=str(path), meta=meta)


def _make(folder: Path, readings: Mapping[str, "Reading"]) -> None:
    """All clips, in a folder that appears whole or not at all; of several processes the first one's
    stays.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as draft:
            made = Path(draft) / folder.name
            made.mkdir()
            for clip_id, how in readings.items():
                _write(made / f"{clip_id}.wav", how)
            made.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise CorpusError(
                f"the demo cannot be written to {folder}: {error}; use another folder"
            ) from error


def _write(path: Path, how: "Reading") -> None:
    """A 16-bit WAV file."""
    from tasks._voice import SAMPLE_RATE, render

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(render(how).samples.astype("<i2").tobytes())
