"""What the nodes of a cluster have, and whether they see what they must."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cluster.pool import ClusterError, Gpu
from bench.errors import BenchError, UsageError
from bench.settings import Settings
from bench.version import __version__

if TYPE_CHECKING:
    from bench.cluster.pool import Cluster


def gpu(cluster: "Cluster", wanted: str) -> Gpu | None:
    """The least GPU of the cluster, where runs are to use GPUs."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"with --executor ray use --device auto, cpu or cuda, not {wanted}: Ray chooses which GPU"
        )
    with_gpus = (
        [node for node in cluster.nodes if node["Resources"].get("GPU", 0)]
        if wanted != "cpu"
        else []
    )
    if wanted == "cuda" and not with_gpus:
        raise UsageError("no node of the cluster has a GPU: use --device cpu")
    found = cluster.on(with_gpus, look_at_gpu, (), gpus=0.01)
    return Gpu(min(g.memory for g in found), all(g.bf16 for g in found)) if found else None


def check(cluster: "Cluster", settings: Settings) -> None:
    """That every node has this version and sees what it must. Raises ClusterError."""
    nodes = cluster.nodes
    folders = [folder for folder in _folders(settings) if cluster.several]
    with contextlib.ExitStack() as stack:
        marks = [stack.enter_context(_mark(folder)) for folder in folders]
        found = cluster.on(nodes, look, (marks, settings.tracking_uri if cluster.several else None))
    for node, (version, unseen, trouble) in zip(nodes, found, strict=True):
        name = node["NodeManagerHostname"]
        if version != __version__:
            raise ClusterError(
                f"the node {name} has ser-bench {version}, not {__version__}: install the same"
            )
        if unseen:
            raise ClusterError(
                f"the node {name} does not see {folders[unseen[0]]}: put --results and --cache on a disk that all "
                "nodes share, or name an MLflow server with --tracking-uri and an object store with --cache"
            )
        if trouble:
            raise ClusterError(f"on the node {name}, {trouble}")


def look(marks: Sequence[Path], uri: str | None) -> tuple[str, list[int], str]:
    """On a node: its version of the harness, which marks it does not see, and what is wrong with
    the store.
    """
    from tempfile import TemporaryDirectory

    trouble = ""
    if uri and uri.startswith("http"):
        from bench.runs.store import Store

        try:
            with TemporaryDirectory() as folder:
                Store(uri, Path(folder))
        except BenchError as error:
            trouble = str(error)
    return __version__, [i for i, mark in enumerate(marks) if not mark.exists()], trouble


def look_at_gpu() -> Gpu:
    import torch

    return Gpu(
        torch.cuda.get_device_properties(0).total_memory // 2**20, torch.cuda.is_bf16_supported()
    )


def _folders(settings: Settings) -> Iterator[Path]:
    """What only a common disk can give to several machines."""
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
    """A file there, for the nodes to look for."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-{uuid.uuid4().hex}"
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)
