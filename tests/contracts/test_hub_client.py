"""A hub that refuses, hangs or fails: known within seconds, asked once, nothing on the screen."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.contracts import hub_client
from bench.contracts.weights import Checkpoint, resolve
from bench.encoders.hub import local_folder
from bench.errors import WeightsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# Three pairings: two with pinned weights, one whose revision only the hub knows.
PROGRAM = f"""
import json, sys, time
import huggingface_hub
from bench.contracts.weights import resolve
from bench.encoders.hub import local_folder
from bench.errors import WeightsError
started, said = time.monotonic(), []
for given in ("org/first@{COMMIT}", "org/second@{COMMIT}", "org/third"):
    try:
        local_folder(resolve(given, None))
    except WeightsError as error:
        said.append(str(error))
json.dump([time.monotonic() - started, said], sys.stdout)
"""


class Listener:
    """A port that takes connections and never answers; `count` of them."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.kept: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def count(self) -> int:
        return len(self.kept)

    def close(self) -> None:
        self.socket.close()

    def _accept(self) -> None:
        try:
            while True:
                self.kept.append(self.socket.accept()[0])
        except OSError:  # closed
            return


def without_weights(endpoint: str, home: Path) -> tuple[float, list[str]]:
    """Seconds and sentences of three pairings in a process of their own, which logs nothing."""
    unset = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment = {
        **unset,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    assert done.stderr == ""
    seconds, sentences = json.loads(done.stdout)
    return seconds, sentences


def check(seconds: float, sentences: list[str], endpoint: str) -> None:
    assert (
        seconds < 10
    )  # 3 s and a slow machine; the hub's library retries for 23 s per pairing
    assert len(sentences) == 3
    for name, sentence in zip(("first", "second", "third"), sentences, strict=True):
        assert f"org/{name} " in sentence
        assert f"({endpoint} does not answer: " in sentence
        assert "\n" not in sentence


def test_a_hub_that_refuses_is_known_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    check(*without_weights(endpoint, tmp_path), endpoint)


def test_a_hub_that_hangs_is_asked_once(tmp_path: Path) -> None:
    with closing(Listener()) as hub:
        check(*without_weights(hub.url, tmp_path), hub.url)
        assert hub.count == 1


# --- a hub that answers ---


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that answers every request with `status`, and keeps their paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.paths.append(self.path)  # type: ignore[attr-defined]
            self.send_response(self.server.status)  # type: ignore[attr-defined]
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    from huggingface_hub import constants

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.paths = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub_client, "_failures", {})
    yield server
    server.shutdown()
    server.server_close()


def refused(given: str) -> str:
    with pytest.raises(WeightsError) as error:
        local_folder(resolve(given, Checkpoint("org/pinned", COMMIT, "MIT", 1)))
    return str(error.value)


def test_a_hub_that_is_down_is_asked_once(hub: Any) -> None:
    hub.status = 503
    for name in ("org/first", "org/pinned", "org/third"):
        assert "does not answer: " in refused(name)
    assert len(hub.paths) == 1


def test_an_unknown_repository_is_no_failure_of_the_hub(hub: Any) -> None:
    hub.status = 404
    for name in ("org/first", "org/pinned", "org/third"):
        assert "does not answer" not in refused(name)
    assert len(hub.paths) == 3


def test_offline_nothing_is_asked(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "(HF_HUB_OFFLINE is set)" in refused("org/first")
    assert hub.paths == []


def test_no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    program = (
        "import bench.contracts.weights; from huggingface_hub import constants; "
        "print(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
