"""The saved networks of a pairing, whose predictions for new audio are averaged."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contracts.backbone import Backbone, Setup
from bench.errors import and_more
from bench.runs.network_card import NetworkError
from bench.runs.records import RunRecord
from bench.runs.saved_network import Saved, rebuild

NAMED = 12  # folds, or seeds, that a message names


class Networks:
    """Networks of one pairing, built again one at a time, so that only one is in memory.

    Each pass over them builds them anew, unless there is only one.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        weights: Mapping[str, str],
        own_backbone: Backbone | None = None,
    ) -> None:
        self.folders = folders
        self.weights = weights
        self.own_backbone = own_backbone
        self._first: Saved | None = self._build(folders[0])
        self.setup: Setup = self._first.setup

    def __iter__(self) -> Iterator[Saved]:
        for folder in self.folders:
            saved = self._take_first() or self._build(folder)
            if len(self.folders) == 1:
                self._first = saved
            yield saved

    def _take_first(self) -> Saved | None:
        """The network that was built to begin with, once."""
        first = self._first
        self._first = None
        return first

    def _build(self, folder: Path) -> Saved:
        try:
            return rebuild(folder, self.weights, self.own_backbone)
        except NetworkError as error:
            run = folder.parent.name  # as `fetch` calls it
            raise NetworkError(f"run {run}: {error}") from error


@contextmanager
def opened(
    runs: Iterable[RunRecord],
    weights: Mapping[str, str],
    own_backbone: Backbone | None = None,
) -> Iterator[Networks]:
    """The saved networks of runs, whose copies last as long as the context."""
    with TemporaryDirectory() as folder:
        copies = fetch(runs, Path(folder))
        yield Networks(copies, weights, own_backbone)


def fetch(runs: Iterable[RunRecord], folder: Path) -> list[Path]:
    """Copies of the runs' saved networks, each in a folder of its own below `folder`."""
    folders = []
    for run in runs:
        assert run.network, "chosen for its network"
        own = folder / run.id
        own.mkdir()
        folders.append(run.network(own))
    return folders


def averaged(used: Sequence[RunRecord], recorded: Sequence[RunRecord]) -> str:
    """`averaged over 6 networks: folds 1-6, seed 0`; empty for one network.

    `recorded`: the runs among which those with a saved network were chosen.
    """
    if len(used) < 2:
        return ""
    folds = _named("fold", _ranges({run.fold for run in used}))
    seeds = _named("seed", _ranges({str(run.seed) for run in used}))
    text = f"averaged over {len(used)} networks: {folds}, {seeds}"
    places = {(run.fold, run.seed) for run in recorded}
    missing = len(places) - len(used)
    if missing:
        plural = "" if missing == 1 else "s"
        text += f"; no network was saved with {missing} more run{plural} of the pairing"
    return text


def _named(noun: str, names: Sequence[str]) -> str:
    several = len(names) > 1 or "-" in names[0]
    listed = and_more(names, NAMED)
    return f"{noun}s {listed}" if several else f"{noun} {listed}"


def _ranges(names: Iterable[str]) -> list[str]:
    """Numbers in order, consecutive ones as `1-6`; other names as they are, in order."""
    texts = sorted(names)
    if not all(text.isascii() and text.isdigit() for text in texts):
        return texts
    ordered = sorted(texts, key=int)
    starts = [ordered[0]]
    ends = []
    for before, after in pairwise(ordered):
        if int(after) != int(before) + 1:
            ends.append(before)
            starts.append(after)
    ends.append(ordered[-1])
    spans = zip(starts, ends, strict=True)
    return [start if start == end else f"{start}-{end}" for start, end in spans]
