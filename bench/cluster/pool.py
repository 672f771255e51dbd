"""Ray: calls that run wherever a cluster has room, each done again elsewhere if its worker dies;
the only module that imports it.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.errors import BenchError, UsageError
from bench.settings import Settings

ATTEMPTS = 3  # of a call whose workers die
LOOK_SECONDS = 120  # for its nodes to import what they need and to say what they have
STOP_SECONDS = 10  # for calls to leave nothing half done once they are told to stop
IDLE_SECONDS = 30  # without an end, after which is asked whether the cluster has room at all


class ClusterError(BenchError):
    """A cluster that does not answer, or whose nodes cannot do the work."""


class Gpu(NamedTuple):
    memory: int  # MiB
    bf16: bool


@dataclass(frozen=True)
class Need:
    """What a call takes of a node. memory: MiB that nobody else is promised; 0: none is promised,
    none is kept.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory: int = 0


@dataclass
class Call:
    """A function of a module, with its arguments. `key`: what its caller knows it by."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    need: Need
    key: Any = None
    attempts: int = 0


class Ended(NamedTuple):
    """A call that has come to its end: with what it returned, or (lost) why there will be nothing."""

    call: Call
    value: Any
    lost: str = ""


class Cluster:
    """A Ray cluster, and the calls that are under way on it."""

    def __init__(self, ray: Any, settings: Settings) -> None:
        self.ray, self.settings = ray, settings
        self.under_way: dict[Any, Call] = {}
        self._functions: dict[tuple[Any, Need], Any] = {}
        self._told_waiting = False
        self.gpu: Gpu | None = None  # the least GPU of its nodes; `connect` finds it

    @property
    def device(self) -> str:
        """The kind of device that calls compute on: `cuda`, or `cpu`."""
        return "cuda" if self.gpu else "cpu"

    def precision(self, asked: str) -> str:
        """The number format that a recipe gets there, as `bench.training.devices.precision` has it
        for a device at hand.
        """
        if asked == "auto":
            return "bf16" if self.gpu and self.gpu.bf16 else "fp32"
        return "fp32" if asked == "fp16" and not self.gpu else asked

    @property
    def nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    @property
    def several(self) -> bool:
        """Whether it is more than one machine."""
        return len({node["NodeManagerHostname"] for node in self.nodes}) > 1

    def total(self, what: str) -> float:
        """How many `CPU` or `GPU` all nodes have."""
        return sum(float(node["Resources"].get(what, 0)) for node in self.nodes)

    def most(self, what: str) -> float:
        """How many one node has at most; of `memory` in MiB."""
        found = max((float(node["Resources"].get(what, 0)) for node in self.nodes), default=0.0)
        return found / 2**20 if what == "memory" else found

    def share(self, value: Any) -> Any:
        """A value that many calls take, sent to each node once; given to calls, it arrives as
        itself.
        """
        return self.ray.put(value)

    def start(self, call: Call) -> None:
        """Have a call done as soon as a node has room. Raises UsageError if none could ever have
        it.
        """
        call.attempts += 1
        self._check_room(call.need)
        self.under_way[self._function(call).remote(*call.arguments)] = call

    def ended(self, say: Callable[[str], None]) -> Ended:
        """The next call that ends. One whose worker or node died is started again, ATTEMPTS times
        in all.
        """
        while True:
            done, _ = self.ray.wait(list(self.under_way), num_returns=1, timeout=IDLE_SECONDS)
            if not done:
                self._tell_waiting(say)
            elif ended := self._end(done[0], say):
                return ended

    def stop(self) -> None:
        """End what is under way: politely, then not."""
        left = list(self.under_way)
        for force in (False, True):
            for reference in left:
                with contextlib.suppress(Exception):
                    self.ray.cancel(reference, force=force)
            until = time.monotonic() + STOP_SECONDS
            while left and time.monotonic() < until:
                left = self.ray.wait(left, num_returns=len(left), timeout=0.2)[1]
        self.under_way.clear()

    def _end(self, reference: Any, say: Callable[[str], None]) -> Ended | None:
        """None for a call that was started again."""
        call, errors = self.under_way.pop(reference), self.ray.exceptions
        try:
            return Ended(call, self.ray.get(reference))
        except (
            errors.RayTaskError
        ) as error:  # what our functions raise they return, so this node lacks something
            return Ended(
                call, None, " ".join(f"a node cannot do it: {error.cause or error}".split())[:400]
            )
        except errors.RayError as error:
            what = _death(error)
            if isinstance(error, errors.OutOfMemoryError):
                call.need = dataclasses.replace(call.need, memory=int(self.most("memory")))
        if call.attempts >= ATTEMPTS:
            return Ended(
                call,
                None,
                f"{what}, {ATTEMPTS} times in {ATTEMPTS}: its log is in Ray's session folder",
            )
        say(f"{what}: started again, attempt {call.attempts + 1} of {ATTEMPTS}")
        self.start(call)
        return None

    def _function(self, call: Call) -> Any:
        key = (call.function, call.need)
        if key not in self._functions:
            need = call.need
            self._functions[key] = self.ray.remote(
                num_cpus=need.cpus,
                num_gpus=need.gpus,
                memory=need.memory * 2**20,
                max_retries=0,  # counted here, since Ray counts those that ran out of memory apart
                max_calls=1
                if need.gpus
                else 0,  # a process keeps its first GPU, and memory there, until it ends
                scheduling_strategy="SPREAD",
            )(call.function)
        return self._functions[key]

    def _check_room(self, need: Need) -> None:
        known = [
            node["Resources"] for node in self.ray.nodes()
        ]  # dead ones, too: their like may come back
        fits = any(
            r.get("CPU", 0) >= need.cpus
            and r.get("GPU", 0) >= need.gpus
            and r.get("memory", 0) >= need.memory * 2**20
            for r in known
        )
        if not fits:
            raise UsageError(
                f"no node of the cluster has {_amount(need)}: ask for less with --cpus-per-run, --gpus-per-run or "
                "--memory-per-run"
            )

    def _tell_waiting(self, say: Callable[[str], None]) -> None:
        idle = self.ray.available_resources().get("CPU", 0) == self.total("CPU")
        if idle and not self._told_waiting:
            say("no node that is alive has room for what is left: waiting for one to join")
            self._told_waiting = True

    def on(
        self, nodes: Sequence[Any], function: Any, arguments: tuple[Any, ...], gpus: float = 0
    ) -> list[Any]:
        """What a function returns on each of the nodes."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Here

        options = [
            {
                "scheduling_strategy": Here(node["NodeID"], soft=False),
                "num_cpus": 0,
                "num_gpus": gpus,
            }
            for node in nodes
        ]
        asked = [self.ray.remote(max_retries=0, **o)(function).remote(*arguments) for o in options]
        try:
            return list(self.ray.get(asked, timeout=LOOK_SECONDS))
        except self.ray.exceptions.RayTaskError as error:
            text = " ".join(str(error.cause or error).split())[:400]
            raise ClusterError(
                f"a node of the cluster cannot be used: {text}; install ser-bench on all"
            ) from error
        except self.ray.exceptions.RayError as error:
            raise ClusterError(
                f"a node of the cluster did not answer within {LOOK_SECONDS} s"
            ) from error


def _death(error: Exception) -> str:
    names = {
        "OutOfMemoryError": "its node ran out of memory",
        "NodeDiedError": "its node died",
        "WorkerCrashedError": "its worker process died",
    }
    return names.get(type(error).__name__, f"its worker was lost ({type(error).__name__})")


def _amount(need: Need) -> str:
    parts = [
        f"{need.cpus} CPUs",
        f"{need.gpus:g} GPUs" if need.gpus else "",
        need.memory and f"{need.memory} MiB",
    ]
    return " and ".join(str(part) for part in parts if part)
