"""A run's trained network in two files: its whole state as safetensors, and as JSON what it takes
to build it again.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.contracts.backbone import Backbone, Setup
from bench.errors import BenchError
from bench.options import change
from bench.runs import model_folder, network_card
from bench.runs.network_card import ABOUT, AGAIN, FORMAT, STATE, NetworkError
from bench.runs.pairing import Pairing, Run
from bench.runs.system import setting
from bench.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from bench.contracts.feature import Feature

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Saved:
    """A trained network, and what it reads."""

    setup: Setup
    features: "Mapping[str, Feature]"
    network: "nn.Module"
    batch_size: int  # with which its test clips were predicted
    precision: str  # fp32, bf16 or fp16


def save(
    network: "nn.Module", pairing: Pairing, run: Run, batch_size: int, folder: Path
) -> None:
    """Write both files. Of a private task they hold no path."""
    from safetensors.torch import save_file

    state = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
    }
    save_file(state, folder / STATE)
    about = _about(pairing, run, batch_size)
    network_card.write(about, folder)
    model_folder.describe(folder)


def rebuild(
    folder: Path, weights: "Mapping[str, str]", own_backbone: Backbone | None = None
) -> Saved:
    """The network of a folder that `save` wrote, on the CPU.

    `weights`: backbone -> path or hub id, as `--weights`. `own_backbone`: the backbone, where it
    was passed as an object.

    Raises:
        NetworkError: its files are damaged, or its backbone, a feature or the pre-trained weights
            are no longer those it was trained with.
    """
    about = network_card.read(folder)
    _check_use(about)
    backbone = own_backbone or _registered(about)
    _check_code(backbone, about)
    setup = _setup(backbone, about["setup"], weights)
    _check_weights(backbone, setup, about)
    features = backbone.features(setup)
    if {name: feature.fingerprint for name, feature in features.items()} != about[
        "features"
    ]:
        raise NetworkError(
            f"the features that {about['backbone']} reads have changed since the run: {AGAIN}"
        )
    state = network_card.weights(folder, about)
    network = backbone.network(setup)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise NetworkError(
            f"the saved weights do not fit {about['backbone']} as it is now: {AGAIN}"
        ) from error
    return Saved(
        setup, features, network.eval(), about["batch_size"], about["precision"]
    )


def _check_use(about: "Mapping[str, Any]") -> None:
    """Raise NetworkError unless the network can be used as it is described."""
    if about["batch_size"] < 1:
        raise network_card.damaged(ABOUT, "its batch_size is below 1")
    if about["precision"] not in PRECISIONS:
        raise network_card.damaged(ABOUT, "its precision is unknown")


def _registered(about: "Mapping[str, Any]") -> Backbone:
    name = about["backbone"]
    if about.get("source"):
        raise NetworkError(
            f"{name} was passed as an object, so that its network cannot be built without it: "
            "use bench.predict(..., backbone=...) in Python"
        )
    found = registry.backbones([name])
    if len(found) != 1:
        raise network_card.damaged(ABOUT, f"{name} is not the name of a backbone")
    return found[0]


def _about(pairing: Pairing, run: Run, batch_size: int) -> dict[str, Any]:
    system, backbone = run.system, pairing.backbone
    assert pairing.ready
    setup = {f.name: getattr(system.setup, f.name) for f in dataclasses.fields(Setup)}
    setup["options"] = dataclasses.asdict(system.setup.options)
    setup["weights"] = _portable(system.setup.weights, pairing.task.private)
    own = {"source": backbone.source} if backbone.source else {}
    return {
        **own,
        "format": FORMAT,
        "ser_bench": __version__,
        "task": pairing.task.name,
        "backbone": backbone.name,
        "backbone_version": backbone.version,
        "setup": setup,
        "weights_digest": pairing.ready.weights.digest,
        "features": {
            name: feature.fingerprint for name, feature in system.features.items()
        },
        "batch_size": batch_size,
        "precision": system.recipe.precision,
    }


def _portable(weights: str | None, private: bool) -> str | None:
    """The user's weights by absolute path, or hub id; of a private task a file's name alone."""
    if weights is None or not (path := Path(weights).expanduser()).exists():
        return weights
    return path.name if private else str(path.absolute())


def _setup(
    backbone: Backbone, stored: "Mapping[str, Any]", weights: "Mapping[str, str]"
) -> Setup:
    given = setting(weights, backbone)
    if given is None:
        given = stored["weights"]
    options = change(
        backbone.options(),
        stored["options"],
        f"options of {backbone.name} at the time of the run",
    )
    return Setup(
        **{
            **stored,
            "labels": tuple(stored["labels"]),
            "weights": given,
            "options": options,
        }
    )


def _check_code(backbone: Backbone, about: "Mapping[str, Any]") -> None:
    """Raise NetworkError if the backbone is not the one that was trained."""
    name = about["backbone"]
    if backbone.source != about.get("source", ""):
        raise NetworkError(f"the source of {name} is not that of the run: {AGAIN}")
    saved = about["backbone_version"]
    if backbone.version != saved:
        raise NetworkError(
            f"the network is of version {saved} of {name}, and this is version "
            f"{backbone.version}: {AGAIN}"
        )


def _check_weights(
    backbone: Backbone, setup: Setup, about: "Mapping[str, Any]"
) -> None:
    name = backbone.name
    advice = f"name those of the run with --weights {name}=PATH_OR_HUB_ID"
    try:
        found = backbone.weights(setup)
    except BenchError as error:
        raise NetworkError(
            f"the pre-trained weights of the run are not here: {error} ({advice})"
        ) from error
    if found.digest != about["weights_digest"]:
        raise NetworkError(
            f"the weights at {found.source} are not those that {name} was trained from: {advice}"
        )
