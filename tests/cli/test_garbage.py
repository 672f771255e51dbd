"""Whatever is typed, at every flag and at every key of `bench.toml`: one sentence, exit code 2."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer

import bench as package
from bench.cli.app import app, main
from bench.cli.flags import KINDS
from bench.contracts.recipe import Recipe
from bench.errors import UsageError
from bench.options import change, without_none
from bench.runs.windows import Windows
from bench.settings import Settings, Tuning
from bench.settings_file import OWN, gather
from bench.toml_file import DEPTH
from bench.trend.request import Request
from tests.conftest import Bench

# a command with what it cannot do without
COMPLETE: dict[str, tuple[str, ...]] = {
    "run": ("-b", "mfcc-stats", "-t", "demo"),
    "tune": ("-b", "mfcc-stats", "-t", "demo", "--show"),
    "prepare": ("demo",),
    "predictions": ("mfcc-stats@demo",),
    "export": ("runs.zip",),
    "import": ("runs.zip",),
    "forget": ("mfcc-stats@demo",),
    "compare": ("demo", "--all"),
    "predict": ("mfcc-stats@demo", "clip.wav"),
    "trend": ("mfcc-stats@demo", "--calls", "calls.csv"),
}
TEXTS = ("", "a\0b", "\udcff", "x" * 5000)  # no setting takes one of these
NUMBERS = ("", "x", "-1", "nan", "inf", "1e999", "9" * 400, "0x10")
BUILT_IN = {"help", "install_completion", "show_completion"}

# what no key of [run] and [tune] takes, whatever its type
VALUES = (
    '""',
    '"a\\u0000b"',
    "-1",
    "nan",
    "1e400",
    "9" * 400,
    "[[1]]",
    "{ a = 1 }",
    "1979-05-27",
)


def options() -> Iterator[tuple[str, str]]:
    """Every flag of every command that takes a value."""
    commands: Any = typer.main.get_command(app)
    for name, command in commands.commands.items():
        for option in command.params:
            takes_value = option.param_type_name == "option" and not option.is_flag
            if takes_value and option.name not in BUILT_IN:
                yield name, option.opts[-1]


def fields(wanted: Callable[[type, str], bool], *kinds: type) -> list[Any]:
    """(kind, field) of dataclasses of options, with an id for the test."""
    found = []
    for kind in kinds:
        for field in dataclasses.fields(kind):
            if wanted(kind, field.name):
                name = f"{kind.__name__}.{field.name}"
                found.append(pytest.param(kind, field, id=name))
    return found


def is_number(kind: type, name: str) -> bool:
    return without_none(get_type_hints(kind)[name]) in (int, float)


def is_in_file(_: type, name: str) -> bool:
    return name not in ("dry_run", "fresh")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """`bench ARGUMENTS...` in this process and an empty folder: nothing is opened for garbage."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.csv").touch()

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        (only,) = tmp_path.iterdir()
        assert only.name == "calls.csv"
        return int(end.value.code or 0)

    return call


@pytest.mark.parametrize(("command", "flag"), list(options()))
def test_every_flag_refuses_garbage(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    command: str,
    flag: str,
) -> None:
    for typed in TEXTS:
        arguments = (command, *COMPLETE.get(command, ()), flag, typed)
        assert bench(*arguments) == 2, typed
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert len(said.err) < 700
        assert flag.rpartition("-")[2] in said.err, said.err


@pytest.mark.parametrize(("kind", "field"), fields(is_number, *KINDS, Request, Recipe))
def test_every_number_has_bounds(kind: type, field: "dataclasses.Field[Any]") -> None:
    for typed in NUMBERS:
        with pytest.raises(UsageError, match=rf"^{field.name} must be "):
            change(kind(), {field.name: typed}, "test")
    for bound in ("low", "high"):
        assert field.metadata[bound] is not None


@pytest.mark.parametrize(("kind", "field"), fields(is_in_file, Settings, Tuning))
def test_every_key_of_the_file_refuses_garbage(
    tmp_path: Path, kind: type, field: "dataclasses.Field[Any]"
) -> None:
    file = tmp_path / "bench.toml"
    table = "run" if kind is Settings else "tune"
    for value in VALUES:
        text = f"[{table}]\n{field.name} = {value}\n"
        if field.name in OWN:
            text = f"{field.name} = {value}\n"
        file.write_text(text, encoding="utf-8")
        if field.name in OWN and value == "{ a = 1 }":
            continue
        with pytest.raises(UsageError) as error:
            gather({}, tmp_path)
        assert field.name.replace("_", "-") in str(error.value).replace("_", "-")
        assert str(file) in str(error.value)
        assert len(str(error.value)) < 700


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[data]\nx = 3", "data of x must be a path, not 3"),
        ("[data]\nx = ''", "data of x must not be empty"),
        ('[data]\nx = "a\\u0000b"', "data of x must not contain NUL"),
        ('[data]\nx = "~nobody-here/x"', "data of x begins with an unknown user"),
        ("[weights]\nhubert = 3", "weights of hubert must be a text, not 3"),
        ("[weights]\nhubert = '~nobody-here/x'", "weights begins with an unknown user"),
        ("[run]\nresults = 3", "results must be a path, not 3"),
        ("[run]\nresults = ['a']", "results must be a path, not \\['a'\\]"),
        ('[run]\ntask = ["a\\u0000b"]', "task must not contain NUL"),
        ("[run]\nfolds = -1", "folds must be at least 1, not -1"),
        ("[run]\nfolds = 0", "folds must be at least 1, not 0"),
        ("[run]\nseeds = 0", "seeds must be at least 1, not 0"),
        ("[job]\nseeds = 1000000000", "seeds must be at most 1000"),
        ("[run]\nray_address = 'here:99999'", "ray-address must be HOST:PORT"),
        ("[run]\ncache = 's3://'", "cache must be a URL"),
        (f"x = 0x{'f' * 5000}", r"\[x\]"),
        (f"x = {'9' * 5000}", "is not valid TOML"),
        (f"x = {'[' * 5000}{']' * 5000}", f"has more than {DEPTH} tables or lists"),
        (f"set.{'a.' * 5000}b = 1", f"has more than {DEPTH} tables or lists"),
        (f"[set]\nx = {'[' * 30}{']' * 30}", f"has more than {DEPTH} tables or lists"),
        (f"{'x' * 5000} = 1", "has unknown keys"),
        (f"[run]\n{'x' * 5000} = 1", "has unknown keys"),
        ('[run]\n"a\\nb" = 1', "run.a b"),
    ],
)
def test_a_file_that_nobody_meant_is_one_sentence(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=says) as error:
        gather({}, tmp_path)
    assert str(error.value).splitlines() == [str(error.value)]
    assert len(str(error.value)) < 700


def test_a_file_of_noise_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match=r"bench\.toml is not valid TOML"):
        gather({}, tmp_path)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("run -t demo --seeds 1000000000", "seeds must be at most 1000"),
        ("run -t demo --data emodb=/no/such", "--data emodb=/no/such: there is no"),
        ("run -t demo --data x=.", "--data names unknown tasks: x"),
        ("run -t demo -b mfcc-stats --weights mfcc-stats=.", "have none to load"),
        ("run -t demo --weights hubert=/no/such", "there is no such file or folder"),
        ("run -t demo --weights hubert=", "weights must not be empty"),
        ("run -t demo --weights hubert=~nobody-here/x", "begins with an unknown user"),
        ("run -t demo --results sqlite:///x", "must be a path, not the URL"),
        ("run -t demo --results ~nobody-here/x", "begins with an unknown user"),
        ("run -t demo --tracking-uri x", "tracking-uri must be a URL"),
        ("run -t demo --ray-address x", "ray-address must be HOST:PORT"),
        ("run -t demo -b mfcc-stats --set epochs=1000000000", "at most 100000"),
        ("prepare demo --data x=.", "--data names unknown tasks: x"),
        ("prepare demo --data demo=/no/such", "there is no such file or folder"),
        ("tune --show --trials -1", "trials must be at least 1"),
        ("tune --show --storage x", "storage must be a URL"),
        ("ui --port 99999", "port must be at most 65535, not 99999"),
        ("ui --port 0", "port must be at least 1, not 0"),
        ("predict a@b . --window 1e-9", "window must be 0 or at least 0.1"),
        ("predict a@b . --window nan", "window must be at least 0, not nan"),
        ("predict a@b . --window 1 --hop 0", "hop must be at least 0.01"),
        ("predict a@b . --hop 1", "--hop needs --window"),
        ("predict a@b . --hop 1 --window 0", "--hop needs --window"),
        ("trend x --calls calls.csv --first nan", "first must be at least 0.01"),
        ("table -o .", "--output . is a folder"),
        (
            "table -o missing/table.txt",
            "--output: no folder missing to write table.txt to",
        ),
        ("prepare ''", "a name or a path is expected, not an empty text"),
        ("predict a@b ''", "a path must not be empty"),
        (f"audit {'x' * 300}", "has a name of more than 255 bytes"),
        ("forget ''", "ROW: a name or a path is expected"),
        ("doctor --clear-cache ''", "the cache holds no ''"),
    ],
)
def test_what_would_be_taken_silently_is_refused(
    bench: Bench,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    says: str,
) -> None:
    assert bench(*typed.replace("''", "").split(" ")) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert (said.out, len(said.err.splitlines())) == ("", 1)


@pytest.mark.parametrize("place", ["", "a\0b"])
def test_functions_check_as_flags_do(place: str) -> None:
    for refused in (
        lambda: package.run("mfcc-stats", "demo", results=place, dry_run=True),
        lambda: package.prepare("demo", cache=place),
        lambda: package.prepare("demo", folds=place),
        lambda: package.table(results=place),
        lambda: package.compare("demo", all=True, results=place),
        lambda: package.predict("a@b", place),
        lambda: package.predict("a@b", "clip.wav", window=1e-9),
        lambda: package.run("", "demo"),
    ):
        with pytest.raises(UsageError):
            refused()


def test_windows_are_made_one_after_the_other() -> None:
    """A list of these would take gigabytes."""
    cuts = Windows(window=0.1, hop=0.01).cuts(1e9)
    assert [start for start, _ in islice(cuts, 3)] == [0, 0.01, 0.02]
