"""MLflow's pages: a real server, which ends with its command however that ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers import PATIENCE, ROOT, open_store, wait_until
from tests.servers import free_port, wait_for

slow = pytest.mark.slow  # each starts a server


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, marks=slow),
        pytest.param(signal.SIGINT, 0, marks=slow),
    ],
)
def test_the_server_ends_with_its_command(
    results: Path, how: signal.Signals, code: int
) -> None:
    open_store(None, results).runs.experiment("a task")
    port = free_port()
    command = [sys.executable, "-m", "bench", "ui", "--port", str(port)]
    bench = subprocess.Popen(
        [*command, "--results", str(results)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(f"http://127.0.0.1:{port}/health", bench)
    assert "a task" in experiments(port)
    servers = {pid: text for pid, text in processes().items() if str(port) in text}
    del servers[bench.pid]
    assert servers
    # where any user of the machine could read a password in it
    assert not any("sqlite" in text for text in servers.values())
    os.kill(bench.pid, how)
    assert bench.wait(PATIENCE) == code
    wait_until(lambda: not answers(port), "the port is free")
    wait_until(lambda: not servers.keys() & processes().keys(), "the server has ended")


def experiments(port: int) -> list[str]:
    """The names of the experiments that the server finds in its store."""
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=9"
    with urllib.request.urlopen(url) as answer:
        found = json.load(answer)
    return [each["name"] for each in found["experiments"]]


def answers(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def processes() -> dict[int, str]:
    """The command lines of what runs on this machine, by process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_text("utf-8", "replace")
        except OSError:  # it has ended meanwhile
            continue
        if text:  # none: it has ended, and nobody has asked yet how
            found[int(folder.name)] = text.replace("\0", " ")
    return found
