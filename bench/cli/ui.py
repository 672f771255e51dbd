"""MLflow's own pages on loopback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from bench.runs import pages
from bench.runs.mlflow_client import StoreError
from bench.runs.store import Store

HOST = "127.0.0.1"
WITHOUT_JOBS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"
}  # a process that nothing here uses
PATIENCE = 5  # s that the server has for its end
TERMINATED = 128 + signal.SIGTERM  # exit code
# Waits for the end of `bench`, which holds the other end of its standard input, and then ends the
# server's processes. No signal to `bench` can prevent that.
WATCH = f"read -r _; kill -TERM -$0; sleep {PATIENCE}; kill -KILL -$0"


def address(port: int) -> str:
    """The page that lists the recorded runs."""
    return f"{_server(port)}/#/experiments?{pages.WORKFLOW}"


def serve(
    uri: str | None, results: Path, port: int, say: Callable[[str], None]
) -> None:
    """Serve MLflow's pages of a store, on loopback, until interrupted or terminated.

    The server ends with this process, however that ends. `say` gets the page of each task's scores.

    Raises:
        StoreError: if the server does not start.
    """
    store = Store(uri, results)
    for task, experiment in store.runs.opened():
        view = pages.view(experiment)
        say(f"{task}: {_server(port)}/{view}")
    command = _command(store, port)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        # in a group of its own, which is ended whole
        server = subprocess.Popen(command, env=_environment(store), process_group=0)
        with _ended_together(server):
            code = server.wait()
    except KeyboardInterrupt:  # the usual way to stop it
        return
    if code:
        raise StoreError(
            f"the MLflow pages did not start on port {port}: choose another one with --port"
        )


@contextmanager
def _ended_together(server: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End all processes of the server with the block, or with this process."""
    group = server.pid
    watch = ["/bin/sh", "-c", WATCH, str(group)]
    watcher = subprocess.Popen(
        watch,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        _end(server)
        watcher.kill()
        watcher.communicate()


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Ask the processes of the server's group to end, and kill those that do not."""
    group = server.pid
    until = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):  # all have ended
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < until:
            server.poll()
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
    server.wait()


def _server(port: int) -> str:
    return f"http://{HOST}:{port}"


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def _command(store: Store, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]  # not a line per request
    if store.artifacts:
        command += ["--default-artifact-root", store.artifacts]
    return command


def _environment(store: Store) -> Mapping[str, str]:
    """The server's environment, which names the store: its URL may hold a password, and any user
    of the machine can read a command line.
    """
    quiet = {"PYTHONWARNINGS": "ignore"}  # of what MLflow's libraries deprecate
    own = {**WITHOUT_JOBS, "MLFLOW_BACKEND_STORE_URI": store.uri}
    return {**quiet, **os.environ, **own}
