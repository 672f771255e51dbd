"""`bench` in this process, and the hand-worked example as a file."""

import sys
from pathlib import Path

import pytest

from bench.cli import app
from tests.trend.examples import Bench, example_rows, write


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """`bench ARGUMENTS`, in this process and the test's folder; its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            app.main()
        return int(done.value.code or 0)

    return call


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return write(
        tmp_path / "example.csv",
        "call,segment,start,end,group,scale,negative",
        list(example_rows()),
    )
