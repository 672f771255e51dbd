"""A backbone's name and a task's mean the same: as typed, with the variant."""

import pytest

from bench import registry
from bench.contracts.plugin import Plugin


@pytest.mark.parametrize("plugin", [registry.backbones, registry.tasks])
def test_a_name_has_its_variant(plugin: object) -> None:
    name = "hubert:released" if plugin is registry.backbones else "demo:pitch"
    (found,) = plugin([name])  # type: ignore[operator]
    assert isinstance(found, Plugin)
    assert found.name == name
    assert f"{found.stem}:{found.variant}" == name
    assert found.names == (found.stem, name)


def test_the_default_variant_has_one_name() -> None:
    for name in ("hubert", "hubert:"):
        (found,) = registry.backbones([name])
        assert (found.name, found.stem, found.variant) == ("hubert", "hubert", "")
        assert found.names == ("hubert",)
