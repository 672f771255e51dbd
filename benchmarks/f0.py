"""Errors and costs of the F0 extractors, the tables of results/reference/f0.md.

The truth is the F0 that drives the demo's voice, in sentences 5 to 8 (1 to 4 chose the default's
constants). Real recordings have none: agreement with Praat is shown.
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

CLIPS = 120  # of the folder, evenly taken
Track = Callable[[np.ndarray], np.ndarray]  # samples -> F0 in Hz per frame, 0 where unvoiced


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, help="a folder of recordings")
    clips, truth = demo()
    print(
        f"Demo, {len(clips)} clips, {sum(map(len, clips)) / SAMPLE_RATE:.0f} s, against its true F0\n"
    )
    compare(clips, truth, trackers())
    print("\nThe same clips as signals\n")
    signals(clips, truth)
    if folder := parser.parse_args().speech:
        files = sorted(folder.rglob("*.wav"))
        real = [
            np.array(decode(Recording(f))) for f in files[:: max(1, len(files) // CLIPS)][:CLIPS]
        ]
        print(
            f"\nReal speech, {len(real)} clips, {sum(map(len, real)) / SAMPLE_RATE:.0f} s, against Praat\n"
        )
        found = trackers()
        compare(real, [found["praat"](x) for x in real], found)


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
    clips: Sequence[np.ndarray], truth: Sequence[np.ndarray], found: dict[str, Track]
) -> None:
    print(
        "| extractor | gross error % | voicing error % | missed % | false alarm % | median cents | CPU s / 10 s |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, track in found.items():
        track(clips[0])  # what a first call loads is not its cost
        start = time.process_time()
        tracks = [track(c) for c in clips]
        seconds = (time.process_time() - start) / sum(map(len, clips)) * SAMPLE_RATE * 10
        row = " | ".join(
            f"{value:.2f}" for value in errors(np.concatenate(tracks), np.concatenate(truth))
        )
        print(f"| {name} | {row} | {seconds:.3f} |")


def errors(found: np.ndarray, truth: np.ndarray) -> list[float]:
    """Gross error (more than 20 % off), voicing error, missed, false alarm in %; median cents where
    not gross.
    """
    both = (found > 0) & (truth > 0)
    ratio = found[both] / truth[both]
    gross = np.abs(ratio - 1) > 0.2
    shares = [gross, (found > 0) != (truth > 0), found[truth > 0] == 0, found[truth == 0] > 0]
    cents = np.abs(1200 * np.log2(ratio[~gross]))
    return [100 * float(s.mean()) for s in shares] + [
        float(np.median(cents)) if len(cents) else np.nan
    ]


def signals(clips: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> None:
    print(
        "| signal | correlation with log F0, all clips | within a clip (median) | samples equal to the clip's last % |"
    )
    print("|---|---|---|---|")
    for variant in get_args(Variant):
        values = [PitchSignal(variant).extract([c], None)[0] for c in clips]  # type: ignore[arg-type]
        frames = [
            v[np.minimum(np.arange(len(f)) * HOP, len(v) - 1)]
            for v, f in zip(values, truth, strict=True)
        ]
        pairs = [(v[f > 0], np.log(f[f > 0])) for v, f in zip(frames, truth, strict=True)]
        within = float(np.median([correlation(*pair) for pair in pairs]))
        total = correlation(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
        constant = 100 * float(np.mean(np.concatenate([v == v[-1] for v in values])))
        print(f"| {variant} | {total:.2f} | {within:.2f} | {constant:.1f} |")


def correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Pearson's r; 0 where one side is constant."""
    return float(np.corrcoef(left, right)[0, 1]) if np.ptp(left) > 0 else 0.0


if __name__ == "__main__":
    main()
