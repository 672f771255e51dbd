"""Plain text that fits a terminal, whatever its characters."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from bench.terminal import display_width, printable, shortened, width, wrapped

TYPICAL = "scores in %, computed from the predictions of all folds together"


@pytest.mark.parametrize(("columns", "expected"), [(40, 80), (100, 100), (500, 200)])
def test_width_is_that_of_the_terminal(columns: int, expected: int) -> None:
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    script = (
        "import bench.terminal, sys; print(bench.terminal.width(), file=sys.stderr)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=child,
        stderr=subprocess.PIPE,
        env=environment,
        check=True,
    )
    os.close(parent)
    os.close(child)
    assert int(done.stderr) == expected


def test_output_to_a_file_has_a_width_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert width() == 120


def test_display_width() -> None:
    assert display_width("情感 ab") == 7
    assert display_width("e\N{COMBINING ACUTE ACCENT}") == 1


def test_shortened() -> None:
    assert shortened("whisper", 7) == "whisper"
    assert shortened("whisper", 6) == "whisp…"
    assert shortened("情感识别", 6) == "情感…"


def test_wrapped_lines_fit_and_keep_every_word() -> None:
    lines = wrapped(TYPICAL, 30)
    assert max(map(len, lines)) <= 30
    assert " ".join(line.strip() for line in lines) == TYPICAL
    assert all(line.startswith("    ") for line in lines[1:])


def test_wrapped_breaks_chinese_anywhere_and_a_path_nowhere() -> None:
    lines = wrapped("情感识别" * 10, 21)
    assert max(map(display_width, lines)) <= 21
    assert "".join(map(str.strip, lines)) == "情感识别" * 10
    assert wrapped("see /a/path/that/is/long", 10) == [
        "see",
        "    /a/path/that/is/long",
    ]


def test_printable_is_one_line() -> None:
    assert printable("one\n  two\x1b[1m") == "one two[1m"
