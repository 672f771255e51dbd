"""A benchmark of speech-emotion backbones. Its functions and errors are imported when they are
first used, so that `import bench` itself is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.version import __version__

if TYPE_CHECKING:
    from bench.errors import BenchError
    from bench.evidence import audit, compare
    from bench.interface import (
        backbones,
        forget,
        predict,
        predictions,
        prepare,
        run,
        table,
        tasks,
        tune,
    )
    from bench.transfer import export_runs, import_runs

__all__ = [
    "BenchError",
    "__version__",
    "audit",
    "backbones",
    "compare",
    "export_runs",
    "forget",
    "import_runs",
    "predict",
    "predictions",
    "prepare",
    "run",
    "table",
    "tasks",
    "tune",
]

ROOMS = {
    "BenchError": "bench.errors",
    "audit": "bench.evidence",
    "compare": "bench.evidence",
    "export_runs": "bench.transfer",
    "import_runs": "bench.transfer",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = ROOMS.get(name, "bench.interface")
    return getattr(import_module(room), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
