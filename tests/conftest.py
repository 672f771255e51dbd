"""Shared fixtures: nothing a test does touches the user's cache, key or results."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

Bench = Callable[..., int]

COLLECTED = pytest.StashKey[
    frozenset[str]
]()  # the modules that were imported to collect the tests

REAL_DATA = Path(
    os.environ.get(
        "SER_BENCH_TEST_DATA", Path(__file__).resolve().parents[2] / "shared"
    )
)


def pytest_configure() -> None:
    """Commands that tests start hear Ctrl-C, even where the tests run in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow",
        action="store_true",
        help="run the tests that take minutes or gigabytes, too",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    items.sort(
        key=lambda item: item.path.stem != "test_install"
    )  # minutes in one test: not last and alone
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[COLLECTED] = frozenset(sys.modules)


@pytest.fixture(autouse=True)
def own_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty cache and key folder for each test (`SER_BENCH_HOME`)."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SER_BENCH_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def ravdess_root() -> Path:
    """The whole of RAVDESS, where this machine has it beside the project."""
    root = REAL_DATA / "data" / "ravdess"
    if not root.is_dir():
        pytest.skip(
            f"RAVDESS is not at {root}: name the folder above `data` with SER_BENCH_TEST_DATA"
        )
    return root


@pytest.fixture(scope="session")
def byol_s_weights() -> Path:
    path = REAL_DATA / "models" / "byol_s" / "default512_BYOLAs64x96.pth"
    if not path.is_file():
        pytest.skip(
            f"the BYOL-S weights are not at {path}: name the folder above `models` with "
            "SER_BENCH_TEST_DATA"
        )
    return path


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with an empty store: MLflow takes seconds to lay out a database, so that is
    done once.
    """
    from bench.runs.store import Store

    folder = tmp_path_factory.mktemp("store")
    Store(None, folder)
    return folder


@pytest.fixture
def results(new_store: Path, tmp_path: Path) -> Path:
    """A results folder of the test's own."""
    return Path(shutil.copytree(new_store, tmp_path / "results"))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Tones by six speakers, as a manifest."""
    from tests.helpers import write_tones

    folder = write_tones(tmp_path / "corpus")
    lines = [
        f"{p.name},{p.stem.split('_')[0]},{p.stem.split('_')[1]}"
        for p in sorted(folder.glob("*.wav"))
    ]
    path = folder / "tones.csv"
    path.write_text("path,label,speaker\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def bench(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """`bench ARGUMENTS...` in this process and a folder of its own; gives the exit code."""
    from bench.cli import app

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            app.main()
        return int(end.value.code or 0)

    return call


@pytest.fixture(scope="session")
def postgres(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], str]]:
    """A PostgreSQL server of the tests' own, from Debian's package: makes a database and gives its
    URL.
    """
    from tests.helpers import PATIENCE

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian's package `postgresql`)")
    user = (
        "postgres" if os.geteuid() == 0 else None
    )  # the server refuses to run as root
    folder = Path(
        tempfile.mkdtemp(prefix="pg", dir="/tmp")
    )  # a short path, for its socket, that its user may enter
    if user:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(tool: str, *arguments: str) -> None:
        subprocess.run(
            [found[-1].parent / tool, *arguments],
            user=user,
            check=True,
            capture_output=True,
            cwd=folder,
        )

    run(
        "initdb",
        "-D",
        f"{folder}/data",
        "-U",
        "bench",
        "--auth=trust",
        "-E",
        "UTF8",
        "--no-sync",
    )
    patience = ("-w", "-t", str(PATIENCE))
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run(
        "pg_ctl",
        "-D",
        f"{folder}/data",
        *patience,
        "-l",
        f"{folder}/log",
        "-o",
        options,
        "start",
    )

    def database(name: str) -> str:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", name)
        return f"postgresql+psycopg://bench@127.0.0.1:{port}/{name}"

    try:
        yield database
    finally:
        run("pg_ctl", "-D", f"{folder}/data", *patience, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
