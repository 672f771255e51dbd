"""A user's own backbone and task, passed as objects: run, resumed, and run again when edited."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.contracts.task import Task
from bench.errors import UsageError
from tests.helpers import ROOT, Tones

SCRIPT = """
import sys

import bench
from bench.contracts.backbone import Backbone
from bench.contracts.clip import Clip, Recording
from bench.contracts.feature import Feature
from bench.contracts.recipe import Recipe
from bench.contracts.task import Protocol, Task
from bench.splits.protocols import speaker_kfold
from dataclasses import dataclass
from pathlib import Path
from torch import nn
import numpy as np

BANDS = 4


@dataclass(frozen=True)
class Bands(Feature):
    pooled = True

    def extract(self, waveforms, device):
        return [bands(waveform) for waveform in waveforms]


def bands(waveform):
    spectrum = np.abs(np.fft.rfft(waveform, 1024))
    parts = np.array_split(spectrum, BANDS)
    return np.log1p([[part.mean() for part in parts]]).astype(np.float32)


class Linear(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(BANDS, classes)

    def forward(self, inputs):
        return self.layer(inputs["bands"].values[:, 0])


class BandEnergy(Backbone):
    summary, reads, citation, licence = "bands", "a spectrum", "none", "MIT"
    pretrained = False

    def recipe(self, setup):
        return Recipe(epochs=1)

    def features(self, setup):
        return {"bands": Bands()}

    def network(self, setup):
        return Linear(setup.classes)


class MyTones(Task):
    title, labels, languages = "Tones", ("high", "low", "middle"), ("en",)
    default_protocol = "speaker"

    def __init__(self, folder):
        super().__init__("my-tones")
        self.folder = folder

    def clips(self, root):
        return [self.clip(path) for path in sorted(self.folder.glob("*.wav"))]

    def clip(self, path):
        label, speaker, _ = path.stem.split("_")
        return Clip(path.stem, Recording(path), (label,), speaker)

    def protocols(self):
        split = speaker_kfold(2)
        return {"speaker": Protocol("2 folds", split, speaker_disjoint=True, audio_disjoint=True)}


folder = Path(sys.argv[1])
result = bench.run([BandEnergy, "mfcc-stats"], MyTones(folder), scale="tiny", save_weights=True)
print(result.summary)
print(sorted(result.frame["backbone"]), set(result.frame["task"]), set(result.frame["status"]))
again = bench.run(BandEnergy(sys.argv[2]), MyTones(folder), scale="tiny", save_weights=True)
print(again.summary)
run = bench.table(BandEnergy).frame["fingerprints"][0][0]
print(bench.predict(run, folder / "low_a_0.wav", backbone=BandEnergy).frame.shape)
"""

Script = Callable[..., list[str]]
FRESH = [
    "4 recorded now, 0 recorded before",
    "['band-energy', 'mfcc-stats'] {'my-tones'} {'ok'}",
    "0 recorded now, 2 recorded before",
    "(1, 7)",
]


@pytest.fixture
def script(results: Path, manifest: Path, tmp_path: Path) -> Script:
    """Run the script with some text replaced; its output, line by line."""

    def run(old: str = "", new: str = "", name: str = "band-energy") -> list[str]:
        assert old in SCRIPT
        path = tmp_path / "script.py"
        path.write_text(SCRIPT.replace(old, new) if old else SCRIPT, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, path, manifest.parent, name],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_objects_run_beside_names_and_an_edit_runs_again(script: Script) -> None:
    assert script() == FRESH
    assert script()[0] == "0 recorded now, 4 recorded before"
    edited = script("BANDS = 4", "BANDS = 5")
    assert edited[0] == "2 recorded now, 2 recorded before"
    assert edited[2:] == FRESH[2:]
    task = script("return [self.clip(path)", "return [self.clip(Path(path))")
    assert task[0] == "4 recorded now, 0 recorded before"


def test_another_name_is_another_backbone(script: Script) -> None:
    assert script(name="louder")[2] == "2 recorded now, 0 recorded before"


class Named(Tones):
    """Tones under a name that is taken."""


def test_a_name_must_be_the_objects_own() -> None:
    with pytest.raises(UsageError, match="the name demo belongs to a registered task"):
        bench.run("mfcc-stats", Named("demo"))
    with pytest.raises(UsageError, match="two of the tasks are called named"):
        bench.run("mfcc-stats", [Named, Named])
    with pytest.raises(UsageError, match="'a b' cannot be the name of a task"):
        bench.run("mfcc-stats", Named("a b"))


def test_a_class_must_be_whole() -> None:
    class Empty(Task):
        """A task without its methods."""

    class Untitled(Named):
        title = property()

    with pytest.raises(UsageError, match="Empty lacks the methods clips, protocols"):
        bench.run("mfcc-stats", Empty)
    with pytest.raises(UsageError, match="Untitled lacks title"):
        bench.run("mfcc-stats", Untitled)


def test_a_cluster_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot import Named.*executor='local'"):
        bench.run("mfcc-stats", Named, executor="ray")


def test_anything_else_is_no_plugin() -> None:
    with pytest.raises(UsageError, match="a name or a path is expected, not 3"):
        bench.run(3, "demo")
