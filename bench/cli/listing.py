"""`bench list` and the plan of `--dry-run`, as text."""

import inspect
from typing import TYPE_CHECKING

from bench import registry
from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import UsageError, suggest
from bench.registry import BUILT_IN, Entry, Kind

if TYPE_CHECKING:
    pass

WHAT = ("backbones", "tasks", "features")
Section = list[tuple[str, str]]


def show(what: str | None) -> str:
    """The list that `bench list` prints. Imports the plugin files, which import nothing heavy."""
    if what is not None and what not in WHAT:
        raise UsageError(f"`bench list` takes {', '.join(WHAT)}, not {what}{suggest(what, WHAT)}")
    makers = {"backbones": _backbones, "tasks": _tasks, "features": _features}
    return "\n\n".join(makers[name]() for name in WHAT if what in (None, name))


def _backbones() -> str:
    lines = ["BACKBONES"]
    for entry, plugin in _plugins("backbone"):
        if isinstance(plugin, str):
            lines.append(_block(entry.name, [("broken", plugin)]))
            continue
        assert issubclass(plugin, Backbone)
        checkpoints = [
            f"{'any language' if language == '*' else language}: {c.hub_id} ({c.parameters / 1e6:.1f} M, {c.licence})"
            for language, c in plugin.checkpoints.items()
        ]
        section = [
            ("", plugin.summary),
            ("reads", plugin.reads),
            *[("weights", text) for text in checkpoints],
            *[(f":{name}", text) for name, text in plugin.variants.items()],
            ("licence", plugin.licence),
            ("cite", plugin.citation),
            ("from", "" if entry.origin == BUILT_IN else entry.origin),
        ]
        lines.append(_block(entry.name, section))
    return "\n\n".join(lines)


def _tasks() -> str:
    lines = ["TASKS (or the path of a manifest: a CSV or TSV file with columns path, label, ...)"]
    for entry, plugin in _plugins("task"):
        if isinstance(plugin, str):
            lines.append(_block(entry.name, [("broken", plugin)]))
            continue
        assert issubclass(plugin, Task)
        task = plugin(entry.name)
        protocols = [
            (name + " *" if name == task.default_protocol else name, protocol.summary)
            for name, protocol in task.protocols().items()
        ]
        section = [
            ("", plugin.title),
            ("classes", ", ".join(task.labels)),
            ("languages", ", ".join(task.languages)),
            *[("protocol", f"{name}: {text}") for name, text in protocols],
            *[(f":{name}", text) for name, text in plugin.variants.items()],
            ("get it", plugin.obtain),
            ("licence", plugin.licence),
            ("cite", plugin.citation),
            ("from", "" if entry.origin == BUILT_IN else entry.origin),
        ]
        lines.append(_block(entry.name, section))
    return "\n\n".join([*lines, "* the default protocol"])


def _features() -> str:
    """Read from the source, since importing the feature modules would import torch."""
    import ast
    from importlib.util import find_spec
    from pathlib import Path

    blocks, kinds = ["FEATURES"], {"Feature"}
    for module in FEATURE_MODULES:
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            continue
        for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and kinds & {
                ast.unparse(base) for base in node.bases
            }:
                kinds.add(node.name)
                text = inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0]
                if not node.name.startswith("_"):
                    blocks.append(_block(node.name, [("", " ".join(text.split()))]))
    return "\n\n".join(blocks)


FEATURE_MODULES = (
    "bench.features.signal",
    "bench.features.pitch",
    "bench.features.pitch_signal",
    "bench.features.opensmile",
    "bench.encoders.wav2vec2",
    "bench.encoders.whisper",
)


def _plugins(kind: Kind) -> list[tuple[Entry, type[Backbone] | type[Task] | str]]:
    """Every plugin, or what is wrong with it."""
    found: list[tuple[Entry, type[Backbone] | type[Task] | str]] = []
    for entry in registry.entries(kind).values():
        try:
            found.append((entry, registry.load(entry, kind)))
        except UsageError as error:
            found.append((entry, str(error)))
    return found


def _block(name: str, section: Section) -> str:
    lines = [f"    {label + ': ' if label else ''}{text}" for label, text in section if text]
    return "\n".join([f"  {name}", *lines])
