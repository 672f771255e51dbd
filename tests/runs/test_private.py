"""A private task leaves nothing of its manifest behind, whatever happens to its runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import write_tones

PLANTED = (
    "Zhang-Wei",
    "ward7",
    "verzweifelt",
    "ruhig",
    "sitzung",
    "klinik",
)  # in paths, file names, labels, speakers


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A private manifest whose every name is planted."""
    folder = tmp_path / "klinik-data" / "ward7"
    tones = write_tones(folder / "sitzung")
    lines = []
    for path in sorted(tones.glob("*.wav")):
        label, speaker, number = path.stem.split("_")
        if label == "middle":
            continue
        renamed = path.rename(
            path.with_name(f"Zhang-Wei_{label}_{speaker}_{number}.wav")
        )
        name = {"low": "ruhig", "high": "verzweifelt"}[label]
        lines.append(f"sitzung/{renamed.name},{name},Zhang-Wei-{speaker}")
    path = folder / "sitzungen.csv"
    path.write_text("path,label,speaker\n" + "\n".join(lines) + "\n", encoding="utf-8")
    path.with_suffix(".toml").write_text(
        'private = true\nlanguage = "zh"\n', encoding="utf-8"
    )
    return path


def bench(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def leaks(text: str) -> list[str]:
    return [name for name in PLANTED if name.lower() in text.lower()]


def written(*folders: Path) -> list[str]:
    """Planted names in names and contents of every file below."""
    found = []
    for file in (f for folder in folders for f in folder.rglob("*")):
        found += (
            [f"name of {file}"]
            if any(
                leaks(str(file.relative_to(f)))
                for f in folders
                if file.is_relative_to(f)
            )
            else []
        )
        if file.is_file():
            content = file.read_bytes().lower()
            forms = [
                (n, n.lower().encode(e))
                for n in PLANTED
                for e in ("utf-8", "utf-16-le")
            ]
            found += [f"{name} in {file}" for name, form in forms if form in content]
    return found


def test_a_search_and_its_runs_leave_no_name(
    manifest: Path, results: Path, own_home: Path, tmp_path: Path
) -> None:
    arguments = [
        "-b",
        "mfcc-stats",
        "-t",
        manifest,
        "--set",
        "epochs=3",
        "--results",
        results,
    ]
    done = bench(tmp_path, "tune", "--trials", "2", *arguments)
    assert done.returncode == 0, done.stderr
    assert leaks(done.stdout + done.stderr) == []
    assert written(results, own_home) == []
    assert (
        "class 1"
        in bench(tmp_path, "table", "--results", results, "--format", "json").stdout
    )


def test_failures_leave_no_name(
    manifest: Path, results: Path, own_home: Path, tmp_path: Path
) -> None:
    arguments = ["run", "-b", "mfcc-stats", "-t", manifest, "--results", results]
    exploding = bench(
        tmp_path, *arguments, "--set", "learning_rate=3e37", "--set", "clip_norm=0"
    )
    (tmp_path / "byol.pth").write_bytes(b"no weights")
    broken = bench(
        tmp_path,
        *arguments[:2],
        "byol-s",
        *arguments[3:],
        "--weights",
        "byol-s=byol.pth",
    )
    next(manifest.parent.rglob("*.wav")).write_bytes(b"")
    unreadable = bench(tmp_path, *arguments)
    for done in (exploding, broken, unreadable):
        assert done.returncode == 1, done.stderr
        assert leaks(done.stdout + done.stderr) == []
    assert "row" in unreadable.stderr
    assert written(results, own_home) == []


def test_a_card_names_nothing(manifest: Path, tmp_path: Path) -> None:
    done = bench(tmp_path, "prepare", manifest)
    assert done.returncode == 0, done.stderr
    assert leaks(done.stdout) == []
    assert "class 1" in done.stdout


def test_ids_are_stable_under_one_key_and_unlinkable_under_another(
    manifest: Path, results: Path, own_home: Path, tmp_path: Path
) -> None:
    run = [
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        manifest,
        "--set",
        "epochs=2",
        "--results",
        results,
    ]
    assert bench(tmp_path, *run).returncode == 0
    assert "0 recorded now" in bench(tmp_path, *run).stderr
    key = own_home / "privacy.key"
    assert key.stat().st_mode & 0o077 == 0
    key.unlink()
    assert "0 recorded before" in bench(tmp_path, *run).stderr
