"""Every rule of a plugin, once per plugin, variant and mode."""

import pytest

from bench import registry
from bench.contracts.backbone import Backbone, Mode
from bench.registry import entries, load
from bench.testing import check_backbone, check_task


def _backbones() -> list[str]:
    found = []
    for name, entry in entries("backbone").items():
        plugin = load(entry, "backbone")
        assert issubclass(plugin, Backbone)
        found += [name, *(f"{name}:{variant}" for variant in plugin.variants)]
    return found


@pytest.mark.parametrize("mode", ["finetune", "probe"])
@pytest.mark.parametrize("name", _backbones())
def test_backbone_keeps_the_contract(name: str, mode: Mode) -> None:
    check_backbone(registry.backbones([name])[0], mode)


@pytest.mark.parametrize("name", sorted(entries("task")))
def test_task_keeps_the_contract(name: str) -> None:
    check_task(registry.tasks([name])[0])
