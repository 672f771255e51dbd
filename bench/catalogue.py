"""What each backbone and task is, as records: for `bench list`, and for `bench.backbones()` and
`bench.tasks()`.
"""

from collections.abc import Iterable
from typing import Any

from bench import registry
from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.contracts.weights import Checkpoint
from bench.errors import UsageError

Record = dict[str, Any]
ANY_LANGUAGE = "*"


def backbones() -> list[Record]:
    """One record per backbone; one that cannot be loaded has an `error` and nothing else."""
    return list(_records("backbone"))


def tasks() -> list[Record]:
    """One record per task; one that cannot be loaded has an `error` and nothing else."""
    return list(_records("task"))


def _records(kind: registry.Kind) -> Iterable[Record]:
    for entry in registry.entries(kind).values():
        identity = {"name": entry.name, "origin": entry.origin}
        try:
            plugin = registry.load(entry, kind)
        except UsageError as error:
            yield {**identity, "error": str(error)}
            continue
        yield {**identity, **_facts(plugin, entry.name), "error": ""}


def _facts(plugin: type[Backbone] | type[Task], name: str) -> Record:
    if issubclass(plugin, Backbone):
        return _backbone(plugin)
    return _task(plugin(name))


def _backbone(plugin: type[Backbone]) -> Record:
    return {
        "summary": plugin.summary,
        "reads": plugin.reads,
        "variants": dict(plugin.variants),
        "languages": list(plugin.checkpoints),
        "parameters": _parameters(plugin.checkpoints.values()),
        "checkpoints": {
            language: checkpoint.hub_id for language, checkpoint in plugin.checkpoints.items()
        },
        "licence": plugin.licence,
        "citation": plugin.citation,
        "url": plugin.url,
    }


def _parameters(checkpoints: Iterable[Checkpoint]) -> int | None:
    """Of the largest checkpoint; None where there is none."""
    return max((checkpoint.parameters for checkpoint in checkpoints), default=None)


def _task(task: Task) -> Record:
    return {
        "title": task.title,
        "labels": list(task.labels),
        "variants": dict(task.variants),
        "languages": list(task.languages),
        "protocols": {name: protocol.summary for name, protocol in task.protocols().items()},
        "default_protocol": task.default_protocol,
        "private": task.private,
        "obtain": task.obtain,
        "licence": task.licence,
        "citation": task.citation,
        "url": task.url,
    }
