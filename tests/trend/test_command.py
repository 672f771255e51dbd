"""`bench trend` from end to end, on tables."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from bench.trend.analysis import FULL
from tests.trend.examples import Bench, printed, write


def test_segments_that_are_written_are_read_again(
    bench: Bench, example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = printed(
        bench, capsys, "--probabilities", example, "--segments", "again.csv"
    )
    assert printed(bench, capsys, "--probabilities", "again.csv") == first


@pytest.mark.parametrize("format", ["text", "markdown", "csv", "latex", "html"])
def test_formats(bench: Bench, example: Path, tmp_path: Path, format: str) -> None:
    assert (
        bench("trend", "--probabilities", example, "--format", format, "-o", "out") == 0
    )
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "risk" in text
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {row["kind"] for row in rows} == {"group", "comparison", "correlation"}
        assert (
            next(
                row["mean"]
                for row in rows
                if row["group"] == "risk" and row["stage"] == FULL
            )
            == "2.0"
        )
    else:
        assert "biases NSS low" in " ".join(text.split())
        assert "2.0" in text


@pytest.mark.parametrize(
    ("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_figures(
    bench: Bench, example: Path, tmp_path: Path, suffix: str, begins: bytes
) -> None:
    assert (
        bench(
            "trend", "--probabilities", example, "--figure", f"f.{suffix}", "-o", "out"
        )
        == 0
    )
    content = (tmp_path / f"f.{suffix}").read_bytes()
    assert content.startswith(begins)
    if suffix == "svg":
        drawn = content.decode()
        assert "a1 · risk · score 3" in drawn
        assert "NSS 3 of 4, ECR 0.267" in drawn
        assert "a3 · risk" not in drawn  # by default, only calls that have a trend
        assert "grey: the first 30" in drawn


def test_a_figure_shows_the_calls_that_are_named(
    bench: Bench, example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["trend", "--probabilities", example, "--figure", "f.svg"]
    assert bench(*arguments, "--show-calls", "b3,a3") == 0
    drawn = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert "b3 · other" in drawn
    assert "a3 · risk" in drawn
    assert "a1 · risk" not in drawn
    assert bench(*arguments, "--show-calls", "b3,a33") == 2
    assert "a33 (did you mean a3?)" in capsys.readouterr().err


def test_a_figure_is_drawn_whatever_calls_are_called(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        ["$甲_", 1, "\U00012000", 0.2],
        ["$甲_", 2, "\U00012000", 0.6],
    ]  # of cuneiform no machine here has a font
    path = write(tmp_path / "p.csv", "call,order,group,negative", rows)
    assert (
        bench("trend", "--probabilities", path, "--figure", "f.png", "-o", "out") == 0
    )
    assert "boxes stand for characters that no font here has" in capsys.readouterr().err
    assert (tmp_path / "f.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs RUN with --calls FILE, or --probabilities FILE alone"),
        (["byol-s@demo"], "needs RUN with --calls FILE"),
        (
            ["byol-s@demo", "--probabilities", "example.csv"],
            "--probabilities stands alone",
        ),
        (["byol-s@demo", "--calls", "no.csv"], "no table of calls at no.csv"),
        (
            ["--probabilities", "example.csv", "--show-calls", "a"],
            "--show-calls needs --figure",
        ),
        (
            ["--probabilities", "example.csv", "--figure", "f.gif"],
            "f.gif must end in .png, .svg or .pdf",
        ),
        (
            ["--probabilities", "example.csv", "--figure", "no/f.png"],
            "no folder no to write f.png to",
        ),
    ],
)
def test_what_does_not_go_together(
    bench: Bench,
    example: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert bench("trend", *arguments) == 2
    assert said in capsys.readouterr().err


def test_help_and_usage_errors_import_nothing_heavy_and_a_table_needs_no_store(
    example: Path, tmp_path: Path
) -> None:
    script = (
        "import sys\nfrom bench.cli.app import main\n"
        "def loaded(*words):\n"
        " sys.argv = ['bench', 'trend', *words]\n"
        " try: main()\n"
        " except SystemExit: pass\n"
        " return {'numpy', 'scipy', 'matplotlib', 'mlflow', 'torch'} & set(sys.modules)\n"
        "assert not loaded('--help')\nassert not loaded()\n"
        "assert loaded('--probabilities', 'example.csv') == {'numpy', 'scipy'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["example.csv"]
