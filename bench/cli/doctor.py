"""What this machine can run: `bench doctor`. It changes, downloads and decodes nothing."""

import os
import platform
import shutil
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench import registry, terminal
from bench.catalogue import ANY_LANGUAGE
from bench.cli.clearing import size, total
from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.errors import without_password
from bench.paths import home
from bench.runs import disk
from bench.settings import Settings, data_of

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from bench.data.cache import Cache

DISTRIBUTION = "ser-bench"
DEVELOPMENT = "dev"  # the extra that users do without
LOW_DISK = 10e9  # bytes: a large checkpoint and the features it makes of a corpus
WEIGHT_FILES = ("*.safetensors", "*.bin", "*.pt", "*.pth")
SECONDS = 3.0  # that a tracking server has to answer


@dataclass(frozen=True)
class Finding:
    """What was checked, its state, and how to fix it where it needs fixing."""

    what: str
    state: str
    remedy: str = ""


Findings = Mapping[str, Sequence[Finding]]  # section -> its lines


def report(
    backbones: Sequence[Backbone],
    tasks: Sequence[Task],
    settings: Settings,
    cache: "Cache",
) -> str:
    """Everything about this machine, as `bench doctor` prints it."""
    return text(examine(backbones, tasks, settings, cache))


def examine(
    backbones: Sequence[Backbone],
    tasks: Sequence[Task],
    settings: Settings,
    cache: "Cache",
) -> Findings:
    return {
        "machine": list(_machine()),
        "disk": [
            _disk("cache and made corpora", home()),
            _disk("results", settings.results),
        ],
        "packages": list(_packages()),
        "weights": list(_weights(backbones)),
        "corpora": [_corpus(task, data_of(task, settings.data)) for task in tasks],
        "cache": list(_cached(cache)),
        "tracking store": [_tracking(settings.tracking_uri, settings.results)],
        "results": list(_kept(settings.results)),
        "who can reach it": list(_reachable()),
    }


def text(findings: Findings) -> str:
    """Findings to read in a terminal; `!` marks what needs fixing."""
    lines = ["! needs fixing; the command is after the arrow"]

    for section, members in findings.items():
        lines += ["", section]
        lengths = [len(finding.what) for finding in members]
        widest = max(lengths, default=0)
        for finding in members:
            lines += _lines(finding, widest)
    return "\n".join(lines)


def _lines(finding: Finding, widest: int) -> list[str]:
    """A finding over as many lines as it needs; a command stays whole, so that it can be copied."""
    mark = "!" if finding.remedy else " "
    indent = " " * (widest + 4)
    columns = terminal.width() - len(indent)
    first, *others = terminal.wrapped(finding.state, columns, indent="")
    name = finding.what.ljust(widest)
    lines = [f"{mark} {name}  {first}"]
    for line in others:
        lines.append(indent + line)
    if finding.remedy:
        lines.append(f"    -> {finding.remedy}")
    return lines


# --- the machine ---


def _machine() -> Iterable[Finding]:
    version = platform.python_version()
    yield Finding("Python", f"{version}, {sys.executable}")
    yield Finding("platform", platform.platform())
    yield Finding("CPU", f"{_cpu()}, {_cores()} cores for this process")
    if hasattr(os, "sysconf"):
        pages = os.sysconf("SC_PHYS_PAGES")
        memory = pages * os.sysconf("SC_PAGE_SIZE")
        yield Finding("memory", size(memory))
    yield from _devices()


def _cpu() -> str:
    """The processor's name, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _devices() -> Iterable[Finding]:
    """The device that `--device auto` chooses comes first."""
    import torch

    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        memory = size(about.total_memory)
        has_bf16 = torch.cuda.is_bf16_supported()
        precision = "bf16" if has_bf16 else "no bf16: fp32 unless --precision fp16"
        yield Finding(f"cuda:{index}", f"{about.name}, {memory}, {precision}")
    has_mps = torch.backends.mps.is_available()
    if has_mps:
        yield Finding("mps", "Apple GPU with the memory above, fp32")
    if not torch.cuda.is_available() and not has_mps:
        yield Finding(
            "device", "cpu only, fp32: suited to --mode probe and small backbones"
        )


def _disk(what: str, folder: Path) -> Finding:
    """The free space where a folder is, or will be."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    setting = "SER_BENCH_HOME" if folder == home() else "--results"
    remedy = f"free some space, or name another place ({setting})"
    if not os.access(existing, os.W_OK):
        return Finding(what, f"{folder} cannot be written", remedy)
    free = shutil.disk_usage(existing).free
    state = f"{folder}, {size(free)} free"
    if free < LOW_DISK:
        return Finding(what, state, remedy)
    return Finding(what, state)


# --- packages ---


def _packages() -> Iterable[Finding]:
    for package in registry.FOLDERS.values():
        yield from _namesake(package)
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        state = "runs from a folder without being installed"
        yield Finding(DISTRIBUTION, state, "pip install -e .")
        return
    for requirement in map(Requirement, lines):
        extra = _extra(requirement)
        if extra == DEVELOPMENT:
            continue
        marker = requirement.marker
        if extra or marker is None or marker.evaluate():
            yield _package(requirement, extra)


def _namesake(package: str) -> Iterable[Finding]:
    """Somebody else's module with the name of one of our packages, first on Python's path."""
    other = registry.namesake(package)
    if other:
        yield Finding(
            package,
            f"{other} has the name of a package of {DISTRIBUTION}, which uses its own",
            f"rename {other}, or install {DISTRIBUTION} in an environment of its own",
        )


def _extra(requirement: "Requirement") -> str:
    """The extra that asks for a package; empty where every user needs it."""
    marker = requirement.marker
    if marker is None or marker.evaluate({"extra": ""}):
        return ""
    for extra in metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []:
        if marker.evaluate({"extra": extra}):
            return str(extra)
    return DEVELOPMENT


def _package(requirement: "Requirement", extra: str) -> Finding:
    name = requirement.name
    specifier = requirement.specifier
    wanted = f"{name}{specifier}"
    optional = ""
    if extra:
        wanted = f"{DISTRIBUTION}[{extra}]"
        optional = f" (optional: {extra})"
    remedy = f"pip install '{wanted}'"

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, f"missing{optional}", remedy)
    if specifier.contains(version, prereleases=True):
        return Finding(name, f"{version}{optional}")
    return Finding(name, f"{version}, but {specifier} is needed{optional}", remedy)


# --- weights and corpora ---


def _weights(backbones: Iterable[Backbone]) -> Iterable[Finding]:
    """One line per checkpoint, whichever backbones and languages share it."""
    for (hub_id, revision), users in _checkpoints(backbones).items():
        listed = ", ".join(users)
        folder = _snapshot(hub_id, revision)
        present = _bytes_of_weights(folder) if folder else 0
        if present:
            yield Finding(hub_id, f"{size(present)}, for {listed}")
            continue
        command = f"hf download {hub_id}"
        if revision:
            command += f" --revision {revision}"
        yield Finding(hub_id, f"not on this machine, for {listed}", command)


def _checkpoints(
    backbones: Iterable[Backbone],
) -> dict[tuple[str, str | None], list[str]]:
    """(hub id, revision) -> the backbones that use it."""
    users: dict[tuple[str, str | None], list[str]] = {}
    for backbone in backbones:
        for language, checkpoint in backbone.checkpoints.items():
            user = backbone.name
            if language != ANY_LANGUAGE:
                user += f" ({language})"
            pinned = (checkpoint.hub_id, checkpoint.revision)
            users.setdefault(pinned, []).append(user)
    return users


def _bytes_of_weights(folder: Path) -> int:
    total = 0
    for pattern in WEIGHT_FILES:
        for file in folder.glob(pattern):
            total += file.stat().st_size
    return total


def _snapshot(hub_id: str, revision: str | None) -> Path | None:
    """The folder of a checkpoint in the hub's cache, if its configuration is there."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(
        hub_id, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
    )
    return Path(found).parent if isinstance(found, str) else None


def _corpus(task: Task, path: Path | None) -> Finding:
    name = task.name
    check = f"bench prepare {name}"
    give = f"{check} --data {name}=PATH"
    if path is None:
        how = task.obtain or give
        return Finding(name, f"no path given; {how}")
    if path.exists():
        return Finding(name, f"{path} (complete? {check})")
    return Finding(name, f"nothing at {path}", give)


# --- what the harness keeps ---


def _cached(cache: "Cache") -> Iterable[Finding]:
    taken = size(total(cache))
    command = "bench doctor --clear-cache all"
    yield Finding("all", f"{taken} at {cache.root}; to clear it: {command}")
    for usage in cache.size():
        taken = size(usage.bytes)
        yield Finding(usage.kind, f"{taken} in {usage.files} files")


def _kept(results: Path) -> Iterable[Finding]:
    for usage in disk.usages(results):
        yield Finding(usage.kind, f"{size(usage.bytes)} in {usage.files} files")
    yield Finding("checkpoints", "to delete them: bench doctor --clear-checkpoints")


def _reachable() -> Iterable[Finding]:
    """What listens on the network while a command runs, and to whom it answers."""
    yield Finding("bench ui", "this machine alone")
    if find_spec("ray") is None:
        return
    mode = os.environ.get("RAY_AUTH_MODE", "")
    if mode == "disabled":
        open_to = "whoever reaches this machine can run code as you, while it runs"
        yield Finding("--executor ray", open_to, "unset RAY_AUTH_MODE")
    else:
        yield Finding("--executor ray", "on this machine alone: who knows its token")
    if mode == "token":
        yield Finding("a Ray cluster of yours", "who knows ~/.ray/auth_token")
    else:
        yield Finding(
            "a Ray cluster of yours",
            "whoever reaches its ports can run code as you, unless it is started with "
            "RAY_AUTH_MODE=token, as docs/cluster.md says",
        )


def _tracking(uri: str | None, results: Path) -> Finding:
    if uri is None:
        return _database(results / "mlflow.db")
    address = urlsplit(uri)
    shown = without_password(uri)
    if address.scheme in ("http", "https"):
        return _server(shown)
    if address.scheme == "sqlite":
        return _database(Path(address.path[1:]))

    return Finding(shown, "not checked: neither SQLite nor a server")


def _database(path: Path) -> Finding:
    if not path.exists():
        return Finding(str(path), "does not exist yet; the first run makes it")
    read_only = f"{path.absolute().as_uri()}?mode=ro"
    query = "select count(*) from runs where lifecycle_stage = 'active'"
    try:
        with closing(sqlite3.connect(read_only, uri=True, timeout=SECONDS)) as database:
            runs = database.execute(query).fetchone()[0]
    except sqlite3.Error as error:
        remedy = "name another with --results, or restore it"
        return Finding(str(path), f"cannot be read: {error}", remedy)
    return Finding(str(path), f"{size(path.stat().st_size)}, {runs} entries")


def _server(uri: str) -> Finding:
    health = f"{uri.rstrip('/')}/health"
    try:
        with urllib.request.urlopen(health, timeout=SECONDS) as answer:  # noqa: S310 - http(s)
            return Finding(uri, f"answers ({answer.status})")
    except (urllib.error.URLError, OSError, ValueError) as error:
        remedy = "start the server, or remove tracking_uri to use SQLite"
        return Finding(uri, f"does not answer: {error}", remedy)
