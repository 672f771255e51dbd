"""A saved network's folder as a model in MLflow's own format: its description and requirements."""

import json
import platform
import time
import uuid
from importlib.metadata import version
from pathlib import Path

LOADER = "bench.runs.pyfunc"  # stands in recorded models: this address stays
ENVIRONMENT = "python_env.yaml"
REQUIREMENTS = "requirements.txt"
TIME = "%Y-%m-%d %H:%M:%S"
NEEDED = (
    "ser-bench",
    "mlflow",
    "numpy",
    "pandas",
    "safetensors",
    "torch",
    "transformers",
)


def describe(folder: Path) -> None:
    """Make what `mlflow.pyfunc.load_model` needs of the folder of a saved network.

    A function of an installed module loads it, so that nothing is unpickled and no code is copied.
    """
    _write(_model(), folder / "MLmodel")
    _write(_environment(), folder / ENVIRONMENT)
    lines = _requirements()
    text = "\n".join(lines)
    requirements = folder / REQUIREMENTS
    requirements.write_text(
        text,
        encoding="utf-8",
    )


def _model() -> dict[str, object]:
    now = time.gmtime()
    made = time.strftime(TIME, now)
    number = uuid.uuid4()
    loaded_by = {
        "loader_module": LOADER,
        "python_version": platform.python_version(),
        "env": {
            "virtualenv": ENVIRONMENT,
        },
    }
    return {
        "flavors": {
            "python_function": loaded_by,
        },
        "mlflow_version": version("mlflow"),
        "model_uuid": number.hex,
        "utc_time_created": made,
    }


def _environment() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "dependencies": [
            f"-r {REQUIREMENTS}",
        ],
    }


def _requirements() -> list[str]:
    lines = []
    for name in NEEDED:
        installed = version(name)
        lines.append(f"{name}=={installed}")
    return lines


def _write(content: object, path: Path) -> None:
    """Write it as YAML, which holds JSON."""
    text = json.dumps(
        content,
        indent=2,
    )
    path.write_text(
        text,
        encoding="utf-8",
    )
