"""MLflow's own pages on loopback."""

import os
import subprocess
import sys
from pathlib import Path

from bench.runs.mlflow_client import StoreError
from bench.runs.store import Store

# isort: split

# MLflow's first page is about language models else
TRAINING = "#/experiments?workflowType=machine_learning"


def serve(uri: str | None, results: Path, port: int) -> None:
    """MLflow's own pages on loopback until interrupted; one worker, without the job runner that
    nothing here uses.
    """
    store = Store(uri, results)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store.uri,
        "--host",
        "127.0.0.1",
    ]
    command += ["--port", str(port), "--workers", "1"]
    if store.artifacts:
        command += ["--default-artifact-root", store.artifacts]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    try:
        ended = subprocess.run(command, env=quiet, check=False)
    except KeyboardInterrupt:  # how a person closes the pages; the server got it, too
        return
    if ended.returncode:
        raise StoreError(
            f"the MLflow pages did not start on port {port}: choose another one with --port"
        )
