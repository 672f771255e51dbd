"""Ray: calls that run wherever a cluster has room, repeated elsewhere if their worker dies.

Only this package imports Ray.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.errors import BenchError, UsageError, one_line
from bench.settings import Settings

ATTEMPTS = 3  # of a call whose workers die
LOOK_SECONDS = 600  # for nodes to import the harness and to report what they have
STOP_SECONDS = (
    60  # for cancelled calls to leave nothing half done, before they are killed
)
IDLE_SECONDS = (
    30  # without a result, after which the cluster is asked whether it has room at all
)


class ClusterError(BenchError):
    """A cluster that does not answer, or whose nodes cannot do the work."""


class Gpu(NamedTuple):
    memory: int  # MiB
    bf16: bool


@dataclass(frozen=True)
class Need:
    """What a call needs of a node. `memory`: MiB reserved for it; 0: none is reserved."""

    cpus: int = 1
    gpus: float = 0.0
    memory: int = 0


@dataclass
class Call:
    """A function of a module with its arguments. `key`: the caller's own name of it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    need: Need
    key: Any = None
    attempts: int = 0


class Ended(NamedTuple):
    """A call that has ended: with what it returned, or `lost`: why it returned nothing."""

    call: Call
    value: Any
    lost: str = ""


class Cluster:
    """A Ray cluster, and the calls that are under way on it."""

    def __init__(self, ray: Any, settings: Settings) -> None:
        self.ray = ray
        self.settings = settings
        self.under_way: dict[Any, Call] = {}
        self._functions: dict[tuple[Any, Need], Any] = {}
        self._said_waiting = False
        self.gpu: Gpu | None = None  # the smallest GPU of its nodes, set by `connect`

    @property
    def device(self) -> str:
        """The kind of device that calls compute on: `cuda`, or `cpu`."""
        return "cuda" if self.gpu else "cpu"

    def precision(self, asked: str) -> str:
        """The number format of a recipe on the cluster's device.

        The same rule as `bench.training.devices.precision` for a local device.
        """
        if asked == "auto":
            bf16 = self.gpu is not None and self.gpu.bf16
            return "bf16" if bf16 else "fp32"
        if asked == "fp16" and not self.gpu:
            return "fp32"
        return asked

    @property
    def nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    @property
    def several(self) -> bool:
        """Whether the cluster has more than one machine."""
        hosts = {node["NodeManagerHostname"] for node in self.nodes}
        return len(hosts) > 1

    def total(self, what: str) -> float:
        """The number of `CPU` or `GPU` of all nodes together."""
        return sum(self._amounts(what))

    def most(self, what: str) -> float:
        """The largest amount that one node has; of `memory` in MiB."""
        largest = max(self._amounts(what), default=0.0)
        if what == "memory":
            return largest / 2**20
        return largest

    def share(self, value: Any) -> Any:
        """A reference to a value that many calls take; each node receives the value once."""
        return self.ray.put(value)

    def start(self, call: Call) -> None:
        """Run a call as soon as a node has room. Raises UsageError if no node could ever run it."""
        call.attempts += 1
        self._check_room(call.need)
        function = self._function(call)
        reference = function.remote(*call.arguments)
        self.under_way[reference] = call

    def ended(self, say: Callable[[str], None]) -> Ended:
        """The next call that ends.

        A call whose worker or node died is started again, until ATTEMPTS are used up.
        """
        while True:
            done, _ = self.ray.wait(
                list(self.under_way), num_returns=1, timeout=IDLE_SECONDS
            )
            if not done:
                self._say_waiting(say)
                continue
            ended = self._end(done[0], say)
            if ended:
                return ended

    def stop(self) -> None:
        """Cancel all calls under way, and kill those that do not end within STOP_SECONDS."""
        calls = list(self.under_way)
        left = self._cancel(calls, force=False)
        self._cancel(left, force=True)
        self.under_way.clear()

    def _cancel(self, calls: list[Any], force: bool) -> list[Any]:
        """The calls that have not ended within STOP_SECONDS."""
        for reference in calls:
            with contextlib.suppress(Exception):
                self.ray.cancel(reference, force=force)
        until = time.monotonic() + STOP_SECONDS
        while calls and time.monotonic() < until:
            _, calls = self.ray.wait(calls, num_returns=len(calls), timeout=0.2)
        return calls

    def _end(self, reference: Any, say: Callable[[str], None]) -> Ended | None:
        """The end of a call; None if it was started again."""
        call = self.under_way.pop(reference)
        errors = self.ray.exceptions
        try:
            return Ended(call, self.ray.get(reference))
        except errors.RayTaskError as error:
            # our functions return the errors that they raise, so the node lacks something
            return Ended(
                call,
                None,
                f"a node cannot do it: {one_line(error.cause or error)}"[:400],
            )
        except errors.RayError as error:
            cause = _death(error)
            if isinstance(error, errors.OutOfMemoryError):
                call.need = dataclasses.replace(
                    call.need, memory=int(self.most("memory"))
                )
        if call.attempts >= ATTEMPTS:
            lost = f"{cause}, {ATTEMPTS} times in {ATTEMPTS}: its log is in Ray's session folder"
            return Ended(call, None, lost)
        say(f"{cause}: started again, attempt {call.attempts + 1} of {ATTEMPTS}")
        self.start(call)
        return None

    def _amounts(self, what: str) -> list[float]:
        """How much of a resource each node has."""
        amounts = []
        for node in self.nodes:
            amount = node["Resources"].get(what, 0)
            amounts.append(float(amount))
        return amounts

    def _function(self, call: Call) -> Any:
        """The call's function as Ray runs it, made once per function and need."""
        need = call.need
        key = (call.function, need)
        if key not in self._functions:
            remote = self.ray.remote(
                num_cpus=need.cpus,
                num_gpus=need.gpus,
                memory=need.memory * 2**20,
                # counted here, because Ray counts those that ran out of memory apart
                max_retries=0,
                # a process keeps its first GPU, and memory there, until it ends
                max_calls=1 if need.gpus else 0,
                scheduling_strategy="SPREAD",
            )
            self._functions[key] = remote(call.function)
        return self._functions[key]

    def _check_room(self, need: Need) -> None:
        # dead nodes count, too: nodes like them may join again
        for node in self.ray.nodes():
            has = node["Resources"]
            cpus = has.get("CPU", 0) >= need.cpus
            gpus = has.get("GPU", 0) >= need.gpus
            memory = has.get("memory", 0) >= need.memory * 2**20
            if cpus and gpus and memory:
                return

        raise UsageError(
            f"no node of the cluster has {_amount(need)}: ask for less with --cpus-per-run, "
            "--gpus-per-run or --memory-per-run"
        )

    def _say_waiting(self, say: Callable[[str], None]) -> None:
        free = self.ray.available_resources()
        idle = free.get("CPU", 0) == self.total("CPU")
        if idle and not self._said_waiting:
            say(
                "no node that is alive has room for what is left: waiting for one to join"
            )
            self._said_waiting = True

    def on(
        self,
        nodes: Sequence[Any],
        function: Any,
        arguments: tuple[Any, ...],
        gpus: float = 0,
    ) -> list[Any]:
        """What a function returns on each of the nodes. Raises ClusterError."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        references = []
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            remote = self.ray.remote(
                max_retries=0, scheduling_strategy=there, num_cpus=0, num_gpus=gpus
            )
            references.append(remote(function).remote(*arguments))
        try:
            return list(self.ray.get(references, timeout=LOOK_SECONDS))
        except self.ray.exceptions.RayTaskError as error:
            text = one_line(error.cause or error, 400)
            message = f"a node of the cluster cannot be used: {text}; install ser-bench on all"
            raise ClusterError(message) from error
        except self.ray.exceptions.RayError as error:
            message = f"a node of the cluster did not answer within {LOOK_SECONDS} s"
            raise ClusterError(message) from error


def _death(error: Exception) -> str:
    names = {
        "OutOfMemoryError": "its node ran out of memory",
        "NodeDiedError": "its node died",
        "WorkerCrashedError": "its worker process died",
    }
    return names.get(
        type(error).__name__, f"its worker was lost ({type(error).__name__})"
    )


def _amount(need: Need) -> str:
    parts = [f"{need.cpus} CPUs"]
    if need.gpus:
        parts.append(f"{need.gpus:g} GPUs")
    if need.memory:
        parts.append(f"{need.memory} MiB")
    return " and ".join(parts)
