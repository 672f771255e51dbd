"""Any corpus that its owner describes by a table: a task made of a manifest, public or private."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bench.contracts.clip import Clip, Recording
from bench.contracts.task import Protocol, Task
from bench.data.manifest_file import Manifest, Row, read
from bench.data.privacy import pseudonym
from bench.errors import CorpusError, UsageError, suggest
from bench.scoring import predictions
from bench.splits.protocols import predefined, speaker_kfold, stratified_kfold, without_copies

LEAST_SPEAKERS = 3  # one each to train, validate and test
SPARE = "; 15 % of the training part validates, and clips whose audio is also tested do not train"


class ManifestTask(Task):
    """A manifest's clips. Everything about it is read when the task is made, for its labels stand
    in the manifest.

    Of a private manifest nothing leaves this class but numbers: clips and speakers are pseudonyms,
    classes are called `class 1` and so on, in the order of the labels.
    """

    title = "a corpus of one's own"
    licence = "its owner's"
    citation = "none"
    obtain = "give the path of its manifest"

    def __init__(self, path: Path, taken_names: Collection[str] = ()) -> None:
        """Raises CorpusError or UsageError for a manifest, or a companion, that cannot be used."""
        self.manifest = read(path)
        companion = self.manifest.companion
        self.private = companion.private
        super().__init__(_name(self.manifest, taken_names))
        texts = _labels(self.manifest)
        self._called = {
            text: f"class {i}" if self.private else text for i, text in enumerate(texts, start=1)
        }
        self.labels = tuple(self._called.values())
        self.positive = _positive(companion.positive, self._called)
        self.multilabel = companion.multilabel or any(
            len(row.labels) > 1 for row in self.manifest.rows
        )
        self.languages = _languages(self.manifest)
        self.default_protocol = companion.protocol or next(iter(self.protocols()))
        if self.default_protocol not in self.protocols():
            raise UsageError(
                f"the manifest's companion asks for the protocol {companion.protocol}"
                f"{suggest(companion.protocol, self.protocols())}; there are {', '.join(self.protocols())}"
            )

    def clips(self, root: Path | None) -> list[Clip]:
        """Every row; the audio is looked for where the manifest was read, whatever `root`."""
        return make_clips(self.manifest, self._called, self.private, self.multilabel)

    def protocols(self) -> Mapping[str, Protocol]:
        rows, k = self.manifest.rows, self.manifest.companion.k
        speakers = {row.speaker for row in rows} - {None}
        offered = {}
        if len(speakers) >= LEAST_SPEAKERS:
            folds = min(k, len(speakers))
            offered["speaker"] = Protocol(
                f"{folds} folds of whole speakers, balanced by class{SPARE}",
                without_copies(speaker_kfold(folds)),
                speaker_disjoint=True,
                audio_disjoint=True,
            )
        if rows[0].split:
            summary = "the manifest's own parts; without valid, 15 % of train validates"
            offered["split"] = Protocol(
                summary, predefined(), speaker_disjoint=False, audio_disjoint=False
            )
        commonest = max(Counter(label for row in rows for label in row.labels).values())
        folds = max(2, min(k, commonest))
        offered["random"] = Protocol(
            f"{folds} random folds, balanced by class{SPARE}",
            without_copies(stratified_kfold(folds)),
            speaker_disjoint=False,
            audio_disjoint=True,
            notes=("random folds: no speaker is kept out of the training part",),
        )
        return offered


def make_clips(
    manifest: Manifest, called: Mapping[str, str], private: bool, multilabel: bool = False
) -> list[Clip]:
    """The clips of a manifest, their labels renamed by `called`. Raises CorpusError for labels that
    are not in it.
    """
    unknown = [row for row in manifest.rows if not set(row.labels) <= set(called)]
    number = [row for row in manifest.rows if not multilabel and len(row.labels) != 1]
    for rows, what in ((unknown, "an unknown label"), (number, "not exactly one label")):
        if rows:
            texts = (
                ""
                if private
                else f" ({', '.join('|'.join(row.labels) or 'none' for row in rows[:5])})"
            )
            named = ", ".join(str(row.number) for row in rows[:10])
            raise CorpusError(
                f"the manifest has {len(rows)} rows with {what}, among them row {named}{texts}; the labels are "
                f"{', '.join(called.values())}, and [map] of its companion gives other texts their label"
            )
    return [_clip(row, manifest.path.parent, called, private) for row in manifest.rows]


def _clip(row: Row, folder: Path, called: Mapping[str, str], private: bool) -> Clip:
    labels = tuple(called[text] for text in row.labels)
    audio = Recording(folder / row.path, start=row.start, end=row.end)
    if private:
        speaker = pseudonym(row.speaker, "speaker") if row.speaker else None
        name = pseudonym(row.recording, "clip")
        return Clip(
            name,
            audio,
            labels,
            speaker,
            row.split,
            row.language,
            f"row {row.number} of the manifest",
        )
    where = f"row {row.number} of the manifest ({row.recording})"
    return Clip(row.recording, audio, labels, row.speaker, row.split, row.language, where, row.rest)


def _name(manifest: Manifest, taken_names: Collection[str]) -> str:
    """The name of the companion, or the file's own; one that no other task has."""
    companion = manifest.companion
    if not companion.name and companion.private:
        return f"private-{pseudonym(str(manifest.path.resolve()), 'manifest')[:8]}"
    name = companion.name or manifest.path.stem
    if name.partition(":")[0] in taken_names:
        taken = (
            "has the name of a task"
            if companion.private
            else f"would be called {name}, which is another task"
        )
        raise UsageError(
            f"the manifest {taken}: give it a `name` of its own in its companion .toml"
        )
    return name


def _labels(manifest: Manifest) -> Sequence[str]:
    """The labels in order: as the companion gives them, else sorted. Raises CorpusError where they
    make no task.
    """
    given, called = (
        manifest.companion.labels,
        "the manifest" if manifest.companion.private else str(manifest.path),
    )
    labels = given or sorted({label for row in manifest.rows for label in row.labels})
    if len(set(labels)) < max(2, len(labels)):
        raise CorpusError(f"{called}: a task needs two labels or more, each named once")
    if not manifest.companion.private and (
        taken := [t for t in labels if t in predictions.COLUMNS or predictions.SEPARATOR in t]
    ):
        raise CorpusError(
            f"{called}: no label may be called {', '.join(taken)}: rename it with [map] of the companion"
        )
    return labels


def _positive(text: str, called: Mapping[str, str]) -> str | None:
    if text and text not in called:
        raise UsageError(
            "the manifest's companion names a positive class that is not among the labels"
        )
    return called[text] if text else None


def _languages(manifest: Manifest) -> tuple[str, ...]:
    """The companion's language, else those of the rows, the commonest first."""
    uses = Counter(row.language for row in manifest.rows if row.language)
    return (
        (manifest.companion.language,)
        if manifest.companion.language
        else tuple(name for name, _ in uses.most_common())
    )
