"""A store is whole or absent, and it can be moved."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.runs.database import Layout, alembic_head, ensure
from tests.conftest import Bench
from tests.helpers import open_store

TABLES_OF_MLFLOW = """
import sys
from sqlalchemy import create_engine
from mlflow.store.tracking.dbmodels.initial_models import Base
Base.metadata.create_all(create_engine(sys.argv[1]))
"""
TABLES_OF_OPTUNA = """
import sys
from sqlalchemy import create_engine
from optuna.storages._rdb.models import BaseModel
BaseModel.metadata.create_all(create_engine(sys.argv[1]))
"""


def half_made(path: Path, tables: str) -> Path:
    """A database as a command leaves it that is killed while it is made: tables, no version."""
    subprocess.run([sys.executable, "-c", tables, f"sqlite:///{path}"], check=True)
    return path


def test_a_half_made_store_is_made_anew(tmp_path: Path, bench: Bench) -> None:
    half_made(tmp_path / "mlflow.db", TABLES_OF_MLFLOW)
    assert open_store(None, tmp_path).records() == []
    assert not list(tmp_path.glob("*half-made*"))
    assert not list(tmp_path.glob(".mlflow.db.new-*"))


def test_a_half_made_store_with_runs_is_kept(tmp_path: Path) -> None:
    path = half_made(tmp_path / "mlflow.db", TABLES_OF_MLFLOW)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO runs (run_uuid, status) VALUES ('one', 'FINISHED')"
        )
    with pytest.raises(Exception, match=r"it is kept as mlflow\.half-made-1\.db"):
        open_store(None, tmp_path)
    assert open_store(None, tmp_path).records() == []
    with closing(sqlite3.connect(tmp_path / "mlflow.half-made-1.db")) as database:
        assert database.execute("SELECT run_uuid FROM runs").fetchall() == [("one",)]


def test_an_empty_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert open_store(None, tmp_path).records() == []


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"a text of somebody" * 100)
    with pytest.raises(BenchError, match="does not answer"):
        open_store(None, tmp_path)
    assert (tmp_path / "mlflow.db").read_bytes().startswith(b"a text of somebody")


def test_a_store_that_mlflow_made_is_used_as_it_is(tmp_path: Path) -> None:
    from bench.runs.mlflow_client import Client

    client = Client(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment("somebody's own")
    open_store(None, tmp_path)
    assert open_store(None, tmp_path).client.get_experiment_by_name("somebody's own")


def test_a_killed_command_leaves_a_store_or_none(tmp_path: Path) -> None:
    """Killed at the moment at which the layout is complete, but for its name."""

    from bench.runs.mlflow_client import Client

    def create(url: str) -> None:
        Client(url).search_experiments(max_results=1)
        raise KeyboardInterrupt

    head = alembic_head("mlflow", "store/db_migrations")
    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path / "mlflow.db", Layout(create, lambda: head, "runs"))
    assert not (tmp_path / "mlflow.db").exists()
    assert open_store(None, tmp_path).records() == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("tenth", range(10, 60, 5))
def test_the_first_command_may_be_stopped_at_any_moment(
    tmp_path: Path, kind: signal.Signals, tenth: int
) -> None:
    command = [
        sys.executable,
        "-m",
        "bench",
        "table",
        "--results",
        str(tmp_path / "results"),
    ]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        first.wait(tenth / 10)
    except subprocess.TimeoutExpired:
        first.send_signal(kind)
        first.communicate()
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "nothing is recorded" in second.stderr


def test_a_half_made_database_of_trials_is_made_anew(tmp_path: Path) -> None:
    from bench.search.optuna_study import own_database

    half_made(tmp_path / "optuna.db", TABLES_OF_OPTUNA)
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database, database:
        database.execute("DROP TABLE trials")
    url = own_database(tmp_path)
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database:
        assert database.execute("SELECT count(*) FROM trials").fetchall() == [(0,)]
    assert url == own_database(tmp_path)


@pytest.fixture
def moved(bench: Bench, results: Path, manifest: Path, tmp_path: Path) -> Path:
    """A results folder with one pairing, moved elsewhere."""
    assert bench("run", "-b", "mfcc-stats", "-t", manifest, "--save-weights") == 0
    return Path(shutil.move(results, tmp_path / "laptop"))


def test_a_results_folder_can_be_moved(
    bench: Bench, moved: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert bench("table", "--results", moved, "--format", "json") == 0
    assert [row["status"] for row in json.loads(capsys.readouterr().out)] == ["ok"]
    again = ("run", "-b", "mfcc-stats", "-t", manifest, "--results", moved)
    assert bench(*again, "--save-weights") == 0
    assert "0 recorded now" in capsys.readouterr().err


def test_mlflow_finds_the_artifacts_of_a_moved_store(moved: Path) -> None:
    """As its pages look for them: by the address of the run."""
    store = open_store(None, moved)
    for experiment in store.client.search_experiments():
        for run in store.client.search_runs(
            [experiment.experiment_id], "attributes.status = 'FINISHED'"
        ):
            if "predictions.parquet" in str(
                store.client.list_artifacts(run.info.run_id)
            ):
                assert run.info.artifact_uri.startswith(
                    (moved / "artifacts").resolve().as_uri()
                )
                return
    pytest.fail("MLflow finds no predictions")


def test_new_runs_of_a_copied_store_stay_in_it(
    bench: Bench, results: Path, manifest: Path, tmp_path: Path
) -> None:
    assert bench("run", "-b", "mfcc-stats", "-t", manifest) == 0
    before = sorted((results / "artifacts").iterdir())
    copy = Path(shutil.copytree(results, tmp_path / "copy"))
    assert (
        bench(
            "run", "-b", "mfcc-stats", "-t", manifest, "--seeds", "2", "--results", copy
        )
        == 0
    )
    assert sorted((results / "artifacts").iterdir()) == before
    assert len(list((copy / "artifacts").iterdir())) > len(before)
