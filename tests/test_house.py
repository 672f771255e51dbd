"""CONTRIBUTING's picture of the house is the contract that import-linter checks."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain

import pytest

from tests.conftest import COLLECTED
from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENTRY_POINTS = {"__init__", "__main__"}


def contracted() -> list[set[str]]:
    """The rooms on each layer, from the top, as import-linter knows them."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    return [set(layer.strip("()").split(" : ")) for layer in layers]


def pictured() -> list[set[str]]:
    """The same, as CONTRIBUTING draws them: names, then at least two spaces and what they hold."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = re.search(r"## The house.*?```\n(.*?)```", text, re.DOTALL)
    assert picture
    names = [
        re.match(r"(\w+(?:  \w+)*)(?:   |$)", line) for line in picture[1].splitlines()
    ]
    assert all(names), (
        "a line of the picture does not begin with the names of its rooms"
    )
    return [set(match[1].split()) for match in names if match]


def test_the_picture_is_the_contract() -> None:
    assert pictured() == contracted()


def test_every_room_has_its_place() -> None:
    modules = {path.stem for path in (ROOT / "bench").glob("*.py")} - ENTRY_POINTS
    packages = {path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")}
    assert set().union(*pictured()) == modules | packages


def test_tests_mirror_the_packages() -> None:
    packages = {path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")}
    mirrored = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert mirrored == packages | {"backbones", "tasks"}


def test_packages_begin_with_one_sentence_and_import_nothing() -> None:
    for path in (ROOT / "bench").glob("*/__init__.py"):
        text = path.read_text(encoding="utf-8").strip()
        one_sentence = re.fullmatch(r'"""[^"]+\.\s*"""', text, re.DOTALL)
        assert one_sentence, f"{path} holds more than a sentence"


def test_every_import_is_declared() -> None:
    """What the packages import is a dependency, or in an extra, of `pyproject.toml`."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *chain.from_iterable(extras)]
    declared = {canonical(re.split(r"[\[<>=!;~ ]", text)[0]) for text in requirements}
    provided = {**packages_distributions(), "parselmouth": ["praat-parselmouth"]}
    undeclared = {
        module: provided.get(module, [])
        for module in third_party()
        if not declared & {canonical(name) for name in provided.get(module, [])}
    }
    assert undeclared == {}


def third_party() -> set[str]:
    """The top-level modules that our packages import and that are neither ours nor Python's."""
    modules: set[str] = set()
    for package in ("bench", "backbones", "tasks"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    modules.add(node.module.partition(".")[0])
    return modules - {"bench", "backbones", "tasks"} - sys.stdlib_module_names


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_collecting_the_tests_imports_nothing_that_takes_seconds(
    request: pytest.FixtureRequest,
) -> None:
    slow = {
        "mlflow",
        "ray",
        "sklearn",
        "optuna",
        "transformers",
        "matplotlib",
        "librosa",
    }
    loaded = request.config.stash[COLLECTED] & slow
    assert not loaded, f"import {', '.join(sorted(loaded))} in the tests that need it"
