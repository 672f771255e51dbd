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
        gpu = self.cluster.gpu
        if gpu is None:
            return self._need_without_gpu(measured)
        share = 1.0
        if measured:
            reserved = measured * MARGIN + CONTEXT
            share = reserved / gpu.memory
        gpus = self.settings.gpus_per_run or _whole_share(share)
        cpus = self.settings.cpus_per_run
        if not cpus:
            readers = min(READERS, self._cpus_per_gpu())
            cpus = max(1, int(gpus * readers))
        memory = self.settings.memory_per_run or 0
        return Need(cpus, gpus, memory)

    def slots(self, need: Need) -> int:
        """How many such runs the cluster has room for at once; at least 1."""
        if need.gpus:
            slots = self.cluster.total("GPU") / need.gpus
        else:
            slots = self.cluster.total("CPU") / need.cpus
        return max(1, int(slots))

    def _need_without_gpu(self, measured: float | None) -> Need:
        memory = self.settings.memory_per_run or 0
        if measured and not memory:
            reserved = math.ceil(measured * MARGIN)
            largest = int(self.cluster.most("memory"))
            memory = min(reserved, largest)
        cpus = self.settings.cpus_per_run
        if not cpus:
            cpus = min(self.threads, int(self.cluster.most("CPU")))
        return Need(cpus, 0.0, memory)

    def _cpus_per_gpu(self) -> float:
        cpus = self.cluster.total("CPU")
        gpus = self.cluster.total("GPU")
        return cpus / max(1.0, gpus)


def _whole_share(share: float) -> float:
    """The least 1/n of a GPU that holds the share, rounded down to the 4 digits that Ray counts."""
    runs = max(1, math.floor(1 / share))
    digits = math.floor(10_000 / runs)
    return digits / 10_000
