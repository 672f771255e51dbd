"""The flags of commands: generated from the settings, explained by `--help`, checked alike."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.settings import Settings, Tuning
from tests.conftest import Bench

FLAGS = [
    field for kind in (Settings, Tuning) for field in dataclasses.fields(kind)
    if field.metadata["group"]
]  # fmt: skip


def help_of(bench: Bench, capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What `--help` prints, as one line without its frames."""
    assert bench(*command, "--help") == 0
    text = re.sub(r"[│╭╰─╮╯]", " ", capsys.readouterr().out)
    return " ".join(text.split())


@pytest.mark.parametrize("field", FLAGS, ids=lambda field: field.name)
def test_every_setting_is_a_flag_that_says_what_it_takes(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    field: "dataclasses.Field[object]",
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    command = "run" if field in dataclasses.fields(Settings) else "tune"
    text = help_of(bench, capsys, command)
    assert f"--{field.name.replace('_', '-')} " in text
    assert field.metadata["help"] in text
    assert field.metadata["group"] in text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (
            "run",
            ["finetune|probe", "full|tiny", "default|tuned", "auto|fp32|bf16|fp16"],
        ),
        (
            "run",
            ["local|ray", "(default: finetune)", "(default: results)", "(default: 1)"],
        ),
        ("tune", ["tpe|random", "median|halving|none", "(default: 30)", "--nested"]),
        ("table", ["text, markdown, csv, latex, html, json (default: text)"]),
    ],
)
def test_help_shows_choices_and_defaults(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    shown: list[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = help_of(bench, capsys, command)
    assert [part for part in shown if part not in text] == []


@pytest.mark.parametrize("columns", [80, 100])
def test_help_fits_the_terminal(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert bench("tune", "--help") == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            ("--mode", "prob"),
            "mode must be one of finetune, probe, not 'prob' (did you mean probe?)",
        ),
        (("--seeds", "two"), "seeds must be a whole number, not 'two'"),
        (("--seeds", "0"), "seeds must be at least 1"),
        (("--folds", "-1"), "folds must be at least 1"),
        (("--gpus-per-run", "0"), "gpus-per-run must be at least 0.01"),
        (("--set", "oops"), "--set takes KEY=VALUE, not oops"),
        (("--seedz", "2"), "--seedz"),
    ],
)
def test_a_wrong_flag_is_one_sentence(
    bench: Bench, capsys: pytest.CaptureFixture[str], typed: tuple[str, str], says: str
) -> None:
    assert bench("run", "-t", "demo", *typed) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["run", "tune"])
def test_a_backbone_needs_a_task(
    bench: Bench, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert bench(command, "-b", "mfcc-stats") == 2
    assert "no task is named: add `-t TASK`" in capsys.readouterr().err


def test_a_switch_shows_no_type(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(bench, capsys, "run").partition("What is compared")[2]
    assert "<bool>" not in text


def test_bare_bench_prints_its_help(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench() == 0
    printed = capsys.readouterr()
    assert "prepare" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bench run -b pitch", "pitch-fusion"),
        ("bench run -b hubert,wav2", "hubert,wav2vec2"),
        ("bench run --task rav", "ravdess"),
        ("bench run --mode pro", "probe"),
    ],
)
def test_the_shell_completes_names(tmp_path: Path, line: str, offered: str) -> None:
    """As the script that `bench --show-completion` prints asks for it."""
    environment = {
        "_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
    }
    code = "import sys; sys.argv = ['bench']; from bench.cli.app import app; app(prog_name='bench')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert offered in done.stdout.split()


def test_quiet_in_the_file_silences_what_the_flag_does(
    bench: Bench,
    manifest: Path,
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bench.toml").write_text("[run]\nquiet = true\n", "utf-8")
    common = ("-b", "mfcc-stats", "-t", manifest, "--set", "epochs=1", "--folds", "1")
    assert bench("run", *common, "--results", results) == 0
    assert capsys.readouterr().err == ""
