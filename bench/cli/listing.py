"""The text and the JSON of `bench list`."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench import catalogue
from bench.catalogue import ANY_LANGUAGE, Record
from bench.registry import BUILT_IN
from bench.terminal import width, wrapped

Lines = Iterable[tuple[str, str]]

INDENT = " " * 4

TITLES = {
    "backbones": "BACKBONES",
    "tasks": "TASKS (or the path of a manifest: a CSV or TSV file with columns path, label, ...)",
    "features": "FEATURES",
}
RECORDS: Mapping[str, Callable[[], list[Record]]] = {
    "backbones": catalogue.backbones,
    "tasks": catalogue.tasks,
    "features": catalogue.features,
}


def show(what: str | None = None, format: str = "text") -> str:
    """What `bench list` prints. Imports the plugin files, which import nothing heavy.

    Args:
        what: `backbones`, `tasks`, `features`, or the name of one of them; all where None.
        format: `text`, or `json`: a list of records, one record for a name, and for all an object
            of the three lists.

    Raises:
        UsageError: for a name that nothing has.
    """
    if what is not None and what not in RECORDS:
        return _one(what, format)
    sections = [what] if what else list(RECORDS)
    records = {section: RECORDS[section]() for section in sections}
    if format == "json":
        return _json(records[what] if what else records)
    texts = [_section(section, members) for section, members in records.items()]
    return "\n\n".join(texts)


def _one(name: str, format: str) -> str:
    """One plugin in full."""
    kind, record = catalogue.find(name)
    if format == "json":
        return _json({"kind": kind, **record})
    full = {"backbone": _full_backbone, "task": _full_task, "feature": _full_feature}
    return _block(record, full[kind])


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _section(section: str, records: list[Record]) -> str:
    brief = {"backbones": _backbone, "tasks": _task, "features": _feature}[section]
    blocks = [TITLES[section]]
    for record in records:
        blocks.append(_block(record, brief))
    if section == "tasks":
        blocks.append("* the default protocol")
    return "\n\n".join(blocks)


def _backbone(record: Record) -> Lines:
    yield "", record["summary"]
    yield "reads", record["reads"]
    for language, checkpoint in record["checkpoints"].items():
        yield "weights", _checkpoint(language, checkpoint)
    yield from _variants(record)
    yield from _provenance(record)


def _full_backbone(record: Record) -> Lines:
    """The same with pinned revisions and with the options that `--set` takes."""
    yield "", record["summary"]
    yield "reads", record["reads"]
    for language, checkpoint in record["checkpoints"].items():
        revision = checkpoint["revision"] or "main"
        yield "weights", f"{_checkpoint(language, checkpoint)}, revision {revision}"
    yield from _variants(record)
    for name, option in record["options"].items():
        yield f"--set {name}", _option(option)
    yield from _provenance(record)
    yield "url", record["url"]


def _task(record: Record) -> Lines:
    yield "", record["title"]
    yield "classes", ", ".join(record["labels"])
    yield "languages", ", ".join(record["languages"])
    for name, summary in record["protocols"].items():
        mark = " *" if name == record["default_protocol"] else ""
        yield "protocol", f"{name}{mark}: {summary}"
    yield from _variants(record)
    yield "get it", record["obtain"]
    yield from _provenance(record)


def _full_task(record: Record) -> Lines:
    yield from _task(record)
    yield "url", record["url"]
    yield (
        "private",
        "its ids are hashed, and no path is recorded" if record["private"] else "",
    )


def _feature(record: Record) -> Lines:
    yield "", record["summary"]


def _full_feature(record: Record) -> Lines:
    yield from _feature(record)
    yield "module", record["module"]


def _broken(record: Record) -> Lines:
    yield "broken", record["error"]
    yield from _origin(record)


def _origin(record: Record) -> Lines:
    if record["origin"] != BUILT_IN:
        yield "from", record["origin"]


def _variants(record: Record) -> Lines:
    for name, text in record["variants"].items():
        yield f":{name}", text


def _provenance(record: Record) -> Lines:
    yield "licence", record["licence"]
    yield "cite", record["citation"]
    yield from _origin(record)


def _checkpoint(language: str, checkpoint: Mapping[str, Any]) -> str:
    spoken = "any language" if language == ANY_LANGUAGE else language
    hub_id = checkpoint["hub_id"]
    licence = checkpoint["licence"]
    millions = checkpoint["parameters"] / 1e6
    return f"{spoken}: {hub_id} ({millions:.1f} M, {licence})"


def _option(option: Record) -> str:
    """What an option means, its default, and what it may be."""
    facts = [f"default {option['default']}"]
    low = option["low"]
    high = option["high"]
    if option["choices"]:
        allowed = ", ".join(map(str, option["choices"]))
        facts.append(f"one of {allowed}")
    if low is not None:
        facts.append(f"at least {low}")
    if high is not None:
        facts.append(f"at most {high}")
    listed = "; ".join(facts)
    return f"{option['help']} ({listed})"


def _block(record: Record, describe: Callable[[Record], Lines]) -> str:
    """A name, and below it what is known, fitted to the terminal."""
    if record.get("error"):
        describe = _broken
    columns = width() - len(INDENT)
    block = [f"  {record['name']}"]
    for label, text in describe(record):
        if not text:
            continue
        line = f"{label}: {text}" if label else text
        block += [f"{INDENT}{part}" for part in wrapped(line, columns, indent="  ")]
    return "\n".join(block)
