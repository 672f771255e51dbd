"""Errors and costs of the F0 extractors: the tables of results/reference/f0.md.

The truth is the F0 that drives the demo's voice, in sentences 5 to 8 (the constants of the default
extractor were chosen on 1 to 4). Real recordings have no true F0, so the table shows how far
extractors agree with Praat.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from bench.contracts.clip import Recording
from bench.contracts.feature import SAMPLE_RATE
from bench.data.audio import decode
from bench.features.pitch import Extractor, Pitch, missing
from bench.features.pitch_signal import PitchSignal, Variant, largest_peaks
from bench.features.pitch_yin import HOP
from tasks._voice import render
from tasks.demo import clip_ids, reading

CLIPS = 120  # of the folder, at equal distances
Track = Callable[
    [np.ndarray], np.ndarray
]  # samples -> F0 in Hz per frame, 0 where unvoiced


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, help="a folder of recordings")
    folder = parser.parse_args().speech
    clips, truth = demo()
    print(f"Demo, {amount(clips)}, against its true F0\n")
    compare(clips, truth, trackers())
    print("\nThe same clips as signals\n")
    signals(clips, truth)
    if folder:
        real = speech(folder)
        print(f"\nReal speech, {amount(real)}, against Praat\n")
        tracks = trackers()
        compare(real, [tracks["praat"](samples) for samples in real], tracks)


def amount(clips: Sequence[np.ndarray]) -> str:
    seconds = sum(map(len, clips)) / SAMPLE_RATE
    return f"{len(clips)} clips, {seconds:.0f} s"


def speech(folder: Path) -> list[np.ndarray]:
    """The samples of CLIPS recordings, or of all if there are fewer."""
    files = sorted(folder.rglob("*.wav"))
    step = max(1, len(files) // CLIPS)
    return [np.array(decode(Recording(file))) for file in files[::step][:CLIPS]]


def demo() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Samples and true F0 of half of the demo, with pitch alone and with all cues of emotion."""
    ids = [i for i in clip_ids() if i.split(".")[1] in ("s5", "s6", "s7", "s8")]
    made = [render(reading(i, variant)) for variant in ("pitch", "") for i in ids]
    return [m.samples.astype(np.float32) / 32768 for m in made], [m.f0 for m in made]


def trackers() -> dict[str, Track]:
    names = [name for name in get_args(Extractor) if not missing(name)]
    tracks: dict[str, Track] = {
        name: hertz(Pitch(name, log=False, unvoiced="zero")) for name in names
    }
    return tracks | {"piptrack maximum (released)": peaks}


def hertz(pitch: Pitch) -> Track:
    return lambda samples: pitch.track(samples)[:, 0]


def peaks(samples: np.ndarray) -> np.ndarray:
    """The released feature at the frames' centres."""
    found = largest_peaks(samples)
    at = np.arange(1 + len(samples) // HOP) * HOP / 512
    return np.interp(at, np.arange(len(found)), found)


def compare(
    clips: Sequence[np.ndarray], truth: Sequence[np.ndarray], tracks: dict[str, Track]
) -> None:
    """Print the errors and the cost of each extractor."""
    columns = [
        "extractor",
        "gross error %",
        "voicing error %",
        "missed %",
        "false alarm %",
    ]
    columns += ["median cents", "CPU s / 10 s"]
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|")
    seconds = sum(map(len, clips)) / SAMPLE_RATE
    for name, track in tracks.items():
        track(clips[0])  # what a first call loads is not part of its cost
        start = time.process_time()
        found = np.concatenate([track(clip) for clip in clips])
        cost = (time.process_time() - start) / seconds * 10
        row = " | ".join(
            f"{value:.2f}" for value in errors(found, np.concatenate(truth))
        )
        print(f"| {name} | {row} | {cost:.3f} |")


def errors(found: np.ndarray, truth: np.ndarray) -> list[float]:
    """Gross error (more than 20 % off), voicing error, missed, false alarm, all in %.

    The last value is the median error in cents of the frames that are not gross errors.
    """
    voiced = truth > 0
    both = (found > 0) & voiced
    ratio = found[both] / truth[both]
    gross = np.abs(ratio - 1) > 0.2
    shares = [gross, (found > 0) != voiced, found[voiced] == 0, found[truth == 0] > 0]
    percent = [100 * float(share.mean()) for share in shares]
    cents = np.abs(1200 * np.log2(ratio[~gross]))
    median = float(np.median(cents)) if len(cents) else np.nan
    return [*percent, median]


def signals(clips: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> None:
    """Print how far each pitch signal follows the true F0."""
    columns = ["signal", "correlation with log F0, all clips", "within a clip (median)"]
    columns.append("samples equal to the clip's last %")
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|")
    for variant in get_args(Variant):
        signal = PitchSignal(variant)
        values = [signal.extract([clip], None)[0] for clip in clips]  # type: ignore[arg-type]
        pairs = [voiced(v, f) for v, f in zip(values, truth, strict=True)]
        within = float(np.median([correlation(*pair) for pair in pairs]))
        every = np.concatenate([pair[0] for pair in pairs])
        pitches = np.concatenate([pair[1] for pair in pairs])
        total = correlation(every, pitches)
        equal = np.concatenate([v == v[-1] for v in values])
        constant = 100 * float(np.mean(equal))
        print(f"| {variant} | {total:.2f} | {within:.2f} | {constant:.1f} |")


def voiced(values: np.ndarray, f0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The signal and log F0 at the centres of the voiced frames."""
    centres = np.minimum(np.arange(len(f0)) * HOP, len(values) - 1)
    at_frames = values[centres]
    return at_frames[f0 > 0], np.log(f0[f0 > 0])


def correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Pearson's r; 0 where one side is constant."""
    return float(np.corrcoef(left, right)[0, 1]) if np.ptp(left) > 0 else 0.0


if __name__ == "__main__":
    main()
