"""Defaults < bench.toml < flags, every value typed, every mistake named."""

from pathlib import Path

import pytest

from bench.contracts.recipe import Recipe
from bench.errors import UsageError
from bench.options import assignments, change
from bench.settings_file import gather
from tests.conftest import Bench


def write(folder: Path, text: str) -> Path:
    (folder / "bench.toml").write_text(text, encoding="utf-8")
    return folder


def test_nothing_named_is_the_main_job(tmp_path: Path) -> None:
    settings = gather({}, tmp_path)
    assert (settings.backbone, settings.task, settings.scale) == (
        ("all",),
        ("demo",),
        "tiny",
    )


def test_the_main_job_leaves_named_runs_alone(tmp_path: Path) -> None:
    write(tmp_path, '[job]\nbackbone = ["hubert"]\nscale = "tiny"\nseeds = 3\n')
    assert gather({}, tmp_path).seeds == 3
    named = gather({"task": ["visec"]}, tmp_path)
    assert (named.backbone, named.scale, named.seeds) == (("all",), "full", 1)


def test_flags_beat_the_file_and_the_file_beats_defaults(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[run]\ntask = ["emodb"]\nseeds = 4\nmode = "probe"\n'
        "[set]\nepochs = 7\n[set.byol-s]\nepochs = 9\n",
    )
    settings = gather(
        {"seeds": 2, "set": {"byol-s.epochs": "11"}}, tmp_path / "deeper" / "still"
    )
    assert (settings.task, settings.mode, settings.seeds) == (("emodb",), "probe", 2)
    assert settings.set == {"epochs": 7, "byol-s.epochs": "11"}


def test_paths_of_the_file_are_relative_to_it_and_typed_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        '[run]\nresults = "out"\n[data]\nemodb = "corpora/emodb"\nvisec = "v"\n',
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    settings = gather({"data": {"visec": Path("here")}}, tmp_path)
    assert settings.results == tmp_path / "out"
    assert settings.data == {"emodb": tmp_path / "corpora/emodb", "visec": Path("here")}
    assert gather({"results": Path("typed")}, tmp_path).results == Path("typed")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[rnu]\nseeds = 1", r"\[rnu\] \(did you mean run\?\)"),
        ("[run]\nseedz = 1", r"run.seedz \(did you mean seeds\?\)"),
        ("[run]\nseeds = 'two'", "seeds must be a whole number, not 'two'"),
        ("[run]\nseeds = 1.5", "seeds must be a whole number, not 1.5"),
        (
            "[run]\nmode = 'prob'",
            r"mode must be one of finetune, probe, not 'prob' \(did you mean probe\?\)",
        ),
        ("[run]\nskip_bad_audio = 3", "must be true or false"),
        ("[run]\ntask = 3", "task must be a list"),
        ("run = 3", r"\[run\] must be a table"),
        ("[run", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        gather({}, write(tmp_path, text))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"learning_rate": "fast"}, "learning_rate must be a number, not 'fast'"),
        ({"learning_rate": "nan"}, "at least 0"),
        ({"epochs": "0"}, "epochs must be at least 1"),
        ({"warmup": 1.5}, "warmup must be at most 1"),
        ({"optimizer": "adm"}, r"did you mean adam\?"),
        ({"epoch": 3}, r"unknown option epoch \(did you mean epochs\?\)"),
        ({"epochs": True}, "must be a whole number"),
    ],
)
def test_a_recipe_takes_only_what_fits(values: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        change(Recipe(), values, "test")


def test_a_recipe_is_typed_by_its_fields() -> None:
    recipe = change(
        Recipe(),
        {"learning_rate": "1e-4", "epochs": "3", "class_weights": "balanced"},
        "test",
    )
    assert (recipe.learning_rate, recipe.epochs, recipe.class_weights) == (
        1e-4,
        3,
        "balanced",
    )


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"epochs must.*optimizer must"):
        change(Recipe(), {"epochs": "x", "optimizer": "y"}, "test")


def test_assignments() -> None:
    assert assignments(["a=1", "b=c=d"], "--set") == {"a": "1", "b": "c=d"}
    with pytest.raises(UsageError, match="--set takes KEY=VALUE, not oops"):
        assignments(["oops"], "--set")


def test_a_mistake_is_told_where_it_was_made(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"did you mean probe\?\) \(on the command line\)"
    ):
        gather({"mode": "prob"}, write(tmp_path, "[run]\nseeds = 2\n"))
    with pytest.raises(
        UsageError,
        match=r"seeds must be a whole number, not 'two' \(in .*bench\.toml\)",
    ):
        gather({"mode": "probe"}, write(tmp_path, "[run]\nseeds = 'two'\n"))


def test_only_what_runs_pairings_needs_a_task(
    bench: Bench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path, '[run]\nbackbone = ["mfcc-stats"]\n')
    assert bench("run") == 2
    assert "no task is named: add `-t TASK`" in capsys.readouterr().err
    for command in (("table",), ("tune", "--show", "-b", "hubert")):
        assert bench(*command) == 2
        assert " is recorded in " in capsys.readouterr().err
