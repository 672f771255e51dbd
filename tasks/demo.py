"""A corpus that the project generates: tonal speech-like clips whose emotion is carried by known
cues.

Twelve synthetic speakers (six low voices, six high) read eight sentences of three or four
syllables, each syllable with a lexical tone, in four emotions: 384 clips, 6 minutes. The four
readings of a sentence by a speaker differ in the cues of the emotion (and in the noise), in nothing
else. Directions of the cues: Juslin and Laukka, Psychological Bulletin 129, 2003; their sizes are
ours. docs/demo-corpus.md says what a score on each variant proves.
"""

import tempfile
import wave
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.contracts.clip import Clip, Recording
from bench.contracts.task import Expected, Protocol, Task
from bench.errors import CorpusError, and_more
from bench.paths import home
from bench.splits.protocols import speaker_groups

if TYPE_CHECKING:
    from tasks._voice import Reading

VERSION = 1  # of the sound; each version has a folder of its own

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
        "range": (0.45, 0.85, 0, -1.2),  # octaves: 1 doubles
    },
    "energy": {"level": (9, 4, 0, -6)},  # dB
    "timbre": {
        "tilt": (-4, -2, 0, 5),  # dB per octave
        "breath": (-4, 0, 0, 9),  # dB
        "tract": (0.03, 0.1, 0, -0.05),
    },
    "tempo": {"rate": (0.58, 0.28, 0, -0.52)},  # octaves
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
BASE_LEVEL = (
    -34.0
)  # dB relative to full scale, RMS: the loudest clip's peaks stay below full scale
# dB, aspiration relative to the glottal pulses (which the glottis then takes 30 dB from at 2 kHz)
BASE_BREATH = -44.0


class Demo(Task):
    title = "Demo: synthetic tonal speech made by this project"
    labels = LABELS
    # a tonal language, so that the checkpoints of one are chosen; the syllables mean nothing
    languages = ("vi",)
    licence = "MIT"
    citation = "ser-bench, docs/demo-corpus.md: synthetic, no human voice in it"
    obtain = "it is generated on first use, in seconds"
    expected = Expected(
        clips=384,
        speakers=12,
        labels=dict.fromkeys(LABELS, 96),
        hours=0.1055,  # of every variant, to 1 %
        rate=16_000,
    )
    variants: ClassVar[Mapping[str, str]] = {
        "pitch": "the emotion in mean F0 and F0 range alone",
        "energy": "the emotion in level alone",
        "timbre": "the emotion in spectral tilt, breathiness and formants alone",
        "tempo": "the emotion in syllable rate alone",
    }
    default_protocol = "speaker"
    notes = (
        "synthetic speech: scores say which cues a system hears, not how it does on people",
    )

    def clips(self, root: Path | None) -> list[Clip]:
        """384 clips in the folder `root` (default: in the cache folder), generated in seconds on
        first use.
        """
        corpora = root or home() / "corpora"
        folder = corpora / f"demo-v{VERSION}-{self.variant or 'all'}"
        readings = {clip_id: reading(clip_id, self.variant) for clip_id in clip_ids()}
        if not folder.is_dir():
            _make(folder, readings)
        _require_files(folder, list(readings))
        return [_clip(clip_id, truth, folder) for clip_id, truth in readings.items()]

    def protocols(self) -> Mapping[str, Protocol]:
        groups = []
        for pair in ((1, 2), (3, 4), (5, 6)):
            low = {f"low-{n}" for n in pair}
            high = {f"high-{n}" for n in pair}
            groups.append(low | high)
        speaker = Protocol(
            "3 folds of 4 test speakers, 2 low and 2 high voices",
            speaker_groups(groups),
            speaker_disjoint=True,
            audio_disjoint=True,
        )
        return {"speaker": speaker}


def clip_ids() -> list[str]:
    """`low-1.s1.angry` and so on: speaker, sentence, emotion."""
    numbers = range(1, len(SENTENCES) + 1)
    parts = product(SPEAKERS, numbers, LABELS)
    return [f"{speaker}.s{number}.{label}" for speaker, number, label in parts]


def reading(clip_id: str, variant: str = "") -> "Reading":
    """How a clip is spoken. `tasks._voice.render` gives its samples and its true F0."""
    from tasks._voice import Reading

    speaker, sentence, _ = clip_id.split(".")
    f0, tract, tilt, level, rate = SPEAKERS[speaker]
    change = _changes(clip_id, variant)
    text = SENTENCES[int(sentence[1:]) - 1]
    return Reading(
        name=clip_id,
        syllables=tuple(text.split()),
        f0=f0 * 2 ** (change["semitones"] / 12),
        pitch_range=2 ** change["range"],
        rate=rate * 2 ** change["rate"],
        tract=tract * (1 + change["tract"]),
        tilt=tilt + change["tilt"],
        breath=BASE_BREATH + change["breath"],
        level=BASE_LEVEL + level + change["level"],
    )


def _changes(clip_id: str, variant: str) -> dict[str, float]:
    """How a clip differs from its speaker's habit: by whim, and by the cues of its emotion."""
    from tasks._voice import generator

    speaker, sentence, label = clip_id.split(".")
    changes = {}
    whims = generator(f"{speaker}.{sentence}").uniform(-1, 1, len(WHIM))
    for (name, most), share in zip(WHIM.items(), whims, strict=True):
        changes[name] = float(share * most)
    emotion = LABELS.index(label)
    strength = generator(f"{clip_id} strength").uniform(*STRENGTH)
    for cue in [variant] if variant else CUES:
        for name, offsets in CUES[cue].items():
            changes[name] += float(strength * offsets[emotion])
    return changes


def _clip(clip_id: str, truth: "Reading", folder: Path) -> Clip:
    speaker, sentence, label = clip_id.split(".")
    path = folder / f"{clip_id}.wav"
    meta = {
        "voice": speaker.partition("-")[0],
        "sentence": sentence,
        "syllables": " ".join(truth.syllables),
    }
    for name, value in vars(truth).items():
        if isinstance(value, float):
            meta[name] = f"{value:.4g}"
    return Clip(
        id=clip_id,
        audio=Recording(path),
        labels=(label,),
        speaker=speaker,
        where=str(path),
        meta=meta,
    )


def _require_files(folder: Path, clips: Sequence[str]) -> None:
    present = {path.stem for path in folder.iterdir()}
    absent = [f"{clip_id}.wav" for clip_id in clips if clip_id not in present]
    if absent:
        names = and_more(absent, 3)
        raise CorpusError(
            f"{folder} lacks {len(absent)} clips ({names}): "
            "delete the folder, and it is generated again"
        )


def _make(folder: Path, readings: Mapping[str, "Reading"]) -> None:
    """Write all clips, in a folder that appears whole or not at all; of several processes the first
    wins.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}-", dir=folder.parent
        ) as draft:
            made = Path(draft) / folder.name
            made.mkdir()
            for clip_id, truth in readings.items():
                _write(made / f"{clip_id}.wav", truth)
            made.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise CorpusError(
                f"the demo cannot be written to {folder}: {error}; use another folder"
            ) from error


def _write(path: Path, truth: "Reading") -> None:
    """A 16-bit WAV file."""
    from tasks._voice import SAMPLE_RATE, render

    samples = render(truth).samples.astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
