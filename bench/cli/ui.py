"""MLflow's own pages on loopback."""

import os
import subprocess
import sys
from pathlib import Path

from bench.runs.mlflow_client import StoreError
from bench.runs.store import Store

HOST = "127.0.0.1"
TRAINING = (
    "#/experiments?workflowType=machine_learning"  # not the page on language models
)
WITHOUT_JOBS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"
}  # a process that nothing here uses


def address(port: int) -> str:
    """The page that lists the recorded runs."""
    return f"http://{HOST}:{port}/{TRAINING}"


def serve(uri: str | None, results: Path, port: int) -> None:
    """Serve MLflow's pages of a store, on loopback, until interrupted.

    Raises:
        StoreError: if the server does not start.
    """
    command = _command(Store(uri, results), port)
    try:
        done = subprocess.run(command, env={**os.environ, **WITHOUT_JOBS}, check=False)
    except (
        KeyboardInterrupt
    ):  # the usual way to stop it; the server was interrupted as well
        return
    if done.returncode:
        raise StoreError(
            f"the MLflow pages did not start on port {port}: choose another one with --port"
        )


def _command(store: Store, port: int) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store.uri,
    ]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    if store.artifacts:
        command += ["--default-artifact-root", store.artifacts]
    return command
