"""One server for many machines: MLflow over PostgreSQL, artifacts over HTTP, searches in a second
database.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bench
from tests.helpers import PATIENCE, open_store
from tests.servers import TrackingServer

QUICK = ("-b", "mfcc-stats", "--folds", "2")
OWN = ("train_seconds", "peak_memory_mb")  # of the moment, not of the run
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def server(
    postgres: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServer]:
    running = TrackingServer(tmp_path_factory.mktemp("server"), postgres("mlflow"))
    yield running
    running.kill()


@pytest.fixture(scope="module")
def studies(postgres: Callable[[str], str]) -> str:
    """The database of searches."""
    return postgres("studies")


def rows(capsys: pytest.CaptureFixture[str], epochs: int) -> Rows:
    """What was printed, of the runs with so many epochs."""
    found = json.loads(capsys.readouterr().out)
    return [row for row in found if row["settings"]["epochs"] == str(epochs)]


def lasting(found: Rows) -> Rows:
    return [
        {name: value for name, value in row.items() if name not in OWN} for row in found
    ]


def test_a_server_holds_what_a_file_would(
    server: TrackingServer,
    bench: Bench,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ("run", *QUICK, "-t", manifest, "--set", "epochs=4")
    assert (
        bench(
            *command,
            "--results",
            "one",
            "--tracking-uri",
            server.url,
            "--format",
            "json",
        )
        == 0
    )
    there = rows(capsys, 4)
    assert bench(*command, "--results", "results", "--format", "json") == 0
    assert lasting(there) == lasting(rows(capsys, 4))
    assert len(there[0]["fingerprints"]) == 2
    assert (
        bench(
            "table",
            "--results",
            "another",
            "--tracking-uri",
            server.url,
            "--format",
            "json",
        )
        == 0
    )
    assert rows(capsys, 4) == there
    assert bench(*command, "--results", "another", "--tracking-uri", server.url) == 0
    assert "0 recorded now, 2 recorded before" in capsys.readouterr().err
    assert not list(Path("one").rglob("*.parquet"))
    assert len(list(server.folder.glob("artifacts/**/predictions.parquet"))) == 2


def test_what_a_search_chose_is_found_from_anywhere(
    server: TrackingServer,
    studies: str,
    bench: Bench,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = (*QUICK, "-t", manifest, "--set", "epochs=5", "--tracking-uri", server.url)
    assert (
        bench(
            "tune",
            *common,
            "--trials",
            "4",
            "--storage",
            studies,
            "--results",
            "one",
            "--format",
            "json",
        )
        == 0
    )
    found = rows(capsys, 5)
    assert {row["recipe"] for row in found} == {"", "tuned (4 trials)"}
    import psycopg

    with psycopg.connect(studies.replace("+psycopg", "")) as database:
        assert database.execute(
            "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"
        ).fetchone() == (4,)
    assert not list(Path("one").glob("*.db"))
    tuned = [row for row in found if row["recipe"]]
    assert (
        bench(
            "run",
            *common,
            "--recipe",
            "tuned",
            "--results",
            "another",
            "--format",
            "json",
        )
        == 0
    )
    told = capsys.readouterr()
    assert "0 recorded now, 2 recorded before" in told.err
    assert [row for row in json.loads(told.out) if row["recipe"]] == tuned
    assert bench("tune", "--show", *common, "--results", "another") == 0
    assert "4 of 4" in capsys.readouterr().out


def test_two_commands_at_once_share_the_work(
    server: TrackingServer, manifest: Path, tmp_path: Path
) -> None:
    command = bench_run(
        server, manifest, "--seeds", "2", "--set", "epochs=6", "--results", "shared"
    )
    both = [start(command, tmp_path) for _ in "ab"]
    told = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    (record,) = records(server, tmp_path, 6)
    assert [run.status for run in record.runs] == ["ok"] * 4
    assert len({(run.fold, run.seed) for run in record.runs}) == 4
    assert sum(text.count("seed") for text in told) == 4


def test_a_server_that_dies_costs_a_sentence_and_the_run_in_hand(
    server: TrackingServer,
    bench: Bench,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = bench_run(
        server, manifest, "--seeds", "2", "--set", "epochs=200", "--set", "patience=0"
    )
    process = start(command, tmp_path, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert process.stderr
    for line in process.stderr:  # as soon as the first run is recorded
        if "seed 0: UA" in line:
            break
    server.kill()
    try:
        rest = process.communicate(timeout=PATIENCE)[1]
    finally:
        server.start()
    assert process.returncode == 1, rest
    assert rest.splitlines()[-1].startswith(
        f"bench: the tracking store {server.url} does not answer: "
    )
    assert "Traceback" not in rest
    assert "failed" not in "".join(rest.splitlines()[:-1])
    before = sum(
        run.status == "ok"
        for record in records(server, tmp_path, 200)
        for run in record.runs
    )
    assert 1 <= before < 4
    assert bench(*command[3:]) == 0
    assert (
        f"{4 - before} recorded now, {before} recorded before"
        in capsys.readouterr().err
    )
    (record,) = records(server, tmp_path, 200)
    assert [run.status for run in record.runs] == ["ok"] * 4


def test_lost_artifacts_are_told_of_and_cost_their_own_row(
    server: TrackingServer,
    bench: Bench,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ("run", *QUICK, "-t", manifest, "--tracking-uri", server.url)
    assert bench(*common, "--set", "epochs=7") == 0
    before = set(server.folder.glob("artifacts/**/predictions.parquet"))
    assert bench(*common, "--set", "epochs=8") == 0
    capsys.readouterr()
    for file in set(server.folder.glob("artifacts/**/predictions.parquet")) - before:
        file.unlink()
    assert bench("table", "--tracking-uri", server.url, "--format", "json") == 1
    found = json.loads(capsys.readouterr().out)
    status = {row["settings"]["epochs"]: row["status"] for row in found}
    assert (status["7"], status["8"]) == (
        "partial",
        "failed",
    )  # two of five folds; nothing at all
    (lost,) = (row for row in found if row["status"] == "failed")
    assert f"{server.url} has lost the artifacts of run" in lost["reason"]


def test_no_password_is_told(server: TrackingServer, tmp_path: Path) -> None:
    from bench.runs.store import StoreError

    with pytest.raises(StoreError, match="does not answer") as error:
        open_store("http://anna:secret@127.0.0.1:9", tmp_path)
    assert "anna" not in str(error.value)
    assert "secret" not in str(error.value)
    assert (
        open_store(server.url.replace("//", "//anna:secret@"), tmp_path).name
        == server.url
    )


def bench_run(server: TrackingServer, manifest: Path, *more: str) -> list[str]:
    common = [
        sys.executable,
        "-m",
        "bench",
        "run",
        *QUICK,
        "-t",
        str(manifest),
        "--tracking-uri",
        server.url,
    ]
    return [*common, *more]


def start(
    command: list[str], folder: Path, **environment: str
) -> subprocess.Popen[str]:
    own = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    out = folder / "out.txt"
    with out.open("a") as screen:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=own,
            stdout=screen,
            stderr=subprocess.PIPE,
            text=True,
        )


def records(server: TrackingServer, folder: Path, epochs: int) -> list[Any]:
    found = open_store(server.url, folder / "looking").records(["tones"])
    return [record for record in found if record.settings.get("epochs") == str(epochs)]
