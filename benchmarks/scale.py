"""What a laboratory's grid costs before anything trains: `python benchmarks/scale.py`.

10 tasks, 20 backbones, 5 folds, 5 seeds, 30 trials of each fold: 150,000 runs planned, altered,
fingerprinted and looked up by the harness's own functions, in one process; then once more, as after
a restart, when all are recorded.

Three things are simulated: the corpora (made-up clips, speakers and content hashes, because
planning reads no audio); the values of trials (drawn at random from each backbone's own space,
because Optuna proposes them, not the planner); and the store (a set that answers as
`bench.runs.store.Store` does, because 150,000 runs cannot be trained here to fill a real one, whose
costs `benchmarks/lookups.py` measures). No weights are read: a pinned checkpoint is known by its
commit.
"""

import argparse
import hashlib
import random
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import registry
from bench.contracts.backbone import Backbone
from bench.contracts.clip import Clip, Recording
from bench.contracts.space import Choice, Space
from bench.contracts.task import Protocol, Task
from bench.data.corpus import Corpus
from bench.runs.pairing import Pairing, Ready, fingerprint
from bench.runs.plan import plan
from bench.runs.selection import Selection
from bench.runs.system import altered
from bench.settings import Settings
from bench.splits.protocols import speaker_kfold

SEEDS, TRIALS = 5, 30
KINDS = ("systems", "fingerprints", "look-ups")
# most built-in ones, but not whisper-small-zh, whose revision only the hub knows; and five variants
BACKBONES = [
    "byol-s",
    "mfcc-stats",
    "multistream",
    "multistream:type3",
    "strl",
    "opensmile-svm",
    "feature-fusion",
    "pitch-fusion",
    "pitch-fusion:released",
    "hubert",
    "hubert:released",
    "wav2vec2",
    "wav2vec2:released",
    "wavlm",
    "wavlm:large",
    "xls-r",
    "whisper-small",
    "whisper-medium",
    "whisper-large-v3",
    "whisper-large-v3-turbo",
]


class MadeUp(Task):
    """A corpus of the usual shape: classes and speakers in turn, 5 folds of whole speakers."""

    title, default_protocol = "made up", "speaker"

    def __init__(
        self,
        name: str,
        language: str,
        clips: int,
        speakers: int,
        classes: int,
        seconds: float,
    ) -> None:
        super().__init__(name)
        self.languages = (language,)
        self.size = clips
        self.speakers = speakers
        self.seconds = seconds
        self.labels = tuple(f"emotion {n}" for n in range(classes))

    def clips(self, root: object) -> list[Clip]:
        clips = []
        for n in range(self.size):
            turn, label = divmod(n, len(self.labels))
            speaker = f"s{turn % self.speakers:03}"
            clip = Clip(
                f"{self.name}/{n:05}", Recording(), (self.labels[label],), speaker
            )
            clips.append(clip)
        return clips

    def protocols(self) -> Mapping[str, Protocol]:
        return {
            "speaker": Protocol(
                "5 folds", speaker_kfold(5), speaker_disjoint=True, audio_disjoint=True
            )
        }


TASKS = [  # clips, speakers, classes and mean seconds of a clip as public corpora have them
    MadeUp("acted-a", "de", 500, 10, 7, 2.8),
    MadeUp("acted-b", "it", 600, 6, 7, 3.1),
    MadeUp("acted-c", "zh", 1_200, 12, 6, 1.9),
    MadeUp("acted-d", "en", 1_440, 24, 8, 3.7),
    MadeUp("hotline", "zh", 2_000, 100, 2, 6.0),
    MadeUp("radio", "fa", 3_000, 87, 6, 4.1),
    MadeUp("film", "vi", 5_280, 147, 4, 3.0),
    MadeUp("dialogue", "en", 5_531, 10, 4, 4.5),
    MadeUp("crowd", "en", 7_442, 91, 6, 2.5),
    MadeUp("series", "en", 12_000, 260, 7, 3.2),
]


class SimulatedStore:
    """Answers what is recorded as `bench.runs.store.Store` does."""

    def __init__(self) -> None:
        self.runs: dict[str, set[str]] = {}

    def recorded(self, task: str, network: bool = False) -> set[str]:
        return self.runs.setdefault(task, set())

    def has(self, task: str, fingerprint: str, network: bool = False) -> bool:
        return fingerprint in self.recorded(task)

    def record(self, task: str, fingerprint: str) -> None:
        self.recorded(task).add(fingerprint)


@dataclass
class Count:
    """Runs of one pass, and the seconds that each kind of work took."""

    runs: int = 0
    found: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def corpus(task: Task) -> Corpus:
    """The task's clips with hashes in place of audio."""
    assert isinstance(task, MadeUp)
    clips = tuple(task.clips(None))
    content = {clip.id: hashlib.sha256(clip.id.encode()).hexdigest() for clip in clips}
    seconds = {
        clip.id: task.seconds * (0.5 + n / len(clips)) for n, clip in enumerate(clips)
    }
    return Corpus(task, clips, content, seconds)


def pairings(
    tasks: Sequence[Task], backbones: Sequence[Backbone], seeds: int
) -> list[Pairing]:
    planned = plan(
        Selection(backbones, tasks), Settings(seeds=seeds), corpus, lambda asked: "fp32"
    )
    unable = {
        p.record.backbone: p.failed or p.record.skipped for p in planned if not p.ready
    }
    if unable:
        raise SystemExit(f"cannot be planned here: {unable}")
    return planned


def trials(
    space: Space, first: Mapping[str, Any], count: int, draw: random.Random
) -> Iterator[Mapping[str, Any]]:
    """The default values, then others from all over the space."""
    yield {
        name: first[name] for name, domain in space.items() if domain.holds(first[name])
    }
    for _ in range(count - 1):
        yield {name: _value(domain, draw) for name, domain in space.items()}


def look_up(
    pairing: Pairing, ready: Ready, count: int, store: SimulatedStore, spent: Count
) -> None:
    """Look up every trial of every fold and seed, and record it.

    `spent`: the counters that are increased.
    """
    clock = time.perf_counter
    task = pairing.task.name
    system = ready.system
    space = pairing.backbone.space(system.setup)
    first = {**vars(system.recipe), **vars(system.setup.options)}
    seeds = sorted({run.seed for run in ready.runs})
    for fold in dict.fromkeys(run.fold for run in ready.runs):
        draw = random.Random(f"{pairing.key} {fold.name}")
        for values in trials(space, first, count, draw):
            started = clock()
            changed = altered(pairing.backbone, system, values)
            derived = clock()
            marks = [fingerprint(pairing, changed, fold, seed) for seed in seeds]
            marked = clock()
            for mark in marks:
                spent.found += store.has(task, mark)
                store.record(task, mark)
            spent.runs += len(marks)
            done = clock()
            spent.seconds["systems"] += derived - started
            spent.seconds["fingerprints"] += marked - derived
            spent.seconds["look-ups"] += done - marked


def go_through(
    tasks: Sequence[Task],
    backbones: Sequence[Backbone],
    seeds: int,
    trials: int,
    store: SimulatedStore,
) -> Count:
    """One command, from its plan to its last look-up."""
    spent, started = Count(), time.perf_counter()
    planned = pairings(tasks, backbones, seeds)
    spent.seconds["planning"] = time.perf_counter() - started
    for pairing in planned:
        assert pairing.ready
        look_up(pairing, pairing.ready, trials, store, spent)
    return spent


def _value(domain: Any, draw: random.Random) -> Any:
    if isinstance(domain, Choice):
        return draw.choice(domain.values)
    value = draw.uniform(domain.low, domain.high)
    return round(value) if domain.whole else value


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help=f"trials of each fold [{TRIALS}]"
    )
    trials = parser.parse_args().trials
    started = time.perf_counter()
    backbones = registry.backbones(BACKBONES)
    pairings(TASKS[:1], backbones, 1)
    loading = time.perf_counter() - started
    print(
        f"loading plugins, torch and scikit-learn: {loading:.1f} s, {_peak_mib():.0f} MiB\n"
    )
    columns = [
        "pass",
        "runs",
        "of them recorded",
        "s",
        "runs/s",
        "planning",
        *KINDS,
        "peak MiB",
    ]
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns))
    store = SimulatedStore()
    for title in ("nothing recorded", "all recorded"):
        spent = go_through(TASKS, backbones, SEEDS, trials, store)
        total = sum(spent.seconds.values())
        cells = [title, f"{spent.runs:,}", f"{spent.found:,}"]
        cells += [f"{total:.1f}", f"{spent.runs / total:,.0f}"]
        cells += [f"{spent.seconds[kind]:.1f} s" for kind in ("planning", *KINDS)]
        cells.append(f"{_peak_mib():.0f}")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
