"""What a run needs of a node: as the user says, as was measured, or at first a whole GPU."""

import math

import torch

from bench.cluster.pool import Cluster, Need

MARGIN = 1.2  # memory reserved for a run, as a multiple of the most that a run like it has used
CONTEXT = 600  # MiB of a GPU that a process uses beside its arrays
READERS = 4  # processes that read batches for a whole GPU


class Sizes:
    """The needs of runs on one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.settings = cluster.settings
        self.threads = self.settings.cpus_per_run or torch.get_num_threads()
        if cluster.gpu:
            self.given = bool(self.settings.gpus_per_run)
        else:
            self.given = bool(self.settings.memory_per_run)

    def need(self, measured: float | None) -> Need:
        """The need of a run that uses `measured` MiB of its GPU, or without GPUs of its node."""
        if self.cluster.gpu is None:
            return self._need_without_gpu(measured)
        share = 1.0
        if measured:
            share = (measured * MARGIN + CONTEXT) / self.cluster.gpu.memory
        gpus = self.settings.gpus_per_run or _whole_share(share)
        readers = max(1, int(gpus * min(READERS, self._cpus_per_gpu())))
        cpus = self.settings.cpus_per_run or readers
        return Need(cpus, gpus, self.settings.memory_per_run or 0)

    def slots(self, need: Need) -> int:
        """How many such runs the cluster has room for at once; at least 1."""
        if need.gpus:
            return max(1, int(self.cluster.total("GPU") / need.gpus))
        return max(1, int(self.cluster.total("CPU") / need.cpus))

    def _need_without_gpu(self, measured: float | None) -> Need:
        memory = self.settings.memory_per_run or 0
        if measured and not memory:
            memory = min(math.ceil(measured * MARGIN), int(self.cluster.most("memory")))
        cpus = self.settings.cpus_per_run or min(self.threads, int(self.cluster.most("CPU")))
        return Need(cpus, 0.0, memory)

    def _cpus_per_gpu(self) -> float:
        return self.cluster.total("CPU") / max(1.0, self.cluster.total("GPU"))


def _whole_share(share: float) -> float:
    """The least 1/n of a GPU that holds the share, rounded down to the 4 digits that Ray counts."""
    return math.floor(10_000 / max(1, math.floor(1 / share))) / 10_000
