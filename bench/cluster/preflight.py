"""What the nodes of a cluster have, and whether they see what they need."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.cluster.pool import Cluster, ClusterError, Gpu
from bench.errors import BenchError, UsageError
from bench.settings import Settings
from bench.version import __version__


def gpu(cluster: Cluster, wanted: str) -> Gpu | None:
    """The smallest GPU of the cluster; None if runs do not use GPUs.

    `wanted`: the setting `--device`. Raises UsageError if the cluster cannot offer it.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"with --executor ray use --device auto, cpu or cuda, not {wanted}: "
            "Ray chooses which GPU"
        )
    if wanted == "cpu":
        return None
    with_gpus = [node for node in cluster.nodes if node["Resources"].get("GPU", 0)]
    if wanted == "cuda" and not with_gpus:
        raise UsageError("no node of the cluster has a GPU: use --device cpu")
    gpus = cluster.on(with_gpus, look_at_gpu, (), gpus=0.01)
    if not gpus:
        return None
    return Gpu(min(gpu.memory for gpu in gpus), all(gpu.bf16 for gpu in gpus))


def check(cluster: Cluster, settings: Settings) -> None:
    """Check that every node has this version and sees the store, the results and the cache.

    Raises:
        ClusterError: names the first node that does not.
    """
    nodes = cluster.nodes
    folders = list(_folders(settings)) if cluster.several else []
    uri = settings.tracking_uri if cluster.several else None
    with contextlib.ExitStack() as stack:
        marks = [stack.enter_context(_mark(folder)) for folder in folders]
        reports = cluster.on(nodes, look, (marks, uri))
    for node, (version, unseen, problem) in zip(nodes, reports, strict=True):
        name = node["NodeManagerHostname"]
        if version != __version__:
            message = f"the node {name} has ser-bench {version}, not {__version__}"
            raise ClusterError(f"{message}: install the same version")
        if unseen:
            raise ClusterError(
                f"the node {name} does not see {folders[unseen[0]]}: put --results and --cache on "
                "a disk that all nodes share, or name an MLflow server with --tracking-uri and an "
                "object store with --cache"
            )
        if problem:
            raise ClusterError(f"on the node {name}, {problem}")


def look(marks: Sequence[Path], uri: str | None) -> tuple[str, list[int], str]:
    """Run on a node: its version of ser-bench, the marks it does not see, and the store's error."""
    from tempfile import TemporaryDirectory

    problem = ""
    if uri and uri.startswith("http"):
        from bench.runs.store import Store

        try:
            with TemporaryDirectory() as folder:
                Store(uri, Path(folder))
        except BenchError as error:
            problem = str(error)
    unseen = [i for i, mark in enumerate(marks) if not mark.exists()]
    return __version__, unseen, problem


def look_at_gpu() -> Gpu:
    """Run on a node: its GPU."""
    import torch

    memory = torch.cuda.get_device_properties(0).total_memory // 2**20
    return Gpu(memory, torch.cuda.is_bf16_supported())


def _folders(settings: Settings) -> Iterator[Path]:
    """The folders that several machines must share, on a common disk."""
    from bench.data.cache import Cache

    uri = settings.tracking_uri
    if uri is None:
        yield settings.results.resolve()
    elif uri.startswith("sqlite:///"):
        yield Path(uri.removeprefix("sqlite:///")).resolve().parent

    if not (settings.cache and "://" in settings.cache):
        yield Cache.at(settings.cache).root.resolve()


@contextlib.contextmanager
def _mark(folder: Path) -> Iterator[Path]:
    """A file in the folder that nodes look for."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-{uuid.uuid4().hex}"
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)
