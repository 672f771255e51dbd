"""Opening a Ray cluster and closing it again."""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.cluster import preflight
from bench.cluster.pool import Cluster, ClusterError
from bench.errors import UsageError, one_line
from bench.settings import Settings
from bench.texts import address_form

TOKEN_BYTES = 32
ANSWER_SECONDS = 15  # for a cluster's address to accept a connection


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[Cluster]:
    """The cluster that the settings name, with its nodes checked; by default this machine alone.

    Standard output is silenced meanwhile, because Ray reports on its workers there.

    Raises:
        UsageError: Ray is not installed, or a setting is wrong.
        ClusterError: the cluster or one of its nodes does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = settings.ray_address or os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        _demand_token()
    try:
        import ray
    except ImportError:
        raise UsageError(
            "--executor ray needs Ray: pip install 'ser-bench[ray]'"
        ) from None
    _check_reachable(address)
    with _silent():
        _start(ray, address)
        cluster = None
        try:
            cluster = Cluster(ray, settings)
            cluster.gpu = preflight.gpu(cluster, settings.device)
            preflight.check(cluster, settings)
            yield cluster
        finally:
            if cluster:
                cluster.stop()
            ray.shutdown()


def _demand_token() -> None:
    """Make Ray's processes, which listen on every interface of the machine, refuse all who do not
    know a random token. It is passed on by environment; `RAY_AUTH_MODE=disabled` does without.
    """
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token")
    known = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if mode == "token" and not known:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(TOKEN_BYTES)


def _start(ray: Any, address: str) -> None:
    options = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
    except Exception as error:  # Ray raises its own and those of its dependencies
        message = f"the Ray cluster {address} cannot be used: {one_line(error, 400)}"
        raise ClusterError(message) from error


def _check_reachable(address: str) -> None:
    """Raise an error at once where Ray itself would keep trying for minutes."""
    if address in ("local", "auto"):
        return
    try:
        address_form(address)  # it may be the environment's
    except ValueError as error:
        raise UsageError(
            f"the address of a cluster's head (its port is 6379) {error}"
        ) from None
    host, _, port = address.rpartition(":")
    target = (host.strip("[]"), int(port))
    try:
        socket.create_connection(target, ANSWER_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        message = (
            f"no Ray cluster answers at {address} ({reason}): start one with "
            "`ray start --head`"
        )
        raise ClusterError(message) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield
