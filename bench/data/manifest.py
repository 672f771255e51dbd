"""A task made from a manifest: any public or private corpus that its owner describes by a table."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from bench.contracts.clip import Clip, Recording
from bench.contracts.task import Protocol, Task
from bench.data.manifest_digest import manifest_digest
from bench.data.manifest_file import Manifest, companion_name, read
from bench.data.manifest_rows import Row
from bench.data.privacy import pseudonym
from bench.errors import LISTED, CorpusError, UsageError, and_more, suggest
from bench.options import stem
from bench.scoring.names import LABEL_LENGTH, is_too_long
from bench.scoring.predictions import is_reserved
from bench.splits.canonical import canonical
from bench.splits.protocols import (
    predefined,
    speaker_kfold,
    stratified_kfold,
    without_copies,
)

QUOTED = 5  # rows whose labels an error quotes
SHOWN = 30  # characters of a label that is too long
LEAST_SPEAKERS = 3  # one each for training, validation and test
SPARE = "; 15 % of the training part validates, and clips whose audio is also tested do not train"


class ManifestTask(Task):
    """The clips of a manifest. The manifest is read when the task is made, because it defines the
    labels.

    Of a private manifest only numbers leave this class: clips and speakers are pseudonyms, and
    classes are called `class 1`, `class 2` ..., in the order of the labels.
    """

    title = "a corpus of one's own"
    licence = "its owner's"
    citation = "none"
    obtain = "give the path of its manifest"

    def __init__(self, path: Path, taken_names: Collection[str] = ()) -> None:
        """Read a manifest. `taken_names` are those of other tasks.

        Raises:
            CorpusError: the manifest cannot be used. UsageError: its companion cannot.
        """
        self.manifest = read(path)
        companion = self.manifest.companion
        self.private = companion.private
        super().__init__(_name(self.manifest, taken_names))
        self._class_names = _class_names(_labels(self.manifest), self.private)
        self.labels = tuple(self._class_names.values())
        self.positive = _positive(companion.positive, self._class_names)
        self.multilabel = companion.multilabel
        if not self.multilabel:
            _check_one_label(self.manifest)
        self.languages = _languages(self.manifest)
        self.default_protocol = _default_protocol(
            companion.protocol, list(self.protocols())
        )

    @cached_property
    def table_digest(self) -> str:
        """See `bench.data.manifest_digest`."""
        return manifest_digest(self.manifest)

    def clips(self, root: Path | None) -> list[Clip]:
        """Every row; paths are relative to the manifest, whatever `root`."""
        return make_clips(
            self.manifest,
            self._class_names,
            self.private,
            self.multilabel,
        )

    def protocols(self) -> Mapping[str, Protocol]:
        rows = self.manifest.rows
        k = self.manifest.companion.k
        offered = {}
        speakers = {row.speaker for row in rows if row.speaker is not None}
        if len(speakers) >= LEAST_SPEAKERS:
            folds = min(k, len(speakers))
            offered["speaker"] = _speaker_protocol(folds, self.labels)
        if rows[0].split:
            offered["split"] = _split_protocol(self.labels)
        uses = Counter(label for row in rows for label in row.labels)
        commonest = max(uses.values())
        folds = max(2, min(k, commonest))
        offered["random"] = _random_protocol(folds, self.labels)
        return offered


def make_clips(
    manifest: Manifest,
    called: Mapping[str, str],
    private: bool,
    multilabel: bool = False,
) -> list[Clip]:
    """The clips of a manifest; `called` maps the texts of its labels to the names of classes.

    Raises:
        CorpusError: a label is not in `called`, or a clip needs exactly one and has another number.
    """
    known = set(called)
    unknown = [row for row in manifest.rows if not known.issuperset(row.labels)]
    if unknown:
        raise _mislabelled(unknown, "an unknown label", called, private)
    if not multilabel:
        odd = [row for row in manifest.rows if len(row.labels) != 1]
        if odd:
            raise _mislabelled(odd, "not exactly one label", called, private)
    folder = manifest.path.parent
    return [_clip(row, folder, called, private) for row in manifest.rows]


def _mislabelled(
    rows: Sequence[Row], problem: str, called: Mapping[str, str], private: bool
) -> CorpusError:
    labels = ", ".join(called.values())
    return CorpusError(
        f"the manifest has {len(rows)} rows with {problem}, among them "
        f"{_listed(rows, private)}; "
        f"the labels are {labels}, and [map] of its companion gives other texts their label"
    )


def _listed(rows: Sequence[Row], private: bool) -> str:
    """The first rows by number, and unless they are private the labels of some."""
    numbers = ", ".join(str(row.number) for row in rows[:LISTED])
    texts = ["|".join(row.labels) or "none" for row in rows[:QUOTED]]
    quoted = "" if private else f" ({', '.join(texts)})"
    return f"row {numbers}{quoted}"


def _clip(row: Row, folder: Path, called: Mapping[str, str], private: bool) -> Clip:
    labels = tuple(called[text] for text in row.labels)
    audio = Recording(folder / row.path, start=row.start, end=row.end)
    where = f"row {row.number} of the manifest"
    if private:
        return Clip(
            id=pseudonym(row.recording, "clip"),
            audio=audio,
            labels=labels,
            speaker=pseudonym(row.speaker, "speaker") if row.speaker else None,
            split=row.split,
            language=row.language,
            where=where,
        )
    return Clip(
        id=row.recording,
        audio=audio,
        labels=labels,
        speaker=row.speaker,
        split=row.split,
        language=row.language,
        where=f"{where} ({row.recording})",
        meta=row.rest,
    )


def _speaker_protocol(folds: int, labels: Sequence[str]) -> Protocol:
    return Protocol(
        f"{folds} folds of whole speakers, balanced by class{SPARE}",
        canonical(without_copies(speaker_kfold(folds)), labels),
        speaker_disjoint=True,
        audio_disjoint=True,
    )


def _split_protocol(labels: Sequence[str]) -> Protocol:
    return Protocol(
        "the manifest's own parts; without valid, 15 % of train validates",
        canonical(predefined(), labels),
        speaker_disjoint=False,
        audio_disjoint=False,
    )


def _random_protocol(folds: int, labels: Sequence[str]) -> Protocol:
    return Protocol(
        f"{folds} random folds, balanced by class{SPARE}",
        canonical(without_copies(stratified_kfold(folds)), labels),
        speaker_disjoint=False,
        audio_disjoint=True,
        notes=("random folds: no speaker is kept out of the training part",),
    )


def _default_protocol(chosen: str, offered: Sequence[str]) -> str:
    """The companion's choice, else the first protocol."""
    if not chosen:
        return offered[0]
    if chosen not in offered:
        raise UsageError(
            f"the manifest's companion asks for the protocol {chosen}{suggest(chosen, offered)}; "
            f"available: {', '.join(offered)}"
        )
    return chosen


def _name(manifest: Manifest, taken_names: Collection[str]) -> str:
    """The companion's name for the task, or the file's; one that no other task has."""
    companion = manifest.companion
    if companion.private and not companion.name:
        path = manifest.path.resolve()
        return f"private-{pseudonym(str(path), 'manifest')[:8]}"
    name = companion.name or manifest.path.stem
    if stem(name) in taken_names:
        problem = f"would be called {name}, which is another task"
        if companion.private:
            problem = "has the name of a task"
        raise UsageError(
            f"the manifest {problem}: give it a `name` of its own in its companion .toml"
        )
    return name


def _labels(manifest: Manifest) -> Sequence[str]:
    """The labels in the companion's order, else sorted.

    Raises:
        CorpusError: there are fewer than two, one is named twice, or a name is reserved or too
            long.
    """
    private = manifest.companion.private
    title = "the manifest" if private else str(manifest.path)
    used = {label for row in manifest.rows for label in row.labels}
    labels = manifest.companion.labels or sorted(used)
    if len(set(labels)) < max(2, len(labels)):
        raise CorpusError(f"{title}: a task needs two labels or more, each named once")
    if not private:
        _check_names(labels, title)
    return labels


def _check_names(labels: Sequence[str], title: str) -> None:
    """Raise CorpusError for labels that cannot be part of the names of what is recorded."""
    reserved = [label for label in labels if is_reserved(label)]
    if reserved:
        names = ", ".join(reserved)
        raise CorpusError(
            f"{title}: no label may be called {names}: rename it with [map] of the companion"
        )
    long = [f"{label[:SHOWN]}…" for label in labels if is_too_long(label)]
    if long:
        raise CorpusError(
            f"{title}: no label may be longer than {LABEL_LENGTH} characters, a sign that is "
            f"neither a letter nor a digit counting 5 or more ({and_more(long)}): shorten it with "
            f"[map] of the companion"
        )


def _check_one_label(manifest: Manifest) -> None:
    """Raise CorpusError for rows with several labels, unless the companion announces them."""
    several = [row for row in manifest.rows if len(row.labels) > 1]
    if not several:
        return
    private = manifest.companion.private
    title = "the manifest" if private else str(manifest.path)
    file = "" if private else f" ({companion_name(manifest.path)})"
    listed = _listed(several, private)
    raise CorpusError(
        f"{title} has {len(several)} rows with several labels, among them {listed}: "
        f"say `multilabel = true` in its companion{file} if clips may have several, else give each "
        "clip one"
    )


def _class_names(labels: Sequence[str], private: bool) -> dict[str, str]:
    """What the task calls each label."""
    if not private:
        return {label: label for label in labels}
    return {label: f"class {number}" for number, label in enumerate(labels, start=1)}


def _positive(label: str, class_names: Mapping[str, str]) -> str | None:
    if not label:
        return None
    if label not in class_names:
        raise UsageError(
            "the manifest's companion names a positive class that is not among the labels"
        )
    return class_names[label]


def _languages(manifest: Manifest) -> tuple[str, ...]:
    """The companion's language, else those of the rows, the commonest first."""
    if manifest.companion.language:
        return (manifest.companion.language,)
    uses = Counter(row.language for row in manifest.rows if row.language)

    def place(language: str) -> tuple[int, str]:
        return -uses[language], language

    return tuple(sorted(uses, key=place))
