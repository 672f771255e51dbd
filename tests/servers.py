"""A real tracking server on loopback, which can die and come back."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


class TrackingServer:
    """`mlflow server` over a database, which serves artifacts from a folder of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database, self.port = folder, database, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        command += ["--workers", "1", "--artifacts-destination", str(self.folder / "artifacts")]
        own = {
            "MLFLOW_BACKEND_STORE_URI": self.database,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        environment = {**os.environ, **own, "OMP_NUM_THREADS": "1"}
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=self.folder,
            start_new_session=True,
            stdout=quiet,
            stderr=quiet,
        )
        wait_for(f"{self.url}/health", self.process)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it with all its workers."""
        os.killpg(self.process.pid, how)
        self.process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the process answers; two minutes at most."""
    for _ in range(240):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not answer within two minutes")
