"""What a command shows while it works, on every kind of screen, and what libraries say."""

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO

import pytest

from bench.progress import display, screens
from bench.progress.screens import Problem
from tests.helpers import ROOT

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

# A command with one pairing and one run: it counts clips, says something, and prints its result.
COMMAND = """
import sys, time, logging, warnings
from bench.progress import display
from bench.progress.screens import Problem

def work():
    display.expect(2)
    display.at("pairing 3 of 16")
    with display.run("hubert on ravdess, fold 2, seed 0"):
        with display.step("feature log-mel", 885, "clips") as step:
            step.started -= 100
            step.advance(237, "loss 0.512")
            time.sleep(0.15)
            step.advance(0)
    print("a library prints")
    warnings.warn("a library warns")
    logging.getLogger("library").error("a library logs")
    display.say("hubert on ravdess: UA 0.7")
    display.say(Problem("whisper on ravdess: failed: no memory"))

with display.shown(quiet="quiet" in sys.argv, verbose="verbose" in sys.argv):
    work()
print("the table")
"""
MESSAGES = "hubert on ravdess: UA 0.7\nwhisper on ravdess: failed: no memory\n"


def command(*words: str) -> tuple[list[str], dict[str, str]]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    return [sys.executable, "-c", COMMAND, *words], environment


def piped(*words: str) -> tuple[str, str]:
    """Standard output and standard error, neither of them a terminal."""
    line, environment = command(*words)
    done = subprocess.run(
        line, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def on_terminal(*words: str, **more: str) -> tuple[str, str]:
    """Standard output, and what a terminal gets as standard error."""
    line, environment = command(*words)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        line,
        env={**environment, **more},
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    shown = b"".join(read(ours))
    output, _ = process.communicate()
    assert process.returncode == 0, shown
    return output, shown.decode()


def read(terminal: int) -> Iterator[bytes]:
    """Everything that is written to a terminal."""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other side has closed
            part = b""
        if not part:
            os.close(terminal)
            return
        yield part


def test_a_terminal_shows_where_the_command_stands_and_what_is_under_way() -> None:
    output, shown = on_terminal()
    assert output == "the table\n"
    headline = "pairing 3 of 16 · feature log-mel · 237/885 clips · at least 5 min left"
    assert headline in shown
    assert "hubert on ravdess, fold 2, seed 0" in shown
    assert "27%" in shown
    assert "· loss 0.512" in shown
    assert "hubert on ravdess: UA 0.7" in shown
    assert "whisper on ravdess: failed: no memory" in shown
    assert "a library prints" in shown
    assert shown.rfind("\x1b[?25h") > shown.rfind(
        "\x1b[?25l"
    )  # the cursor is left visible


@pytest.mark.parametrize("more", [{"TERM": "dumb"}])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(more: dict[str, str]) -> None:
    _, shown = on_terminal(**more)
    assert "\x1b" not in shown
    assert "hubert on ravdess: UA 0.7" in shown


def test_piped_there_are_plain_lines_without_control_characters() -> None:
    output, shown = piped()
    assert output == "the table\n"
    headline = (
        "pairing 3 of 16 · feature log-mel · 237/885 clips · at least 5 min left\n"
    )
    assert shown == f"{headline}a library prints\n{MESSAGES}"
    assert all(character.isprintable() or character == "\n" for character in shown)


@pytest.mark.parametrize("run", [piped, on_terminal])
def test_quiet_shows_problems_alone(run: Callable[..., tuple[str, str]]) -> None:
    output, shown = run("quiet")
    assert output == "the table\n"
    assert shown.splitlines() == ["whisper on ravdess: failed: no memory"]


@pytest.mark.parametrize("run", [piped, on_terminal])
def test_a_log_holds_steps_and_what_libraries_say(
    run: Callable[..., tuple[str, str]],
) -> None:
    output, shown = run("verbose")
    assert output == "the table\n"
    assert "\x1b" not in shown
    assert "feature log-mel: 237/885 clips in 100." in shown
    assert "a library warns" in shown
    assert "ERROR library: a library logs" in shown
    assert "hubert on ravdess: UA 0.7" in shown


def test_short_steps_are_worth_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with display.shown(), display.step("feature log-mel", 3, "clips") as step:
        step.advance()
    assert capsys.readouterr() == ("", "")


def test_long_steps_have_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "FIRST_LINE_SECONDS", 0)
    with display.shown():
        assert list(display.track("abc", "audio of demo", 3, "clips")) == [
            "a",
            "b",
            "c",
        ]
    assert capsys.readouterr().err == "audio of demo · 0/3 clips\n"


def test_without_a_display_there_are_messages_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with display.step("feature log-mel", 3, "clips") as step:
        step.started -= 1000
        step.advance()
        display.say("a message")
    assert capsys.readouterr() == ("", "a message\n")


def test_work_of_nothing_is_not_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    with display.shown(verbose=True), display.step("feature log-mel", 0, "clips"):
        pass
    assert capsys.readouterr().err == ""


def test_a_display_within_another_goes_on_with_that_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with display.shown(quiet=True):
        with display.shown():
            display.say("a message")
        display.say("another")
        display.say(Problem("a problem"))
    display.say("afterwards")
    assert capsys.readouterr().err == "a problem\nafterwards\n"


def test_an_interrupted_command_leaves_everything_as_it_was() -> None:
    before = (
        sys.stdout,
        sys.stderr,
        logging.root.manager.disable,
        list(warnings.filters),
    )
    for words in ({}, {"quiet": True}, {"verbose": True}):
        with (
            pytest.raises(KeyboardInterrupt),
            display.shown(**words),
            display.step("x", 2, "clips"),
        ):
            raise KeyboardInterrupt
        after = (
            sys.stdout,
            sys.stderr,
            logging.root.manager.disable,
            list(warnings.filters),
        )
        assert after == before


def test_a_stream_without_a_terminal_such_as_a_notebooks_gets_plain_text() -> None:
    stream = StringIO()
    with (
        redirect_stderr(stream),
        display.shown(),
        display.step("feature mfcc", 2, "clips") as step,
    ):
        step.started -= 1000
        step.advance()
    assert stream.getvalue() == "feature mfcc · 1/2 clips · about 17 min left\n"
