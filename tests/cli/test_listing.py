"""What `bench list` shows: everything that is available, or one plugin in full."""

import ast
import json

import pytest

from bench.cli.listing import show
from bench.errors import UsageError
from tests.conftest import Bench
from tests.helpers import ROOT


def test_one_backbone_in_full() -> None:
    text = " ".join(show("wav2vec2").split())
    shown = [
        "revision 0b5b8e8",
        "vi: ",
        ":released",
        "--set dropout",
        "default 0.1",
        "at most 0.99",
    ]
    assert [part for part in shown if part not in text] == []


def test_one_task_and_one_feature() -> None:
    assert "protocol: speaker *" in show("ravdess")
    assert "F0 and voicing" in show("Pitch")
    assert "module: bench.features.pitch" in show("Pitch")
    assert "private: " in show("hotline")


def test_a_variant_shows_its_backbone() -> None:
    assert show("hubert:released") == show("hubert")


def test_every_backbone_as_json() -> None:
    records = {
        record["name"]: record for record in json.loads(show("backbones", "json"))
    }
    hubert = records["hubert"]
    assert hubert["languages"] == list(hubert["checkpoints"])
    assert hubert["parameters"] > 90e6
    assert hubert["origin"] == "built in"
    assert set(hubert) >= {
        "variants",
        "reads",
        "licence",
        "citation",
        "options",
        "error",
    }


def test_one_name_and_everything_as_json() -> None:
    assert json.loads(show("demo", "json"))["kind"] == "task"
    assert set(json.loads(show(None, "json"))) == {"backbones", "tasks", "features"}


def test_every_feature_is_found() -> None:
    """Every public class whose source says that it is a feature, wherever it stands."""
    named = {record["name"] for record in json.loads(show("features", "json"))}
    assert named >= {
        "Pitch",
        "PitchSignal",
        "Smile",
        "LogMel",
        "Mfcc",
        "Waveform",
        "ConvFrontEnd",
    }
    direct = set()
    for path in [*(ROOT / "bench").rglob("*.py"), *(ROOT / "backbones").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and "Feature" in map(
                ast.unparse, node.bases
            ):
                direct.add(node.name)
    assert {name for name in direct if not name.startswith("_")} <= named


def test_a_name_that_nothing_has_is_one_sentence() -> None:
    with pytest.raises(
        UsageError, match=r"nothing is called wav2vce2 \(did you mean wav2vec2\?\)"
    ):
        show("wav2vce2")


def test_lists_fit_the_terminal(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 120 and " " in line.strip()] == []
