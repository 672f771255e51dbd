"""The clips of a corpus in the folds of its protocols, as one table."""

from collections.abc import Iterator

from bench.contracts.clip import Clip
from bench.contracts.task import Fold
from bench.data.corpus import Corpus
from bench.errors import BenchError
from bench.splits.leakage import check

COLUMNS = ("task", "protocol", "fold", "part", "clip", "speaker", "labels")
LEFT_OUT = "left out"  # the part of a clip that a fold does not use

Line = tuple[str, ...]


def fold_lines(corpus: Corpus) -> Iterator[Line]:
    """COLUMNS for every clip in every fold of every protocol that can be used on this corpus.

    `part` is train, valid, test or LEFT_OUT. Clips and speakers are called as in the store: by
    pseudonyms in a private task.
    """
    task = corpus.task
    for name, protocol in task.protocols().items():
        try:
            folds = protocol.split(corpus.clips, corpus.content)
            check(folds, corpus.clips, protocol, corpus.content)
        except BenchError:  # the corpus's card says why
            continue
        for fold in folds:
            parts = _parts(fold)
            for clip in corpus.clips:
                place = (task.name, name, fold.name, parts.get(clip.id, LEFT_OUT))
                yield (*place, *_described(clip))


def _parts(fold: Fold) -> dict[str, str]:
    """Clip id -> its part."""
    parts = {}
    for part in ("train", "valid", "test"):
        for clip in getattr(fold, part):
            parts[clip] = part
    return parts


def _described(clip: Clip) -> Line:
    return clip.id, clip.speaker or "", "|".join(clip.labels)
