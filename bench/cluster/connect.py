"""Opening a Ray cluster and closing it again."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from bench.cluster import preflight
from bench.cluster.pool import Cluster, ClusterError
from bench.errors import UsageError
from bench.settings import Settings

ANSWER_SECONDS = 5  # for a cluster's address to answer


@contextlib.contextmanager
def connect(settings: Settings) -> "Iterator[Cluster]":
    """The cluster that the settings name, its nodes checked; without an address one of this machine
    alone.

    Nothing is printed while it lasts: Ray tells of its workers on standard output, which is for
    tables. Raises UsageError without Ray or for a wrong setting, ClusterError where a cluster or a
    node of it does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UsageError("--executor ray needs Ray: pip install 'ser-bench[ray]'") from None
    address = settings.ray_address or os.environ.get("RAY_ADDRESS") or "local"
    _reach(address)
    own = {"include_dashboard": False} if address == "local" else {}
    with _silent():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
        except Exception as error:  # Ray raises its own, and those of what it stands on
            text = " ".join(str(error).split())
            raise ClusterError(f"the Ray cluster {address} cannot be used: {text[:400]}") from error
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


def _reach(address: str) -> None:
    """Ray itself would try for minutes."""
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdigit():
        raise UsageError(
            f"--ray-address takes HOST:PORT of a cluster's head (its port is 6379), or auto; not {address}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ClusterError(
            f"no Ray cluster answers at {address} ({reason}): `ray start --head` begins one"
        ) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        yield
