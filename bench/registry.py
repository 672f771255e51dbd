"""Backbones and tasks by name. Names come from a folder scan and from entry points; listing them
imports nothing.
"""

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import CorpusError, UsageError, suggest
from bench.options import stem, variant

Kind = Literal["backbone", "task"]
Plugin = TypeVar("Plugin", Backbone, Task)

BUILT_IN = "built in"
FOLDERS = {"backbone": "backbones", "task": "tasks"}
GROUPS = {"backbone": "ser_bench.backbones", "task": "ser_bench.tasks"}
MANIFEST_SUFFIXES = (".csv", ".tsv")


@dataclass(frozen=True)
class Entry:
    """A plugin that exists, not yet imported. `target` is `module` or `module:Class`."""

    name: str
    target: str
    origin: str  # BUILT_IN, or the distribution that brings it


def entries(kind: Kind) -> dict[str, Entry]:
    """Every plugin by name, built-in ones first. Raises UsageError if one name is defined twice."""
    found: dict[str, Entry] = {}
    for entry in [*_built_in(kind), *_third_party(kind)]:
        if entry.name in found:
            first = found[entry.name]
            raise UsageError(
                f"the {kind} name {entry.name} is defined twice: by {first.target} ({first.origin}) and by "
                f"{entry.target} ({entry.origin}); uninstall one or rename its entry point"
            )
        found[entry.name] = entry
    return found


def backbones(names: Sequence[str], variants: bool = False) -> list[Backbone]:
    """The backbones called `names` (`name`, `name:variant` or `all`), each once, in the order
    given.

    `variants` adds the variants of every backbone that is named without one.
    """
    found: dict[str, Backbone] = {}
    for typed in _expand("backbone", names):
        name = typed.removesuffix(":")
        plugin = _load("backbone", Backbone, name)
        wanted = [name]
        if variants and not variant(name):
            wanted += [f"{name}:{each}" for each in plugin.variants]
        for each in wanted:
            if each not in found:
                found[each] = plugin(each)
    return list(found.values())


def tasks(names: Sequence[str]) -> list[Task]:
    """The tasks called `names` (`name`, `name:variant`, the path of a manifest, or `all`)."""
    return [_manifest(n) if _is_path(n) else _task(n) for n in _expand("task", names)]


def recorded_names(tasks: Sequence[str]) -> list[str]:
    """The names under which runs of `tasks` are recorded: of a manifest's path the name that it
    gives itself.
    """
    return [_manifest(name).name if _is_path(name) else name for name in tasks]


def check(backbones: Sequence[str], tasks: Sequence[str]) -> None:
    """Raise one UsageError for all the names that are wrong, of both kinds."""
    asked: tuple[tuple[Kind, Sequence[str]], ...] = (("backbone", backbones), ("task", tasks))
    problems = []
    for kind, names in asked:
        try:
            _expand(kind, names)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("; also ".join(problems))


def load(entry: Entry, kind: Kind) -> type[Backbone] | type[Task]:
    """The class behind an entry. Raises UsageError with what is broken about the plugin."""
    base: type = Backbone if kind == "backbone" else Task
    module_name, _, attribute = entry.target.partition(":")
    try:
        module = importlib.import_module(module_name)
        if attribute:
            return getattr(module, attribute)  # type: ignore[no-any-return]
        own = [c for c in vars(module).values() if _defined_in(c, module_name, base)]
        if len(own) != 1:
            raise TypeError(f"it defines {len(own)} subclasses of {base.__name__}, not one")
        return own[0]  # type: ignore[no-any-return]
    except Exception as error:  # whatever a third party's module raises must harm nobody else
        text = " ".join(str(error).split())
        raise UsageError(
            f"the {kind} {entry.name} ({entry.origin}) cannot be loaded: {type(error).__name__}: {text}"
        ) from error


def _built_in(kind: Kind) -> list[Entry]:
    package = FOLDERS[kind]
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    stems = sorted(
        p.stem for f in folders or () for p in Path(f).glob("*.py") if not p.stem.startswith("_")
    )
    return [Entry(s.replace("_", "-"), f"{package}.{s}", BUILT_IN) for s in stems]


def _third_party(kind: Kind) -> list[Entry]:
    points = importlib.metadata.entry_points(group=GROUPS[kind])
    return sorted(
        (
            Entry(
                p.name, p.value, f"{p.dist.name} {p.dist.version}" if p.dist else "unknown package"
            )
            for p in points
        ),
        key=lambda entry: entry.name,
    )


@cache
def _load(kind: Kind, base: type[Plugin], name: str) -> type[Plugin]:
    plugin = load(entries(kind)[stem(name)], kind)
    asked = variant(name)
    if asked and asked not in plugin.variants:
        known = f"it has {', '.join(plugin.variants)}" if plugin.variants else "it has none"
        raise UsageError(
            f"the {kind} {stem(name)} has no variant {asked}{suggest(asked, plugin.variants)}; {known}"
        )
    return plugin  # type: ignore[return-value]


def _task(name: str) -> Task:
    plugin: type[Task] = _load("task", Task, name)
    return plugin(name)


def _manifest(path: str) -> Task:
    from bench.data.manifest import ManifestTask

    try:
        task: Task = ManifestTask(Path(path), taken_names=entries("task"))
    except CorpusError as error:  # a wrong manifest is a wrong name: told before anything is run
        raise UsageError(str(error)) from error
    return task


def _expand(kind: Kind, names: Sequence[str]) -> list[str]:
    """Checked names; `all` (every built-in one) is expanded only after all the others have been
    checked.
    """
    known = entries(kind)
    wrong = [
        n
        for n in names
        if n != "all" and not (kind == "task" and _is_path(n)) and stem(n) not in known
    ]
    if wrong:
        plural = "s" if len(wrong) > 1 else ""
        named = ", ".join(f"{n}{suggest(stem(n), known)}" for n in wrong)
        raise UsageError(
            f"unknown {kind}{plural}: {named}; there are {', '.join([*known, 'all'])}; "
            f"to add one, see 'Add a {kind}' in CONTRIBUTING.md"
        )
    missing = [n for n in names if kind == "task" and _is_path(n) and not Path(n).is_file()]
    if missing:
        raise UsageError(f"no manifest at {', '.join(missing)}: give the path of a CSV or TSV file")
    for (
        name
    ) in names:  # before anything is expanded, so that a wrong variant never hides behind `all`
        if name != "all" and not (kind == "task" and _is_path(name)):
            _load(kind, Backbone if kind == "backbone" else Task, name)
    every = [e.name for e in known.values() if e.origin == BUILT_IN]
    return list(dict.fromkeys(m for n in names for m in (every if n == "all" else [n])))


def _is_path(name: str) -> bool:
    return os.sep in name or name.lower().endswith(MANIFEST_SUFFIXES)


def _defined_in(value: object, module: str, base: type) -> bool:
    return inspect.isclass(value) and issubclass(value, base) and value.__module__ == module
