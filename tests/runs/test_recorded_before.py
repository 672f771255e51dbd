"""What ser-bench 0.1.0 recorded before its rooms were laid out anew is still recorded.

`recorded/` was written at commit 86410a5: a small store, its table, and the fingerprints of every
backbone and variant on the demo task. A changed fingerprint repeats its users' runs, so a test here
fails for good only with a line in CHANGELOG.
"""

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bench

RECORDED = Path(__file__).parent / "recorded"
MARK = b"@RESULTS@"  # stands for the results folder, which had an absolute path
FINGERPRINTS: dict[str, dict[str, Any]] = json.loads(
    (RECORDED / "fingerprints.json").read_text()
)
KINDS = [
    ("finetune", "tiny"),
    ("finetune", "full"),
    ("probe", "tiny"),
    ("probe", "full"),
]
COMMANDS = {
    "finetune": ("run", "-b", "mfcc-stats,whisper-small"),
    "options": ("run", "-b", "pitch-fusion", "--set", "pitch-fusion.epochs=1"),
    "probe": ("run", "-b", "byol-s,mfcc-stats", "--mode", "probe"),
    "tuned": ("run", "-b", "mfcc-stats", "--recipe", "tuned"),
    "search": ("tune", "-b", "mfcc-stats", "--trials", "2"),
}


@pytest.fixture(scope="module")
def demo_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decoded demo corpus, once for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def old_results(tmp_path: Path) -> Path:
    """The old results folder, unpacked."""
    folder = tmp_path / "old"
    with zipfile.ZipFile(RECORDED / "store.zip") as archive:
        archive.extractall(folder)
    for dump in folder.glob("*.sql"):
        script = dump.read_bytes().replace(MARK, str(folder).encode()).decode()
        with sqlite3.connect(dump.with_suffix(".db")) as database:
            database.executescript(script)
        database.close()
        dump.unlink()
    return folder


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_nothing_recorded_is_run_again(
    bench: Bench,
    old_results: Path,
    demo_cache: Path,
    command: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    same = ("-t", "demo", "--scale", "tiny", "--folds", "1")
    where = ("--results", old_results, "--cache", demo_cache)
    assert bench(*command, *same, *where) == 0
    assert "0 recorded now" in capsys.readouterr().err


def test_the_table_is_the_same(
    bench: Bench, old_results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("table", "--results", old_results, "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    expected = json.loads((RECORDED / "table.json").read_text())
    known = [
        {key: row[key] for key in old} for row, old in zip(rows, expected, strict=True)
    ]
    assert known == expected


@pytest.mark.parametrize(("mode", "scale"), KINDS)
def test_fingerprints_are_the_same(
    tmp_path: Path, demo_cache: Path, mode: str, scale: str
) -> None:
    """Of features, runs and pairings, with random weights where the scale is full."""
    names = [key.split()[0] for key in FINGERPRINTS if key.endswith(f" {mode} {scale}")]
    found = fingerprints(names, mode, scale, tmp_path, demo_cache)
    assert found == {name: FINGERPRINTS[f"{name} {mode} {scale}"] for name in names}


def fingerprints(
    names: list[str], mode: str, scale: str, results: Path, cache_folder: Path
) -> dict[str, dict[str, Any]]:
    """Of the first run of each backbone on the demo task, as `bench run --folds 1` plans it."""
    import torch

    from bench import registry
    from bench.data.cache import Cache
    from bench.data.corpus import load
    from bench.runs import plan, selection
    from bench.settings import Settings
    from bench.training import devices

    pretrained = [b.name for b in registry.backbones(names) if b.pretrained]
    settings = Settings(
        backbone=tuple(names),
        task=("demo",),
        mode=mode,  # type: ignore[arg-type]
        scale=scale,  # type: ignore[arg-type]
        folds=1,
        results=results,
        weights={} if scale == "tiny" else dict.fromkeys(pretrained, "random"),
    )
    cache = Cache(cache_folder)
    pairings = plan.plan(
        selection.select(settings),
        settings,
        lambda task: load(task, None, cache),
        lambda asked: devices.precision(asked, torch.device("cpu")),
    )
    planned = {}
    for pairing in pairings:
        assert pairing.ready, pairing.failed
        run = pairing.ready.runs[0]
        features = {
            name: feature.fingerprint for name, feature in run.system.features.items()
        }
        planned[pairing.record.backbone] = {
            "run": run.fingerprint,
            "pairing": pairing.key,
            "features": features,
        }
    return planned
