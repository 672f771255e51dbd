"""The notebooks of the docs run as they stand; an edited cell of one is never `recorded before`."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tests.helpers import PATIENCE, ROOT

NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))


Execute = Callable[[NotebookNode], list[str]]


@pytest.fixture
def execute(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Run a notebook in a folder with an empty store; what each code cell gives, as text."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in (
        "IPYTHONDIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
    ):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))

    def run(notebook: NotebookNode) -> list[str]:
        resources = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=PATIENCE, resources=resources).execute()
        return [shown(cell) for cell in notebook.cells if cell.cell_type == "code"]

    return run


def shown(cell: NotebookNode) -> str:
    """What a cell prints on standard output, and its value as a notebook shows it."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif "data" in output:
            parts.append(
                output.data.get("text/html", output.data.get("text/plain", ""))
            )
    return "".join(parts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebooks_run(path: Path, execute: Execute) -> None:
    notebook = nbformat.read(path, as_version=4)
    outputs = execute(notebook)
    assert "mfcc-stats" in outputs[-1]
    assert not any("failed" in output for output in outputs)


def test_the_demo_takes_five_cells() -> None:
    demo = nbformat.read(ROOT / "docs" / "demo.ipynb", as_version=4)
    assert sum(cell.cell_type == "code" for cell in demo.cells) == 5


NETWORK = """
from torch import nn

class Mean(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(WIDTH, classes)

    def forward(self, inputs):
        return self.layer(inputs["mel"].mean())
"""
BACKBONE = """
from dataclasses import dataclass

import bench
from bench.contracts.backbone import Backbone
from bench.contracts.recipe import Recipe
from bench.features.signal import LogMel
from bench.options import option

@dataclass(frozen=True)
class Options:
    slope: float = option(1.0, "of nothing")

class Loudness(Backbone):
    summary = "the mean of each mel band"
    pretrained = False
    Options = Options

    def recipe(self, setup):
        return Recipe(epochs=1)

    def features(self, setup):
        return {"mel": LogMel(mels=WIDTH)}

    def network(self, setup):
        return Mean(setup.classes)
"""
RUN = "print(bench.run(Loudness, {manifest!r}, folds=1).summary)"


def test_an_edited_cell_is_never_recorded_before(
    execute: Execute, manifest: Path
) -> None:
    run = RUN.format(manifest=str(manifest))
    cells = [
        "WIDTH = 8",
        NETWORK,
        BACKBONE,
        run,
        run,
        NETWORK.replace("self.layer(", "2 * self.layer("),
        run,
        "WIDTH = 9",
        run,
        BACKBONE.replace("option(1.0", "option(2.0"),
        run,
        NETWORK,
        f"# moved down\n\n{BACKBONE}",
        "WIDTH = 8",
        run,
    ]
    outputs = execute(
        nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)])
    )
    new, old = "1 recorded now, 0 recorded before", "0 recorded now, 1 recorded before"
    summaries = [output.strip() for output in outputs if output]
    assert summaries == [new, old, new, new, new, old]


def test_a_cell_without_source_is_refused(execute: Execute, manifest: Path) -> None:
    cells = [
        "WIDTH = 8",
        NETWORK,
        f"%%time\n{BACKBONE}",
        RUN.format(manifest=str(manifest)),
    ]
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)])
    with pytest.raises(
        CellExecutionError, match=r"the source of Loudness\.\w+ cannot be read"
    ):
        execute(notebook)
