"""Where the system lends no more memory, batches are halved and the training goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_training_outlives_a_real_lack_of_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.starved", str(tmp_path)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode < 0:
        pytest.skip("a library below torch crashed where it lacked memory")
    assert done.returncode == 0, done.stderr
    plenty, starved, refused, without = done.stdout.splitlines()
    assert plenty == "Convolved 16 1 (16, 2)"
    _, batch_size, accumulate, *shape = starved.split()
    assert int(batch_size) < 16
    assert int(batch_size) * int(accumulate) == 16
    assert shape == ["(16,", "2)"]
    # in a thread whose oneDNN has failed so once, it would fail for ever
    assert refused == "could not create a primitive"
    assert without == "Starved 8 2 (16, 2)"
