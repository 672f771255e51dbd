"""Backbones and tasks by name. Names come from a folder scan and from entry points; listing them
imports nothing.
"""

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import CorpusError, UsageError, one_line, suggest
from bench.options import stem, variant

Kind = Literal["backbone", "task"]
Plugin = TypeVar("Plugin", Backbone, Task)

BUILT_IN = "built in"
# In place of a name: the built-in plugins that a comparison should have, and every built-in one.
ALL, EVERYTHING = "all", "everything"
SEVERAL = (ALL, EVERYTHING)
ROOT = (
    Path(__file__).resolve().parents[1]
)  # where `bench` and its plugins stand beside each other
FOLDERS = {"backbone": "backbones", "task": "tasks"}
BASES: dict[Kind, type[Backbone] | type[Task]] = {"backbone": Backbone, "task": Task}
GROUPS = {"backbone": "ser_bench.backbones", "task": "ser_bench.tasks"}
MANIFEST_SUFFIXES = (".csv", ".tsv")


@dataclass(frozen=True)
class Entry:
    """A plugin that exists, not yet imported. `target` is `module` or `module:Class`."""

    name: str
    target: str
    origin: str  # BUILT_IN, or the distribution that brings it


def entries(kind: Kind) -> dict[str, Entry]:
    """Every plugin by name, built-in ones first.

    Raises:
        UsageError: if one name is defined twice, or somebody else's package has taken ours.
    """
    known: dict[str, Entry] = {}
    for entry in [*_built_in(kind), *_third_party(kind)]:
        if entry.name in known:
            first = known[entry.name]
            raise UsageError(
                f"the {kind} name {entry.name} is defined twice: by {first.target} "
                f"({first.origin}) and by {entry.target} ({entry.origin}); uninstall one or rename "
                "its entry point"
            )
        known[entry.name] = entry

    return known


def backbones(names: Sequence[str], variants: bool = False) -> list[Backbone]:
    """The backbones called `names` (`name`, `name:variant`, `all` or `everything`), each once, in
    the order given.

    `variants` adds the variants of every backbone that is named without one.
    """
    chosen: dict[str, Backbone] = {}
    for typed in _expand("backbone", names):
        name = typed.removesuffix(":")
        plugin = _load("backbone", Backbone, name)
        wanted = [name]
        if variants and not variant(name):
            wanted += [f"{name}:{each}" for each in plugin.variants]
        for each in wanted:
            if each not in chosen:
                chosen[each] = plugin(each)
    return list(chosen.values())


def tasks(names: Sequence[str]) -> list[Task]:
    """The tasks called `names` (`name`, `name:variant`, the path of a manifest, or `all`)."""
    chosen = []
    for name in _expand("task", names):
        task = _manifest(name) if _is_path(name) else _task(name)
        chosen.append(task)
    return chosen


def recorded(tasks: Sequence[str]) -> dict[str, str]:
    """The names under which runs of `tasks` are recorded: of a manifest's path the name that it
    gives itself, with the digest of its rows.
    """
    names = {}
    for task in tasks:
        if _is_path(task):
            manifest = _manifest(task)
            names[manifest.name] = manifest.table_digest
        else:
            names.setdefault(task, "")
    return names


def check(backbones: Sequence[str], tasks: Sequence[str]) -> None:
    """Raise one UsageError for all the names that are wrong, of both kinds."""
    asked: tuple[tuple[Kind, Sequence[str]], ...] = (
        ("backbone", backbones),
        ("task", tasks),
    )
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
    module_name, _, attribute = entry.target.partition(":")
    try:
        module = importlib.import_module(module_name)
        if attribute:
            return getattr(module, attribute)  # type: ignore[no-any-return]
        return _only_subclass(module_name, vars(module), BASES[kind])
    except (
        Exception
    ) as error:  # whatever a third party's module raises must harm nobody else
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise UsageError(
            f"the {kind} {entry.name} ({entry.origin}) cannot be loaded: {reason}"
        ) from error


def namesake(package: str) -> Path | None:
    """Somebody else's file or folder that `import backbones` or `import tasks` would find first."""
    spec = importlib.machinery.PathFinder.find_spec(package)
    location = _location(spec)
    if location == ROOT / package:
        return None
    return location


def _claim(package: str) -> Path:
    """Make `import backbones` or `import tasks` mean our package, whatever stands before it on
    Python's path; its folder.

    Raises:
        UsageError: if somebody else's is imported by now.
    """
    folder = ROOT / package
    imported = sys.modules.get(package)
    if imported is None:
        if namesake(package):
            _import_from(folder, package)
        return folder
    location = _location(imported.__spec__)
    if location != folder:
        raise UsageError(
            f"the name {package} is taken by {location}, which is not part of ser-bench: rename "
            "it, or run ser-bench in another process"
        )
    return folder


def _import_from(folder: Path, package: str) -> None:
    spec = importlib.util.spec_from_file_location(
        package, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec, f"{folder} is a package"
    assert spec.loader, f"{folder} is a package"
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)


def _location(spec: importlib.machinery.ModuleSpec | None) -> Path | None:
    """The folder of a package, or the file of a module."""
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    place = folders[0] if folders else spec.origin
    return Path(place).resolve() if place else None


def _built_in(kind: Kind) -> Iterator[Entry]:
    package = FOLDERS[kind]
    folder = _claim(package)
    for path in sorted(folder.glob("*.py")):
        module = path.stem
        if module.startswith("_"):
            continue
        name = module.replace("_", "-")
        yield Entry(name, f"{package}.{module}", BUILT_IN)


def _third_party(kind: Kind) -> list[Entry]:
    found = []
    for point in importlib.metadata.entry_points(group=GROUPS[kind]):
        origin = "unknown package"
        if point.dist:
            origin = f"{point.dist.name} {point.dist.version}"
        found.append(Entry(point.name, point.value, origin))
    return sorted(found, key=lambda entry: entry.name)


@cache
def _load(kind: Kind, base: type[Plugin], name: str) -> type[Plugin]:
    plugin = load(entries(kind)[stem(name)], kind)
    asked = variant(name)
    if asked:
        _check_variant(f"the {kind} {stem(name)}", asked, plugin.variants)
    return plugin  # type: ignore[return-value]


def _check_variant(plugin: str, asked: str, variants: Collection[str]) -> None:
    if asked in variants:
        return
    known = ", ".join(variants) or "none"
    hint = suggest(asked, variants)
    raise UsageError(f"{plugin} has no variant {asked}{hint}; it has {known}")


def _task(name: str) -> Task:
    plugin: type[Task] = _load("task", Task, name)
    return plugin(name)


def _manifest(path: str) -> Task:
    from bench.data.manifest import ManifestTask

    try:
        task: Task = ManifestTask(Path(path), taken_names=entries("task"))
    except (
        CorpusError
    ) as error:  # a wrong manifest is a wrong name: said before anything is run
        raise UsageError(str(error)) from error
    return task


def _expand(kind: Kind, names: Sequence[str]) -> list[str]:
    """The names, each once. Groups are expanded last, so that they hide no wrong name."""
    manifests = []
    plugins = []
    for name in names:
        if kind == "task" and _is_path(name):
            manifests.append(name)
        elif name not in SEVERAL:
            plugins.append(name)
    _check_names(kind, plugins)
    _check_manifests(manifests)
    for name in plugins:
        _load(kind, BASES[kind], name)
    expanded: dict[str, None] = {}
    for name in names:
        meant = _members(kind, name) if name in SEVERAL else [name]
        expanded.update(dict.fromkeys(meant))
    return list(expanded)


def _check_names(kind: Kind, names: Sequence[str]) -> None:
    known = entries(kind)
    wrong = []
    for name in names:
        if stem(name) not in known:
            hint = suggest(stem(name), known)
            wrong.append(f"{name}{hint}")
    if not wrong:
        return
    plural = "s" if len(wrong) > 1 else ""
    available = ", ".join([*known, *SEVERAL])
    raise UsageError(
        f"unknown {kind}{plural}: {', '.join(wrong)}; available: {available}; "
        f"to add one, see 'Add a {kind}' in CONTRIBUTING.md"
    )


def _check_manifests(paths: Sequence[str]) -> None:
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        listed = ", ".join(missing)
        hint = ""
        if os.sep == "/" and "\\" in listed:
            hint = ", with / for \\"
        raise UsageError(
            f"no manifest at {listed}: give the path of a CSV or TSV file{hint}"
        )


def _members(kind: Kind, group: str) -> list[str]:
    """The built-in plugins of a group, by name."""
    names = []
    for name, entry in entries(kind).items():
        if entry.origin != BUILT_IN:
            continue
        plugin = _load(kind, BASES[kind], name)
        if group == EVERYTHING or plugin.usual:
            names.append(name)
    return names


def _is_path(name: str) -> bool:
    if os.sep in name:
        return True
    return name.lower().endswith(MANIFEST_SUFFIXES)


def _only_subclass(
    module: str, members: dict[str, object], base: type[Backbone] | type[Task]
) -> type[Backbone] | type[Task]:
    """The one plugin that a module defines. Raises TypeError if there are more or none."""
    own = []
    for value in members.values():
        if _defined_in(value, module, base):
            own.append(value)
    if len(own) != 1:
        raise TypeError(f"it defines {len(own)} subclasses of {base.__name__}, not one")
    return own[0]  # type: ignore[return-value]


def _defined_in(value: object, module: str, base: type) -> bool:
    if not inspect.isclass(value):
        return False
    is_plugin = issubclass(value, base)
    return is_plugin and value.__module__ == module
