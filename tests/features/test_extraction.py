"""Extraction: once per content, cached at once, and the same however it was interrupted."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch

import bench.features.extraction
from bench.contracts.clip import Clip, Recording
from bench.contracts.feature import Feature
from bench.contracts.task import Protocol, Task
from bench.contracts.weights import Weights
from bench.data.cache import Cache
from bench.data.corpus import Corpus
from bench.errors import BenchError
from bench.features.extraction import Extracted, extract
from bench.features.opensmile import Smile
from bench.features.pitch_signal import PitchSignal
from bench.features.signal import LogMel, Mfcc, Statistics, Waveform
from bench.progress import display
from tests.helpers import PATIENCE, ROOT

CPU = torch.device("cpu")
RANDOM = Weights("random", "random")
LENGTHS = (4_000, 2_000, 3_000, 1_000, 3_000)


class Given(Task):
    title = "Given"
    labels = ("calm",)
    languages = ("en",)
    default_protocol = "none"

    def clips(self, root: Path | None) -> list[Clip]:
        return []

    def protocols(self) -> Mapping[str, Protocol]:
        return {}


@dataclass(frozen=True)
class Counting(Feature):
    """Twice the samples; notes the lengths of each call, and fails where it is told to."""

    calls: ClassVar[list[list[int]]] = []
    factor: float = 2.0
    weights: Weights = RANDOM
    fails_at: int = 0

    def extract(
        self, waveforms: Sequence[np.ndarray], device: torch.device
    ) -> list[np.ndarray]:
        if self.fails_at in [len(w) for w in waveforms]:
            raise KeyboardInterrupt
        assert torch.is_inference_mode_enabled()
        self.calls.append([len(w) for w in waveforms])
        return [np.float32(self.factor) * w[:, None] for w in waveforms]


@pytest.fixture(autouse=True)
def calls() -> list[list[int]]:
    Counting.calls.clear()
    return Counting.calls


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def make(cache: Cache, twins: bool = False) -> Corpus:
    waves = [np.full(n, 0.01 * k, np.float32) for k, n in enumerate(LENGTHS)]
    if twins:
        waves[4] = waves[2]
    content = {f"c{k}": cache.put_waveform(f"s{k}", w) for k, w in enumerate(waves)}
    clips = tuple(
        Clip(id, Recording(data=b""), ("calm",), where=f"row {id}") for id in content
    )
    return Corpus(
        Given("given"),
        clips,
        content,
        {f"c{k}": len(w) / 16_000 for k, w in enumerate(waves)},
    )


def run(feature: Feature, corpus: Corpus, cache: Cache, **more: object) -> Extracted:
    return extract(feature, corpus, cache, more.pop("device", CPU), **more)  # type: ignore[arg-type]


def test_what_is_cached_is_not_computed_again(
    cache: Cache, calls: list[list[int]]
) -> None:
    corpus = make(cache)
    first = run(Counting(), corpus, cache)
    assert calls == [[n] for n in LENGTHS]
    again = run(Counting(), corpus, cache)
    assert len(calls) == 5
    for found in (first, again):
        assert np.array_equal(
            found.array("c2"), np.full((3_000, 1), 2 * np.float32(0.02))
        )
        assert found.frames("c2") == 3_000


def test_parameters_weights_and_samples_miss_the_cache(
    cache: Cache, calls: list[list[int]]
) -> None:
    corpus = make(cache)
    run(Counting(), corpus, cache, clips=["c1"])
    run(Counting(weights=Weights("elsewhere", "random")), corpus, cache, clips=["c1"])
    assert len(calls) == 1
    run(Counting(factor=3.0), corpus, cache, clips=["c1"])
    assert len(calls) == 2
    run(Counting(weights=Weights("random", "another")), corpus, cache, clips=["c1"])
    assert len(calls) == 3
    samples = np.array(cache.waveform(corpus.content["c1"]))
    samples[7] = np.nextafter(samples[7], 1)
    changed = Corpus(
        corpus.task,
        corpus.clips,
        {"c1": cache.put_waveform("new", samples)},
        corpus.seconds,
    )
    run(Counting(), changed, cache, clips=["c1"])
    assert len(calls) == 4


def test_only_the_clips_asked_for(cache: Cache, calls: list[list[int]]) -> None:
    run(Counting(), make(cache), cache, clips={"c3", "c1"})
    assert calls == [[2_000], [1_000]]


def test_identical_audio_is_computed_once(cache: Cache, calls: list[list[int]]) -> None:
    found = run(Counting(), make(cache, twins=True), cache)
    assert len(calls) == 4
    assert np.array_equal(found.array("c2"), found.array("c4"))


def test_an_interrupted_extraction_keeps_what_it_had(
    cache: Cache, calls: list[list[int]]
) -> None:
    corpus = make(cache)
    with pytest.raises(KeyboardInterrupt):
        run(Counting(fails_at=1_000), corpus, cache)
    assert len(calls) == 3
    fingerprint = Counting(fails_at=1_000).fingerprint
    assert [
        cache.open(fingerprint, corpus.content[f"c{k}"]) is not None for k in range(5)
    ] == [
        1,
        1,
        1,
        0,
        0,
    ]


def test_on_an_accelerator_clips_go_together_longest_first(
    cache: Cache, calls: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make(cache)
    found = run(
        Counting(), corpus, cache, device=torch.device("meta")
    )  # which the feature never touches
    assert calls == [[4_000, 3_000, 3_000, 2_000, 1_000]]
    assert found.frames("c3") == 1_000
    calls.clear()
    monkeypatch.setattr(bench.features.extraction, "BATCH_SECONDS", 0.5)
    run(Counting(factor=1.0), corpus, cache, device=torch.device("meta"))
    assert calls == [[4_000, 3_000], [3_000, 2_000], [1_000]]
    calls.clear()
    monkeypatch.setattr(bench.features.extraction, "BATCH_CLIPS", 1)
    run(Counting(factor=0.5), corpus, cache, device=torch.device("meta"))
    assert len(calls) == 5


def test_batches_that_do_not_fit_are_halved(cache: Cache) -> None:
    @dataclass(frozen=True)
    class Heavy(Counting):
        limit: int = 2

        def extract(
            self, waveforms: Sequence[np.ndarray], device: torch.device
        ) -> list[np.ndarray]:
            if len(waveforms) > self.limit:
                raise torch.OutOfMemoryError("too much")
            return super().extract(waveforms, device)

    corpus = make(cache)
    found = run(Heavy(), corpus, cache, device=torch.device("meta"))
    assert [found.frames(f"c{k}") for k in range(5)] == list(LENGTHS)
    with pytest.raises(
        BenchError,
        match=r"heavy of a clip of 0\.2 s does not fit into the memory of meta",
    ):
        run(Heavy(limit=0), corpus, cache, device=torch.device("meta"))


def test_arrays_are_read_only_and_beyond_the_budget_mapped(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.features.extraction, "HELD", 4_000 * 4)
    found = run(Counting(), make(cache), cache)
    for id in ("c0", "c1", "c0", "c1"):
        with pytest.raises(ValueError, match="read-only"):
            found.array(id)[0] = 1
    assert found.array("c0") is found.array("c0")
    assert found.array("c1") is not found.array("c1")
    assert found.array("c1")[5, 0] == 2 * np.float32(0.01)


def test_a_feature_that_is_not_cached_leaves_no_file(cache: Cache) -> None:
    corpus = make(cache)
    found = run(Waveform(), corpus, cache)
    assert np.array_equal(
        found.array("c2"), np.asarray(cache.waveform(corpus.content["c2"]))
    )
    assert found.frames("c2") == 3_000
    assert not found.array("c2").flags.writeable
    assert not (cache.root / "features").exists()


@pytest.mark.parametrize("cached", [True, False])
def test_values_that_are_not_finite_name_feature_and_clip(
    cache: Cache, cached: bool
) -> None:
    @dataclass(frozen=True)
    class Broken(Feature):
        def extract(
            self, waveforms: Sequence[np.ndarray], device: torch.device
        ) -> list[np.ndarray]:
            return [
                np.full((2, 2), np.nan if len(w) == 2_000 else 0, np.float32)
                for w in waveforms
            ]

    Broken.cached = cached
    corpus = make(cache)
    with pytest.raises(
        BenchError,
        match="the feature broken has values that are not finite for row c1: check",
    ):
        run(Broken(), corpus, cache).array("c1")
    assert cache.open(Broken().fingerprint, corpus.content["c1"]) is None


def test_damaged_arrays_are_computed_again(
    cache: Cache, calls: list[list[int]]
) -> None:
    corpus = make(cache)
    whole = run(Counting(), corpus, cache).array("c2")
    (path,) = cache.root.glob(f"features/*/*/{corpus.content['c2']}.npy")
    content = bytearray(path.read_bytes())
    content[1000:1004] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    calls.clear()
    found = run(Counting(), corpus, Cache(cache.root)).array("c2")
    assert calls == [[LENGTHS[2]]]
    assert np.array_equal(found, whole)


def test_damaged_audio_is_decoded_again(
    cache: Cache, tmp_path: Path, calls: list[list[int]]
) -> None:
    wave = np.full(3_000, 0.25, np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 16_000)
    clip = Clip("a", Recording(tmp_path / "a.wav"), ("calm",))
    content = cache.put_waveform("s", wave)
    corpus = Corpus(Given("given"), (clip,), {"a": content}, {"a": 3_000 / 16_000})
    (path,) = cache.root.rglob(f"{content}.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found = run(Counting(), corpus, Cache(cache.root)).array("a")
    assert np.array_equal(found[:, 0], 2 * wave)


def test_a_clip_without_frames_is_an_error(cache: Cache) -> None:
    @dataclass(frozen=True)
    class Nothing(Feature):
        def extract(
            self, waveforms: Sequence[np.ndarray], device: torch.device
        ) -> list[np.ndarray]:
            return [np.zeros((0, 3), np.float32) for _ in waveforms]

    with pytest.raises(
        BenchError, match="the feature nothing has no frames for row c0"
    ):
        run(Nothing(), make(cache), cache)


def test_a_cache_cleared_while_in_use_says_so(cache: Cache) -> None:
    found = run(Counting(), make(cache), cache)
    cache.clear()
    with pytest.raises(BenchError, match="was cleared or damaged while it was in use"):
        found.array("c0")


def test_progress_names_the_feature_as_its_user_does(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make(cache)
    extract(Mfcc(), corpus, cache, CPU)
    assert capsys.readouterr() == ("", "")
    with display.shown(verbose=True):
        extract(LogMel(), corpus, cache, CPU)
        extract(LogMel(), corpus, cache, CPU)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("feature log-mel: 5/5 clips in ")


def test_features_have_names_for_users() -> None:
    features = [LogMel(), Statistics(Mfcc()), PitchSignal(), Smile("IS10"), Counting()]
    assert [feature.title for feature in features] == [
        "log-mel",
        "statistics of mfcc",
        "pitch-signal",
        "openSMILE IS10",
        "counting",
    ]


SLOW = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np, torch
from bench.data.cache import Cache
from bench.features.extraction import extract
from bench.contracts.feature import Feature
from tests.features.test_extraction import make

calls = 0

@dataclass(frozen=True)
class Slow(Feature):
    def extract(self, waveforms, device):
        if sys.argv[3] == "slow":
            print("one", flush=True)
            global calls
            calls += 1
            if calls == 3:
                time.sleep(3600)  # the third is in hand until this process is killed
        return [w[:, None] + np.float32(1) for w in waveforms]

cache = Cache(Path(sys.argv[1]))
found = extract(Slow(), make(cache), cache, torch.device("cpu"))
print(sum(float(found.array(f"c{k}").sum()) for k in range(5)), flush=True)
"""


def start(cache: Cache, pace: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SLOW, str(cache.root), str(ROOT), pace]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_killed_extractions_and_several_at_once_end_with_the_same_entries(
    tmp_path: Path,
) -> None:
    killed = start(Cache(tmp_path / "a"), "slow")
    assert killed.stdout is not None
    for _ in range(3):  # so two clips are done for sure
        assert killed.stdout.readline() == "one\n"
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert 2 <= len(list((tmp_path / "a" / "features").rglob("*.npy"))) <= 3

    racing = [
        start(Cache(tmp_path / folder), "fast") for folder in ("a", "a", "b", "b")
    ]
    totals = {float(process.communicate(timeout=PATIENCE)[0]) for process in racing}
    assert len(totals) == 1
    entries = [
        {
            p.relative_to(tmp_path / f): p.read_bytes()
            for p in (tmp_path / f / "features").rglob("*.npy")
        }
        for f in "ab"
    ]
    assert entries[0] == entries[1]
    assert len(entries[0]) == 5
