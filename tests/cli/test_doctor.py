"""What `bench doctor` finds on a machine made for it, and the command it gives for each missing
thing.
"""

import http.server
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from bench.cli import clearing, doctor
from bench.cli.doctor import Finding
from bench.contracts.backbone import Backbone, Setup
from bench.contracts.clip import Clip
from bench.contracts.recipe import Recipe
from bench.contracts.task import Protocol, Task
from bench.contracts.weights import Checkpoint
from bench.data.cache import Cache
from bench.errors import UsageError
from bench.settings import Settings
from tests.helpers import PATIENCE

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Pretrained(Backbone):
    summary, reads, citation, licence = "s", "r", "c", "MIT"
    checkpoints: ClassVar[Mapping[str, Checkpoint]] = {
        "vi": Checkpoint("org/vi", COMMIT, "MIT", 10),
        "*": Checkpoint("org/en", None, "MIT", 10),
    }

    def recipe(self, setup: Setup) -> Recipe:
        return Recipe()

    def features(self, setup: Setup) -> Mapping[str, Any]:
        return {}

    def network(self, setup: Setup) -> Any:
        raise NotImplementedError


class Corpus(Task):
    title = "a corpus"
    obtain = "ask its authors"

    def clips(self, root: Path | None) -> list[Clip]:
        raise AssertionError("doctor must not read a corpus")

    def protocols(self) -> Mapping[str, Protocol]:
        return {}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def examine(tmp_path: Path, **settings: Any) -> dict[str, dict[str, Finding]]:
    chosen = Settings(results=tmp_path / "results", **settings)
    found = doctor.examine(
        [Pretrained("b"), Pretrained("c")],
        [Corpus("calls")],
        chosen,
        Cache(tmp_path / "cache"),
    )
    return {
        section: {f.what: f for f in findings} for section, findings in found.items()
    }


def test_missing_weights_come_with_their_download(hub: Path, tmp_path: Path) -> None:
    weights = examine(tmp_path)["weights"]
    assert weights["org/vi"] == Finding(
        "org/vi",
        "not on this machine, for b (vi), c (vi)",
        f"hf download org/vi --revision {COMMIT}",
    )
    assert weights["org/en"].remedy == "hf download org/en"


def test_weights_in_the_hub_cache_are_found(hub: Path, tmp_path: Path) -> None:
    folder = hub / "models--org--vi" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert examine(tmp_path)["weights"]["org/vi"].remedy  # an interrupted download
    (folder / "model.safetensors").write_bytes(bytes(1500))
    assert examine(tmp_path)["weights"]["org/vi"] == Finding(
        "org/vi", "1.5 kB, for b (vi), c (vi)"
    )


def test_corpora(hub: Path, tmp_path: Path) -> None:
    assert (
        examine(tmp_path)["corpora"]["calls"].state == "no path given; ask its authors"
    )
    gone = examine(tmp_path, data={"calls": tmp_path / "gone"})["corpora"]["calls"]
    assert gone == Finding(
        "calls",
        f"nothing at {tmp_path / 'gone'}",
        "bench prepare calls --data calls=PATH",
    )
    assert examine(tmp_path, data={"calls": tmp_path})["corpora"]["calls"].remedy == ""


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=1",
        "torch>=99",
        "no-such-thing",
        "not-there; extra == 'whisper'",
        "pytest; extra == 'dev'",
    ]
    lines.append("for-another-machine; sys_platform == 'none'")
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: lines)
    found = {f.what: f for f in doctor._packages()}
    assert list(found) == ["numpy", "torch", "no-such-thing", "not-there"]
    assert found["numpy"].remedy == ""
    assert ">=99 is needed" in found["torch"].state
    assert found["torch"].remedy == "pip install 'torch>=99'"
    assert found["no-such-thing"] == Finding(
        "no-such-thing", "missing", "pip install 'no-such-thing'"
    )
    assert found["not-there"].state == "missing (optional: whisper)"
    assert found["not-there"].remedy == "pip install 'ser-bench[whisper]'"


def test_cache_is_sized_and_cleared(hub: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put("f" * 32, "c" * 32, np.zeros((100, 4), np.float32))
    assert (
        examine(tmp_path)["cache"][f"features/{'f' * 32}"].state == "1.7 kB in 1 files"
    )
    assert (
        clearing.clear(cache, "features")
        == f"cleared features of the cache at {cache.root}: 1.7 kB freed"
    )
    assert cache.open("f" * 32, "c" * 32) is None
    assert clearing.clear(cache, "all").endswith(": 0 bytes freed")
    with pytest.raises(UsageError, match="featurs"):
        clearing.clear(cache, "featurs")


def test_store_in_a_file(hub: Path, tmp_path: Path) -> None:
    path = tmp_path / "results" / "mlflow.db"
    assert (
        "the first run makes it" in examine(tmp_path)["tracking store"][str(path)].state
    )
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("create table runs (lifecycle_stage text)")
        database.execute("insert into runs values ('active'), ('deleted')")
    database.close()
    assert examine(tmp_path)["tracking store"][str(path)].state.endswith(", 1 entries")
    assert (
        examine(tmp_path, tracking_uri=f"sqlite:///{path}")["tracking store"][
            str(path)
        ].remedy
        == ""
    )
    path.write_bytes(b"no database" * 100)
    assert "cannot be read" in examine(tmp_path)["tracking store"][str(path)].state


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_server(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", PATIENCE)
    found = doctor._tracking(f"http://name:secret@{server}/", Path())
    assert found == Finding(f"http://{server}/", "answers (200)")
    assert doctor._tracking(f"http://{server}/elsewhere", Path()).remedy.startswith(
        "start the server"
    )
    assert doctor._tracking("databricks", Path()).state.startswith("not checked")


def test_report_reads_in_a_terminal(hub: Path, tmp_path: Path) -> None:
    shown = doctor.report(
        [Pretrained("b")],
        [Corpus("calls")],
        Settings(results=tmp_path),
        Cache(tmp_path),
    )
    lines = shown.splitlines()
    assert [line for line in lines if line and line[0] not in "! "] == [
        "machine", "disk", "packages", "weights", "corpora", "cache", "tracking store",
        "results", "who can reach it",
    ]  # fmt: skip
    at = lines.index("! org/en  not on this machine, for b")
    assert lines[at + 1].strip() == "-> hf download org/en"
    assert any(line.startswith("  torch ") for line in lines)


def test_long_findings_are_wrapped_and_commands_stay_whole() -> None:
    users = ", ".join(f"backbone-{number}" for number in range(40))
    remedy = f"hf download organisation/name --revision {COMMIT * 3}"
    shown = doctor.text({"weights": [Finding("organisation/name", users, remedy)]})
    lines = shown.splitlines()
    assert f"    -> {remedy}" in lines
    others = [line for line in lines if "->" not in line]
    assert max(map(len, others)) <= 120
    assert " ".join(" ".join(others).split()).endswith(users)


def test_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._disk("results", tmp_path / "not" / "yet").state.startswith(
        f"{tmp_path / 'not' / 'yet'}, "
    )
    monkeypatch.setattr(doctor, "LOW_DISK", 1e30)
    assert (
        doctor._disk("results", tmp_path).remedy
        == "free some space, or name another place (--results)"
    )


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1400, "1.4 kB"),
        (999_700, "1.0 MB"),
        (25.3e9, "25.3 GB"),
        (3e15, "3000 TB"),
    ],
)
def test_size(number: float, shown: str) -> None:
    assert clearing.size(number) == shown


def test_results_are_sized_and_checkpoints_cleared(hub: Path, tmp_path: Path) -> None:
    from bench.runs.run_locks import run_lock

    results = tmp_path / "results"
    (results / "checkpoints").mkdir(parents=True)
    (results / "artifacts" / "run").mkdir(parents=True)
    (results / "artifacts" / "run" / "predictions.parquet").write_bytes(b"x" * 500)
    left, under_way = (results / "checkpoints" / f"{c * 32}.pt" for c in "ab")
    left.write_bytes(b"x" * 2000)
    under_way.write_bytes(b"x" * 1000)
    found = examine(tmp_path)["results"]
    assert found["recorded runs"].state == "500 bytes in 1 files"
    assert found["checkpoints of interrupted trainings"].state == "3.0 kB in 2 files"
    with run_lock(results, under_way.stem, timeout=0):
        said = clearing.clear_checkpoints(results)
    assert said == f"deleted 1 checkpoint in {results}: 2.0 kB freed"
    assert not left.exists()
    assert under_way.exists()


def test_what_is_open_to_whom(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    found = examine(tmp_path)["who can reach it"]
    assert found["--executor ray"].remedy == ""
    assert "RAY_AUTH_MODE=token" in found["a Ray cluster of yours"].state
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    found = examine(tmp_path)["who can reach it"]
    assert "run code as you" in found["--executor ray"].state
    assert found["--executor ray"].remedy == "unset RAY_AUTH_MODE"
