"""The description of a saved network: the JSON beside its weights, whole or refused."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from bench.contracts.backbone import Setup
from bench.errors import BenchError, first_sentence
from bench.options import choices

if TYPE_CHECKING:
    from torch import Tensor

STATE, ABOUT = "network.safetensors", "network.json"
FORMAT = 1  # of the JSON
AGAIN = "train it again with `bench run --save-weights --fresh`"

# the values that every description has, and of what kind they are
KINDS: Mapping[str, type] = {
    "format": int,
    "ser_bench": str,
    "backbone": str,
    "backbone_version": int,
    "setup": dict,
    "weights_digest": str,
    "features": dict,
    "batch_size": int,
    "precision": str,
}
SETUP: Mapping[str, type | tuple[type, ...]] = {
    "labels": list,
    "multilabel": bool,
    "language": str,
    "mode": str,
    "scale": str,
    "weights": (str, type(None)),
    "variant": str,
    "options": dict,
}


class NetworkError(BenchError):
    """A saved network that this machine, or this version of its backbone, cannot build again."""


def write(about: Mapping[str, Any], folder: Path) -> None:
    """Write the description of the weights that are in the folder."""
    complete = {**about, "state": _digest(folder / STATE)}
    text = json.dumps(complete, ensure_ascii=False, indent=2)
    (folder / ABOUT).write_text(text, encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The description in a folder.

    Raises:
        NetworkError: if it is damaged, or of another version of ser-bench.
    """
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
    except FileNotFoundError:
        raise damaged(ABOUT, "it is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(ABOUT, first_sentence(error)) from error
    if not isinstance(about, dict):
        raise damaged(ABOUT, "it describes no network")
    _check(about, {"format": int, "ser_bench": str})
    if about["format"] != FORMAT:
        version = about["ser_bench"]
        raise NetworkError(
            f"the network was saved by version {version} of ser-bench: use that, or {AGAIN}"
        )
    _check(about, KINDS)
    _check_setup(about["setup"])
    return about


def weights(folder: Path, about: Mapping[str, Any]) -> "dict[str, Tensor]":
    """The saved weights, as they were written.

    Raises:
        NetworkError: if they are damaged.
    """
    from safetensors.torch import load_file

    path = folder / STATE
    if not path.is_file():
        raise damaged(STATE, "it is missing")
    try:
        state = load_file(path)
    except Exception as error:  # of safetensors, of torch and of the system
        raise damaged(STATE, first_sentence(error)) from error
    written = about.get("state")
    if written is None:  # by a version that wrote no checksum
        whole = all(bool(value.isfinite().all()) for value in state.values())
    else:
        whole = written == _digest(path)
    if not whole:
        raise damaged(STATE, "its values have changed since they were written")
    return state


def damaged(name: str, reason: str) -> NetworkError:
    """The error for a file of a saved network that is not as it was written."""
    return NetworkError(f"{name} of the saved network is damaged ({reason}): {AGAIN}")


def _check(
    values: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]]
) -> None:
    """Raise NetworkError unless the values are there, and of these kinds."""
    for name, kind in kinds.items():
        if name not in values:
            raise damaged(ABOUT, f"it has no {name}")
        if not isinstance(values[name], kind):
            raise damaged(ABOUT, f"its {name} is of another kind")


def _check_setup(setup: Mapping[str, Any]) -> None:
    _check(setup, SETUP)
    foreign = setup.keys() - SETUP.keys()
    if foreign:
        raise damaged(ABOUT, f"its setup has a {min(foreign)}")
    labels = setup["labels"]
    if not labels or not all(isinstance(label, str) for label in labels):
        raise damaged(ABOUT, "its labels are no names")
    hints = get_type_hints(Setup)
    for name in ("mode", "scale"):
        if setup[name] not in choices(hints[name]):
            raise damaged(ABOUT, f"its {name} is unknown")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
