"""`import bench`: the command line's words as functions, and results that show themselves."""

import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import bench
from bench.cli.app import app
from bench.errors import UsageError
from bench.keywords import RunOptions, TuneOptions
from bench.settings import Settings, Tuning

TINY: dict[str, Any] = {"scale": "tiny", "set": {"epochs": 1}, "folds": 2}


@pytest.fixture
def here(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an empty store in `results`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_importing_it_is_quick_and_imports_nothing_heavy() -> None:
    code = """
import sys, time
start = time.process_time()
import bench
dir(bench)
print(time.process_time() - start, *sorted(m for m in sys.modules if m.startswith("bench")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    seconds, *modules = done.stdout.split()
    assert modules == ["bench", "bench.version"]
    assert float(seconds) < 0.1


def test_it_lists_its_names_and_knows_no_others() -> None:
    assert set(bench.__all__) <= set(dir(bench))
    assert all(getattr(bench, name) for name in bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        bench.runn  # noqa: B018


def test_no_room_hides_a_function() -> None:
    rooms = {path.stem for path in Path(str(bench.__file__)).parent.iterdir()}
    assert not rooms & set(bench.__all__)


def test_keywords_are_those_of_the_command_line() -> None:
    """Each with the type that the setting has, so that neither can be changed alone."""
    commands = {
        c.name or c.callback.__name__: c.callback
        for c in app.registered_commands
        if c.callback
    }
    for name in ("run", "tune", "table", "prepare", "predictions"):
        typed = {
            parameter.rstrip("_") for parameter in signature(commands[name]).parameters
        }
        assert set(signature(getattr(bench, name)).parameters) == typed - {
            "format",
            "output",
        }
    hints = {**get_type_hints(Settings), **get_type_hints(Tuning)}
    for options in (RunOptions, TuneOptions):
        for keyword, hint in get_type_hints(options).items():
            if keyword not in ("results", "data", "weights", "set"):
                assert hint in (hints[keyword], hints[keyword] | None)


def test_every_setting_is_a_keyword() -> None:
    settings = {field.name for field in fields(Settings)} - {
        "backbone",
        "task",
        "space",
        "tune",
    }
    assert settings == set(RunOptions.__annotations__) | {"dry_run"}


def test_a_run_gives_a_table_and_is_not_repeated(here: Path, manifest: Path) -> None:
    result = bench.run("mfcc-stats", manifest, **TINY)
    assert result.ok
    assert result.summary == "2 recorded now, 0 recorded before"
    assert result.frame[["backbone", "folds"]].to_numpy().tolist() == [
        ["mfcc-stats", 2]
    ]
    assert "<table>" in result._repr_html_()
    again = bench.run("mfcc-stats", [manifest], **TINY)
    assert again.summary == "0 recorded now, 2 recorded before"
    assert str(again) == str(bench.table(task=manifest)) == repr(result)


def test_a_table_is_narrowed_by_mode_protocol_and_scale(
    here: Path, manifest: Path
) -> None:
    for mode in ("finetune", "probe"):
        bench.run(
            "mfcc-stats", manifest, mode=mode, scale="tiny", set={"epochs": 1}, folds=1
        )
    (here / "bench.toml").write_text('[run]\nmode = "probe"\n', encoding="utf-8")
    assert (
        len(bench.table().rows) == 2
    )  # what `bench run` does by default narrows no table
    assert [row.mode for row in bench.table(mode="finetune", scale="tiny").rows] == [
        "finetune"
    ]
    assert len(bench.table(protocol="speaker").rows) == 2
    for wrong in ({"scale": "full"}, {"protocol": "speakr"}):
        with pytest.raises(UsageError, match="nothing is recorded"):
            bench.table(**wrong)
    with pytest.raises(UsageError, match="did you mean speaker"):
        bench.table(protocol="speakr")
    with pytest.raises(UsageError, match="mode must be one of"):
        bench.table(mode="prob")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="means 2 pairings"):
        bench.predictions("mfcc-stats@tones")
    assert set(bench.predictions("mfcc-stats@tones", mode="probe").frame["fold"]) == {
        "1"
    }


def test_test_clips_are_written_with_truth_probabilities_and_place(
    here: Path, manifest: Path
) -> None:
    bench.run("mfcc-stats", manifest, seeds=2, **TINY)
    found = bench.predictions("mfcc-stats@tones")
    frame = found.frame
    assert list(frame) == [
        "fold",
        "seed",
        "clip",
        "speaker",
        "truth",
        "high",
        "low",
        "middle",
    ]
    assert frame.groupby(["fold", "seed"]).size().index.tolist() == [
        ("1", 0), ("1", 1), ("2", 0), ("2", 1)
    ]  # fmt: skip
    assert not frame.duplicated(["clip", "seed"]).any()
    assert (frame["truth"] == frame["clip"].str.split("_").str[0]).all()
    predicted = frame[["high", "low", "middle"]].idxmax(axis="columns")
    first = frame["seed"] == 0
    row = bench.table(task=manifest).rows[0]
    per_seed = [(predicted == frame["truth"])[mask].mean() for mask in (first, ~first)]
    assert sum(per_seed) / 2 == pytest.approx(row.scores["WA"], abs=1e-12)
    for suffix, read in ((".csv", "read_csv"), (".parquet", "read_parquet")):
        import pandas

        path = here / f"clips{suffix}"
        found.write(path)
        again = getattr(pandas, read)(path).astype({"fold": str})
        pandas.testing.assert_frame_equal(
            again, frame, check_exact=True, check_dtype=False
        )
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        found.write(here / "clips.txt")


def test_a_plan_runs_nothing(here: Path, manifest: Path) -> None:
    plan = bench.run("mfcc-stats", str(manifest), dry_run=True, **TINY)
    assert plan.frame[["backbone", "runs", "recorded"]].to_numpy().tolist() == [
        ["mfcc-stats", 2, 0]
    ]
    assert "<pre>" in plan._repr_html_()
    with pytest.raises(UsageError, match="nothing is recorded"):
        bench.table(task=manifest)


def test_bench_toml_counts_and_keywords_count_more(here: Path, manifest: Path) -> None:
    text = f'[run]\nbackbone = ["mfcc-stats"]\ntask = ["{manifest}"]\nscale = "tiny"\nseeds = 2\nfolds = 1\n'  # noqa: E501 - a table, or code, of one line each
    (here / "bench.toml").write_text(text, encoding="utf-8")
    assert bench.run(dry_run=True).frame["runs"].item() == 2
    assert bench.run(dry_run=True, folds=2).frame["runs"].item() == 4


def test_a_failed_pairing_is_a_row_and_not_an_error(here: Path, manifest: Path) -> None:
    next(manifest.parent.glob("*.wav")).write_bytes(b"not audio")
    result = bench.run("mfcc-stats", manifest, scale="tiny")
    assert not result.ok
    assert result.outcome.failed == 1
    assert result.frame["status"].item() == "failed"


def test_mistakes_are_usage_errors(here: Path) -> None:
    with pytest.raises(UsageError, match=r"no keyword epoch; available: .*mode"):
        bench.run("mfcc-stats", "demo", epoch=3)
    with pytest.raises(UsageError, match="did you mean mfcc-stats"):
        bench.run("mfcc-stast", "demo")
    with pytest.raises(UsageError, match="seeds must be a whole number"):
        bench.run("mfcc-stats", "demo", seeds="many")
    with pytest.raises(bench.BenchError, match="window"):
        bench.predict("mfcc-stats@demo", here, hop=1.0)


def test_a_search_is_shown_with_what_it_chose(here: Path, manifest: Path) -> None:
    options: dict[str, Any] = {
        "scale": "tiny",
        "mode": "probe",
        "folds": 1,
        "set": {"epochs": 2},
    }
    found = bench.tune(
        "mfcc-stats", manifest, trials=2, nested=False, search_only=True, **options
    )
    assert found.ok
    assert found.frame[["backbone", "fold", "trials"]].to_numpy().tolist() == [
        ["mfcc-stats", "all", 2]
    ]
    assert str(bench.tune(task=manifest, show=True)) == str(found)
    tuned = bench.tune("mfcc-stats", manifest, trials=2, nested=False, **options)
    assert [bool(recipe) for recipe in tuned.frame["recipe"]] == [
        False,
        True,
    ] or tuned.ok
    assert str(tuned.searches) == str(found)


def test_a_corpus_is_shown_as_its_card(here: Path, manifest: Path) -> None:
    corpora = bench.prepare(manifest)
    assert corpora.frame[["clips", "speakers"]].to_numpy().tolist() == [[36, 6]]
    assert set(corpora.classes.loc["tones", "clips"]) == {12}
    assert corpora.folds.loc["tones"].index.get_level_values("protocol").nunique() >= 1
    assert str(corpora) == corpora.cards[0].text()


def test_the_folds_of_every_protocol_are_written(here: Path, manifest: Path) -> None:
    import pandas

    corpora = bench.prepare(manifest, folds=here / "folds.csv")
    lines = pandas.read_csv(here / "folds.csv", dtype=str)
    assert list(lines) == [
        "task",
        "protocol",
        "fold",
        "part",
        "clip",
        "speaker",
        "labels",
    ]
    by_fold = lines.groupby(["task", "protocol", "fold"])
    assert len(by_fold) == len(corpora.folds)
    for place, sizes in corpora.folds.iterrows():
        named = by_fold.get_group(place)
        assert named["clip"].nunique() == len(named) == 36
        counts = named["part"].value_counts()
        assert {part: counts.get(part, 0) for part in sizes.index} == sizes.to_dict()
    assert (lines["labels"] == lines["clip"].str.split("_").str[0]).all()
    with pytest.raises(UsageError, match="no folder"):
        bench.prepare(manifest, folds=here / "absent" / "folds.csv")


def test_new_audio_gets_probabilities(here: Path, manifest: Path) -> None:
    bench.run("mfcc-stats", manifest, scale="tiny", folds=1, save_weights=True)
    predictions = bench.predict(
        f"mfcc-stats@{manifest.stem}", manifest.parent / "low_a_0.wav"
    )
    assert predictions.ok
    assert predictions.frame[["high", "low", "middle"]].sum(
        axis="columns"
    ).item() == pytest.approx(1)
    assert predictions.text("csv").startswith("file,start,end,predicted,")


def test_plugins_are_listed_by_name() -> None:
    assert "mfcc-stats" in bench.backbones()
    assert bench.backbones().frame.loc["hubert", "licence"]
    assert "speaker" in bench.tasks().frame.loc["demo", "protocols"]
    assert "<table" in bench.tasks()._repr_html_()
