"""What this machine can run: `bench doctor`. It looks, and changes, downloads and decodes nothing."""

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
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.contracts.backbone import Backbone
from bench.contracts.task import Task
from bench.paths import home
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
    """What was looked at, what it is like, and the command that mends it, where it needs mending."""

    what: str
    found: str
    mend: str = ""


Findings = Mapping[str, Sequence[Finding]]  # section -> its lines


def report(
    backbones: Sequence[Backbone], tasks: Sequence[Task], settings: Settings, cache: "Cache"
) -> str:
    """Everything about this machine, as `bench doctor` prints it."""
    return text(examine(backbones, tasks, settings, cache))


def examine(
    backbones: Sequence[Backbone], tasks: Sequence[Task], settings: Settings, cache: "Cache"
) -> Findings:
    return {
        "machine": list(_machine()),
        "disk": [_disk("cache and made corpora", home()), _disk("results", settings.results)],
        "packages": list(_packages()),
        "weights": list(_weights(backbones)),
        "corpora": [_corpus(task, data_of(task, settings.data)) for task in tasks],
        "cache": list(_cached(cache)),
        "tracking store": [_tracking(settings.tracking_uri, settings.results)],
    }


def text(findings: Findings) -> str:
    """Findings to read in a terminal; `!` marks what wants mending."""
    lines = ["! wants mending, by the command after the arrow"]
    for section, members in findings.items():
        width = max((len(finding.what) for finding in members), default=0)
        lines += ["", section]
        for finding in members:
            lines.append(f"{'!' if finding.mend else ' '} {finding.what:{width}}  {finding.found}")
            lines += [f"  {'':{width}}  -> {finding.mend}"] if finding.mend else []
    return "\n".join(lines)


def clear(cache: "Cache", kind: str) -> str:
    """Delete one kind of the cache, or `all`, and say what that freed. Raises UsageError for an
    unknown kind.
    """
    before = sum(usage.bytes for usage in cache.size())
    cache.clear(None if kind == "all" else kind)
    freed = before - sum(usage.bytes for usage in cache.size())
    return f"cleared {kind} of the cache at {cache.root}: {size(freed)} freed"


def size(number: float) -> str:
    """`1.4 GB` for 1,400,000,000 bytes."""
    units = ["TB", "GB", "MB", "kB"]
    if number < 1000:
        return f"{number:.0f} bytes"
    while number >= 999.5 and units:
        number, unit = number / 1000, units.pop()
    return f"{number:.0f} {unit}" if number >= 99.5 else f"{number:.1f} {unit}"


# --- the machine ---


def _machine() -> Iterable[Finding]:
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("platform", platform.platform())
    yield Finding("CPU", f"{_cpu()}, {_cores()} cores for this process")
    if hasattr(os, "sysconf"):
        yield Finding("memory", size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    yield from _devices()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _devices() -> Iterable[Finding]:
    """What `--device auto` takes first comes first."""
    import torch

    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: fp32 unless --precision fp16"
        yield Finding(f"cuda:{index}", f"{about.name}, {size(about.total_memory)}, {bf16}")
    if torch.backends.mps.is_available():
        yield Finding("mps", "Apple GPU with the memory above, fp32")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        yield Finding("device", "cpu alone, fp32: --mode probe and small backbones are its work")


def _disk(what: str, folder: Path) -> Finding:
    there = next(
        parent for parent in [folder.absolute(), *folder.absolute().parents] if parent.exists()
    )
    free = shutil.disk_usage(there).free
    mend = f"make room, or name another place ({'SER_BENCH_HOME' if folder == home() else '--results'})"
    writable = os.access(there, os.W_OK)
    found = f"{folder}, {size(free)} free" if writable else f"{folder} cannot be written"
    return Finding(what, found, mend if free < LOW_DISK or not writable else "")


# --- packages ---


def _packages() -> Iterable[Finding]:
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        yield Finding(
            DISTRIBUTION, "runs from a folder without being installed", "pip install -e ."
        )
        return
    for requirement in wanted:
        extra = _extra(requirement)
        if extra != DEVELOPMENT and (
            extra or requirement.marker is None or requirement.marker.evaluate()
        ):
            yield _package(requirement, extra)


def _extra(requirement: "Requirement") -> str:
    """The optional part that asks for a package; empty where every user needs it."""
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    asks = (e for e in extras if requirement.marker and requirement.marker.evaluate({"extra": e}))
    return (
        ""
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        else next(asks, DEVELOPMENT)
    )


def _package(requirement: "Requirement", extra: str) -> Finding:
    wanted = f"{requirement.name}{requirement.specifier}"
    mend = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install '{wanted}'"
    optional = f" (optional: {extra})" if extra else ""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(requirement.name, f"missing{optional}", mend)
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(
            requirement.name, f"{version}, but {requirement.specifier} is needed{optional}", mend
        )
    return Finding(requirement.name, f"{version}{optional}")


# --- weights and corpora ---


def _weights(backbones: Iterable[Backbone]) -> Iterable[Finding]:
    """One line per checkpoint, whichever backbones and languages share it."""
    users: dict[tuple[str, str | None], list[str]] = {}
    for backbone in backbones:
        for language, checkpoint in backbone.checkpoints.items():
            name = backbone.name + (f" ({language})" if language != "*" else "")
            users.setdefault((checkpoint.hub_id, checkpoint.revision), []).append(name)
    for (hub_id, revision), names in users.items():
        folder = _snapshot(hub_id, revision)
        here = (
            sum(file.stat().st_size for pattern in WEIGHT_FILES for file in folder.glob(pattern))
            if folder
            else 0
        )
        state = (
            f"{size(here)}, for {', '.join(names)}"
            if here
            else f"not on this machine, for {', '.join(names)}"
        )
        command = f"hf download {hub_id}" + (f" --revision {revision}" if revision else "")
        yield Finding(hub_id, state, "" if here else command)


def _snapshot(hub_id: str, revision: str | None) -> Path | None:
    """The folder of a checkpoint in the hub's cache, if its configuration is there."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(
        hub_id, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
    )
    return Path(found).parent if isinstance(found, str) else None


def _corpus(task: Task, path: Path | None) -> Finding:
    if path is None:
        return Finding(
            task.name,
            f"no path given; {task.obtain or f'bench prepare {task.name} --data {task.name}=PATH'}",
        )
    if path.exists():
        return Finding(task.name, f"{path} (complete? bench prepare {task.name})")
    return Finding(
        task.name, f"nothing at {path}", f"bench prepare {task.name} --data {task.name}=PATH"
    )


# --- what the harness keeps ---


def _cached(cache: "Cache") -> Iterable[Finding]:
    usages = cache.size()
    total = sum(usage.bytes for usage in usages)
    yield Finding(
        "all", f"{size(total)} at {cache.root}; to clear it: bench doctor --clear-cache all"
    )
    for usage in usages:
        yield Finding(usage.kind, f"{size(usage.bytes)} in {usage.files} files")


def _tracking(uri: str | None, results: Path) -> Finding:
    if uri is None:
        return _database(results / "mlflow.db")
    address = urlsplit(uri)
    shown = address._replace(
        netloc=address.netloc.rpartition("@")[2]
    ).geturl()  # no password on the screen
    if address.scheme in ("http", "https"):
        return _server(shown)
    if address.scheme == "sqlite":
        return _database(Path(address.path[1:]))
    return Finding(shown, "not checked: neither SQLite nor a server")


def _database(path: Path) -> Finding:
    if not path.exists():
        return Finding(str(path), "not there yet; the first run makes it")
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=SECONDS)
        ) as database:
            runs = database.execute(
                "select count(*) from runs where lifecycle_stage = 'active'"
            ).fetchone()[0]
    except sqlite3.Error as error:
        return Finding(
            str(path), f"cannot be read: {error}", "name another with --results, or restore it"
        )
    return Finding(str(path), f"{size(path.stat().st_size)}, {runs} entries")


def _server(uri: str) -> Finding:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SECONDS) as answer:  # noqa: S310 - http(s) alone
            return Finding(uri, f"answers ({answer.status})")
    except (urllib.error.URLError, OSError, ValueError) as error:
        return Finding(
            uri, f"does not answer: {error}", "start the server, or drop tracking_uri to use SQLite"
        )
