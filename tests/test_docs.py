"""The pages keep their word: the templates of CONTRIBUTING run as they stand, the README's commands
exist.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, write_tones

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def template(name: str) -> str:
    """The code that CONTRIBUTING tells to write to a file."""
    match = re.search(
        rf"`{re.escape(name)}`.*?```python\n(.*?)```", CONTRIBUTING, re.DOTALL
    )
    assert match, f"CONTRIBUTING has no code for {name}"
    return match[1]


@pytest.mark.parametrize(
    ("name", "most"), [("backbones/loudness.py", 30), ("tasks/folders.py", 40)]
)
def test_templates_are_short(name: str, most: int) -> None:
    assert len(template(name).splitlines()) <= most


def test_templates_run_as_they_stand(tmp_path: Path, results: Path) -> None:
    """As one more file in each folder: listed, prepared, trained, and in the table."""
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=no_caches)
    for package, file in (("backbones", "loudness"), ("tasks", "folders")):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=no_caches)
        (tmp_path / package / f"{file}.py").write_text(
            template(f"{package}/{file}.py"), encoding="utf-8"
        )
    corpus = tmp_path / "corpus"
    for path in sorted(
        write_tones(tmp_path / "tones", speakers="abcdefgh").glob("*.wav")
    ):
        label, speaker, number = path.stem.split("_")
        if label != "middle":
            folder = corpus / {"low": "calm", "high": "angry"}[label]
            folder.mkdir(parents=True, exist_ok=True)
            path.rename(folder / f"{speaker}_{number}.wav")

    def bench(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-m", "bench", *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "loudness" in bench("list", "backbones")
    assert "8" in bench("prepare", "folders", "--data", f"folders={corpus}")
    table = bench(
        "run",
        "-b",
        "loudness",
        "-t",
        "folders",
        "--data",
        f"folders={corpus}",
        "--results",
        str(results),
        "--format",
        "csv",
    )
    header, row = (line.split(",") for line in table.splitlines()[:2])
    assert row[header.index("status")] == "ok"
    assert float(row[header.index("UA")]) > 0.9


def test_the_readme_names_only_commands_that_exist() -> None:
    from bench.cli.app import app

    there = {
        c.name or c.callback.__name__ for c in app.registered_commands if c.callback
    }
    named = set(re.findall(r"^bench (\w+)", README, re.MULTILINE))
    assert named >= {"run", "table", "ui", "prepare", "list", "doctor"}
    assert named <= there


def test_the_readme_shows_the_table_of_the_main_job() -> None:
    assert "demo · protocol" in README
    assert "mfcc-stats" in README
    assert "<!--" not in README


def test_links_lead_somewhere() -> None:
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "results").rglob("*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), (
                f"{page.name}: {target}"
            )


def test_nothing_in_git_is_large_or_holds_audio_or_weights() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, files.split("\0")):
        path = ROOT / name
        assert not path.exists() or path.stat().st_size < 1_000_000, name
        assert path.suffix not in {
            ".wav",
            ".flac",
            ".mp3",
            ".ogg",
            ".pt",
            ".pth",
            ".safetensors",
            ".bin",
            ".npy",
        }, name


def test_the_pages_build_offline_without_a_warning(tmp_path: Path) -> None:
    """`mkdocs.yml` is strict: a warning is an error. The reference holds the docstrings."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    reference = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert 'id="bench.contracts.backbone.Backbone.network"' in reference
