"""What each backbone, task and feature is, as records: for `bench list`, and for
`bench.backbones()` and `bench.tasks()`.
"""

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

from bench import registry
from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.contracts.weights import Checkpoint
from bench.errors import UsageError, suggest
from bench.options import choices, stem

Record = dict[str, Any]
Definition = tuple[str, ast.ClassDef]  # a module's dotted name, and a class in it
KINDS: tuple[registry.Kind, ...] = ("backbone", "task")
ANY_LANGUAGE = "*"
ROOT = Path(__file__).parents[1]
FEATURE_FOLDERS = ("bench/features", "bench/encoders", "backbones")


def backbones() -> list[Record]:
    """One record per backbone; one that cannot be loaded has an `error` and nothing else."""
    return _records("backbone")


def tasks() -> list[Record]:
    """One record per task; one that cannot be loaded has an `error` and nothing else."""
    return _records("task")


def features() -> list[Record]:
    """One record per feature: its name, module and summary.

    Read from the source, since importing the modules would import torch.
    """
    classes: list[Definition] = []
    for folder in FEATURE_FOLDERS:
        classes += _classes(ROOT / folder)
    names = _subclasses("Feature", classes)
    records = []
    for module, node in classes:
        if node.name in names and not node.name.startswith("_"):
            records.append(
                {"name": node.name, "module": module, "summary": _summary(node)}
            )
    return records


def find(name: str) -> tuple[str, Record]:
    """The kind (`backbone`, `task` or `feature`) and the record of one plugin.

    Args:
        name: of a backbone or a task, with or without a variant; of a feature's class.

    Raises:
        UsageError: if nothing has that name.
    """
    known: list[str] = []
    for kind in KINDS:
        entries = registry.entries(kind)
        if stem(name) in entries:
            return kind, _record(entries[stem(name)], kind)
        known += entries
    for record in features():
        if record["name"] == name:
            return "feature", record
        known.append(record["name"])
    raise UsageError(
        f"nothing is called {name}{suggest(name, known)}: `bench list` takes backbones, tasks, "
        "features, or the name of one"
    )


def _records(kind: registry.Kind) -> list[Record]:
    entries = registry.entries(kind)
    return [_record(entry, kind) for entry in entries.values()]


def _record(entry: registry.Entry, kind: registry.Kind) -> Record:
    identity = {"name": entry.name, "origin": entry.origin}
    try:
        plugin = registry.load(entry, kind)
    except UsageError as error:
        return {**identity, "error": str(error)}
    facts = _facts(plugin, entry.name)
    return {**identity, **facts, "error": ""}


def _facts(plugin: type[Backbone] | type[Task], name: str) -> Record:
    if issubclass(plugin, Backbone):
        return _backbone(plugin)
    return _task(plugin(name))


def _backbone(plugin: type[Backbone]) -> Record:
    checkpoints = {
        language: dataclasses.asdict(checkpoint)
        for language, checkpoint in plugin.checkpoints.items()
    }
    return {
        "summary": plugin.summary,
        "reads": plugin.reads,
        "variants": dict(plugin.variants),
        "languages": list(plugin.checkpoints),
        "parameters": _parameters(plugin.checkpoints.values()),
        "checkpoints": checkpoints,
        "options": _options(plugin.Options),
        "licence": plugin.licence,
        "citation": plugin.citation,
        "url": plugin.url,
    }


def _parameters(checkpoints: Iterable[Checkpoint]) -> int | None:
    """Of the largest checkpoint; None where there is none."""
    sizes = [checkpoint.parameters for checkpoint in checkpoints]
    return max(sizes, default=None)


def _options(kind: type) -> dict[str, Record]:
    """Name -> what it means, its default, and what it may be."""
    hints = get_type_hints(kind)
    options = {}
    for field in dataclasses.fields(kind):
        options[field.name] = {
            "help": field.metadata.get("help", ""),
            "default": field.default,
            "choices": list(choices(hints[field.name])),
            "low": field.metadata.get("low"),
            "high": field.metadata.get("high"),
        }
    return options


def _task(task: Task) -> Record:
    return {
        "title": task.title,
        "labels": list(task.labels),
        "variants": dict(task.variants),
        "languages": list(task.languages),
        "protocols": {
            name: protocol.summary for name, protocol in task.protocols().items()
        },
        "default_protocol": task.default_protocol,
        "private": task.private,
        "obtain": task.obtain,
        "licence": task.licence,
        "citation": task.citation,
        "url": task.url,
    }


def _classes(folder: Path) -> Iterator[Definition]:
    """The classes of a folder's modules."""
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                yield module, node


def _subclasses(base: str, classes: Iterable[Definition]) -> set[str]:
    """The names of the classes that are derived from `base`, directly or not."""
    names = {base}
    size = 0
    while len(names) > size:  # until every subclass of a subclass is found
        size = len(names)
        names |= {node.name for _, node in classes if names & _bases(node)}
    return names - {base}


def _bases(node: ast.ClassDef) -> set[str]:
    """The names of a class's bases, without their modules."""
    names = set()
    for base in node.bases:
        name = ast.unparse(base)
        names.add(name.rpartition(".")[2])
    return names


def _summary(node: ast.ClassDef) -> str:
    """The first paragraph of a class's docstring, as one line."""
    docstring = ast.get_docstring(node) or ""
    paragraph = docstring.partition("\n\n")[0]
    return " ".join(paragraph.split())
