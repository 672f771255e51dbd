"""Shared fixtures: nothing a test does touches the user's cache, key or results."""

import os
import shutil
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes or gigabytes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and key folder for each test (`SER_BENCH_HOME`)."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SER_BENCH_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def ravdess_root() -> Path:
    """The whole of RAVDESS, where this machine has it beside the project."""
    root = SHARED / "data" / "ravdess"
    if not root.is_dir():
        pytest.skip(f"RAVDESS is not at {root}")
    return root


@pytest.fixture(scope="session")
def byol_s_weights() -> Path:
    path = SHARED / "models" / "byol_s" / "default512_BYOLAs64x96.pth"
    if not path.is_file():
        pytest.skip(f"the BYOL-S weights are not at {path}")
    return path


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with an empty store: MLflow takes seconds to lay out a database, so that is done once."""
    from bench.store import Store

    folder = tmp_path_factory.mktemp("store")
    Store(None, folder)
    return folder


@pytest.fixture
def results(new_store: Path, tmp_path: Path) -> Path:
    """A results folder of the test's own."""
    return Path(shutil.copytree(new_store, tmp_path / "results"))
