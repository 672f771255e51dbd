"""`bench list` and the plan of `--dry-run`, as text."""

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from bench import registry
from bench.backbone import Backbone
from bench.errors import UsageError, suggest
from bench.registry import BUILT_IN, Entry, Kind
from bench.task import Task

if TYPE_CHECKING:
    from bench.cache import Cache
    from bench.plan import Pairing
    from bench.store import Store

ENDS = ("complete", "pruned", "failed")  # of a trial
WHAT = ("backbones", "tasks", "features")
Section = list[tuple[str, str]]


def show(what: str | None) -> str:
    """The list that `bench list` prints. Imports the plugin files, which import nothing heavy."""
    if what is not None and what not in WHAT:
        raise UsageError(f"`bench list` takes {', '.join(WHAT)}, not {what}{suggest(what, WHAT)}")
    makers = {"backbones": _backbones, "tasks": _tasks, "features": _features}
    return "\n\n".join(makers[name]() for name in WHAT if what in (None, name))


def show_plan(pairings: "Sequence[Pairing]", store: "Store", cache: "Cache") -> str:
    """One line per pairing: runs, what is recorded, what is skipped or cannot run and why, and the likely cost."""
    rows, reasons = [], []
    for pairing in pairings:
        record, runs = pairing.record, pairing.ready.runs if pairing.ready else ()
        recorded = store.recorded(record.task) & {r.fingerprint for r in runs} if runs else set()
        todo = len(runs) - len(recorded)
        if reason := record.skipped or pairing.failed:
            state = "skipped" if record.skipped else "cannot run"
            reasons.append(f"{record.backbone} on {record.task}: {state}: {reason}")
        else:
            state = _cost(pairing, store, cache, todo)
        rows.append([record.task, record.backbone, record.mode, record.protocol, len(runs), len(recorded), todo, state])
    head = ["task", "backbone", "mode", "protocol", "runs", "recorded", "to run", "estimated cost"]
    return "\n".join([tabulate(rows, head), *([""] if reasons else []), *reasons])


def show_searches(searches: "Sequence[Mapping[str, Any]]") -> str:
    """One line per study: its budget, what it found and what of the values mattered; below, the values chosen."""
    rows, chosen = [], []
    for search in searches:
        name = [search["task"], search["backbone"], search["mode"], search["protocol"]]
        for part in search["parts"]:
            best, usual = part["best"], part["default"]
            ended = f"{sum(part[state] for state in ENDS)} of {search['trials']}"
            states = ", ".join(f"{part[state]} {state}" for state in ENDS if part[state])
            gain = f"{best['score'] - usual:+.3f}" if best and usual is not None else ""
            scores = ["" if usual is None else f"{usual:.3f}", f"{best['score']:.3f}" if best else "", gain]
            rows.append([*name, part["fold"] or "all", ended, states, f"{part['seconds']:.0f} s", *scores])
            if best:
                chosen.append(_choice(" ".join([*name[:2], part["fold"]]).strip(), best["values"], part))
    head = ["task", "backbone", "mode", "protocol", "fold", "trials", "ended", "budget used", "default", "best", "gain"]
    about = f"scores: {searches[0]['objective']} of validation, never of test clips"
    return "\n".join([tabulate(rows, head, disable_numparse=True), "", about, "", *chosen])


def _choice(about: str, values: "Mapping[str, Any]", part: "Mapping[str, Any]") -> str:
    """The chosen values, those that mattered most first, each with its share in the score's variation."""
    shares = part.get("importances", {})
    order = sorted(values, key=lambda name: -shares.get(name, 0.0))
    told = [f"{n} = {short(values[n])}{f' ({shares[n]:.0%} of the variation)' if n in shares else ''}" for n in order]
    return f"{about}: {', '.join(told)}"


def short(value: object) -> str:
    """A setting's value as a reader wants it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cost(pairing: "Pairing", store: "Store", cache: "Cache", todo: int) -> str:
    """From runs of the same pairing where there are any, else what is not known is said."""
    if not todo:
        return "nothing"
    assert pairing.ready
    missing = 0
    features = {f.fingerprint: f for run in pairing.ready.runs for f in run.system.features.values()}
    for feature in features.values():
        contents = set(pairing.ready.corpus.content.values())
        missing += sum(cache.open(feature.fingerprint, c) is None for c in contents) if feature.cached else 0
    about = f", {missing} features to compute" if missing else ", features cached"
    label = (pairing.record.backbone, pairing.record.mode, pairing.record.scale)
    known = [
        run.train_seconds
        for record in store.records([pairing.record.task])
        if (record.backbone, record.mode, record.scale) == label
        for run in record.runs
        if run.status == "ok"
    ]
    if not known:
        return f"{todo} trainings of unknown length{about}"
    return f"about {todo * sum(known) / len(known):.0f} s{about}"


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
            if isinstance(node, ast.ClassDef) and kinds & {ast.unparse(base) for base in node.bases}:
                kinds.add(node.name)
                text = inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0]
                if not node.name.startswith("_"):
                    blocks.append(_block(node.name, [("", " ".join(text.split()))]))
    return "\n\n".join(blocks)


FEATURE_MODULES = ("bench.features", "bench.encoders", "bench.whisper")


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
