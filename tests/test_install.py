"""The wheel, in an environment that holds nothing else of ours, from another directory."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.helpers import PATIENCE, ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bench` command of a wheel in an empty environment. Its dependencies are those of this
    one, by path.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("ser_bench-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        str(wheel),
    ]
    subprocess.run(install, check=True)
    # a plain path in a .pth file: packages are found, but not the development install's own .pth
    # file
    (Path(site) / "dependencies.pth").write_text(
        sysconfig.get_path("purelib") + "\n", encoding="utf-8"
    )
    return folder / "venv" / "bin" / "bench"


def call(
    command: Path, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def test_it_holds_the_three_packages_and_lists_them(
    installed: Path, tmp_path: Path
) -> None:
    done = call(installed, tmp_path, "list")
    assert done.returncode == 0, done.stderr
    assert all(
        name in done.stdout for name in ("wav2vec2", "byol-s", "visec", "LogMel")
    )
    where = "import bench, backbones, tasks; print(bench.__file__, backbones.__file__, tasks.__file__)"  # noqa: E501 - a table, or code, of one line each
    places = call(installed.with_name("python"), tmp_path, "-c", where).stdout.split()
    assert len(places) == 3
    assert all(str(installed.parents[1]) in place for place in places)


def test_the_main_job_gives_a_whole_table_anywhere(
    installed: Path, tmp_path: Path
) -> None:
    """Every backbone at tiny scale on the demo task: no failed row, offline."""
    done = call(installed, tmp_path, "run", "--format", "json")
    assert done.returncode == 0, done.stderr[-3000:]
    measured = [row for row in json.loads(done.stdout) if row["source"] == "measured"]
    names = {
        path.stem.replace("_", "-") for path in (ROOT / "backbones").glob("[!_]*.py")
    }
    unusual = {"whisper-tiny"}  # `everything` means it, `all` does not
    assert {row["backbone"] for row in measured} == names - unusual
    assert {row["status"] for row in measured} == {"ok"}
    assert all(row["folds"] == row["folds_expected"] for row in measured)
    assert len({row["clips"] for row in measured}) == 1
    assert all(
        0 <= row["UA_low"] <= row["UA"] <= row["UA_high"] <= 1 for row in measured
    )
