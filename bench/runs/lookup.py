"""Recorded runs by the names that users give them: the start of a fingerprint, MLflow's run id,
backbone@task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from bench import registry
from bench.errors import UsageError, and_more, suggest
from bench.runs.records import PairingRecord, RunRecord

if TYPE_CHECKING:
    from bench.runs.store import Store

SHORT = 8  # digits of a fingerprint that an error shows
_NAMED = 12  # runs or pairings that an error names


@dataclass(frozen=True)
class Where:
    """Which pairings are meant; what is empty or None restricts nothing."""

    tasks: Sequence[str] = ()  # names, or paths of manifests
    backbones: Sequence[str] = ()  # with their variants
    mode: str | None = None
    protocol: str | None = None
    scale: str | None = None
    # task -> the checksum of its corpus, where only one corpus of that name is meant
    corpora: Mapping[str, str] = field(default_factory=dict)

    @property
    def task_names(self) -> list[str] | None:
        """The names under which the tasks are recorded; None for all tasks."""
        return list(self._tasks) or None

    @cached_property
    def _tasks(self) -> dict[str, str]:
        """The names of tasks, and of a manifest the digest of its rows."""
        return registry.recorded(self.tasks)

    @property
    def settings(self) -> dict[str, object]:
        """The same under the names of settings, to be checked as they are."""
        return {
            "backbone": self.backbones,
            "task": self.tasks,
            "mode": self.mode,
            "protocol": self.protocol,
            "scale": self.scale,
        }

    def includes(self, pairing: PairingRecord, of_corpus: bool = True) -> bool:
        """Whether a pairing of the right task is meant, and `of_corpus` of the right corpus, which
        a search does not record.
        """
        if self.backbones and pairing.backbone not in self.backbones:
            return False
        if of_corpus and not self._is_of_corpus(pairing):
            return False
        wanted = {"mode": self.mode, "protocol": self.protocol, "scale": self.scale}
        return all(
            value in (None, getattr(pairing, name)) for name, value in wanted.items()
        )

    def records(self, store: "Store") -> list[PairingRecord]:
        """The pairings that are meant, oldest first."""
        found = []
        for record in store.records(self.task_names):
            if self.includes(record):
                found.append(record)
        known = {record.task for record in found if record.manifest}
        return [each for each in found if each.manifest or each.task not in known]

    def _is_of_corpus(self, record: PairingRecord) -> bool:
        """Whether its corpus is the one that is meant, or it is not known which it was. A manifest
        is known by its rows, so that no audio need be read.
        """
        from bench.data.manifest_digest import same_corpus

        rows = self._tasks.get(record.task, "")
        if rows and record.manifest and not same_corpus(rows, record.manifest):
            return False
        corpus = self.corpora.get(record.task, "")
        return not corpus or record.corpus in ("", corpus)


EVERYWHERE = Where()


@dataclass(frozen=True)
class Recorded:
    """The finished runs that a name means, all of one pairing."""

    pairing: PairingRecord
    runs: tuple[RunRecord, ...]


def find(store: "Store", name: str, where: Where = EVERYWHERE) -> Recorded:
    """The one run, or the one pairing with all its runs, that `name` means. Raises UsageError for
    any other number.
    """
    records = where.records(store)
    found = [Recorded(p, runs) for p in records if (runs := _meant(p, name))]
    if not found:
        known = list(dict.fromkeys(called(p) for p in records if any(_done(p))))
        raise UsageError(
            f"no finished run has an id or a fingerprint that starts with {name}, nor is that the "
            f"backbone@task of one{suggest(name, known)}; recorded in {store.name} are "
            f"{', '.join(known[:_NAMED]) or 'none'}"
        )
    if len(found) > 1:
        raise UsageError(
            f"{name} means {len(found)} pairings: name one by its id, "
            f"{and_more(map(_described, found), _NAMED)}"
        )
    return found[0]


def with_networks(recorded: Recorded, name: str) -> list[RunRecord]:
    """The runs whose networks were saved: those of all folds and seeds if `name` means a pairing,
    else one.

    Raises:
        UsageError: there is none, or a fingerprint's start means several.
    """
    latest = {(run.fold, run.seed): run for run in recorded.runs if run.network}
    saved = [latest[place] for place in sorted(latest)]
    if not saved:
        raise UsageError(
            f"no network was saved with {name}: repeat its `bench run` with --save-weights"
        )

    if len(saved) > 1 and not _means_pairing(recorded.pairing, name):
        choices = [
            f"{run.fingerprint[:SHORT]} (fold {run.fold}, seed {run.seed})"
            for run in saved
        ]
        listed = and_more(choices, _NAMED)
        raise UsageError(
            f"{name} means {len(saved)} networks: name one by its fingerprint, {listed}"
        )
    return saved


def _meant(pairing: PairingRecord, name: str) -> tuple[RunRecord, ...]:
    done = _done(pairing)
    if _means_pairing(pairing, name):
        return tuple(done)
    return tuple(
        run
        for run in done
        if name and (run.id == name or run.fingerprint.startswith(name))
    )


def _means_pairing(pairing: PairingRecord, name: str) -> bool:
    if name in (pairing.backbone, called(pairing)):
        return True
    return any(run.pairing == name for run in _done(pairing))


def _done(pairing: PairingRecord) -> Sequence[RunRecord]:
    return [run for run in pairing.runs if run.status == "ok"]


def called(pairing: PairingRecord) -> str:
    """`byol-s@ravdess`."""
    return f"{pairing.backbone}@{pairing.task}"


def described(pairing: PairingRecord) -> str:
    """A pairing with all that tells it from others: `byol-s@ravdess, finetune, speaker, full`."""
    facts = [
        called(pairing),
        pairing.mode,
        pairing.protocol,
        pairing.scale,
        pairing.weights,
    ]
    facts += [f"{key}={value}" for key, value in pairing.settings.items()]
    facts.append(pairing.recipe)
    return ", ".join(filter(None, facts))


def _described(found: Recorded) -> str:
    return f"{found.runs[0].pairing} ({described(found.pairing)})"
