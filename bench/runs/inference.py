"""Networks of recorded runs on other audio: files and folders in, a probability per class and
window out.

Nothing of the audio stays behind: it is decoded, and its features computed, in a folder that is
deleted again.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from bench import table_file
from bench.contracts.clip import Clip, Recording
from bench.contracts.feature import SAMPLE_RATE
from bench.contracts.task import Protocol, Task
from bench.data.audio import AudioError, decode
from bench.data.cache import Cache
from bench.data.corpus import Corpus
from bench.errors import BenchError, UsageError
from bench.features.extraction import extract
from bench.runs.ensemble import Networks
from bench.runs.saved_network import Saved
from bench.runs.windows import Windows
from bench.scoring.scores import THRESHOLD
from bench.training.batching import Examples
from bench.training.devices import precision
from bench.training.prediction import probabilities

if TYPE_CHECKING:
    from bench.contracts.feature import Waveform

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")
# windows at a time, and seconds: these bound the disk and the memory that they take
GROUP = 256
GROUP_SECONDS = 3600.0


@dataclass(frozen=True)
class Row:
    """A file, or a window of it: seconds from its start, and one probability per class."""

    file: Path
    start: float
    end: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """What a network says of files, in their order; and the files, or windows, it could say nothing
    of, and why.
    """

    labels: tuple[str, ...]
    multilabel: bool
    rows: tuple[Row, ...]
    failed: tuple[tuple[str, str], ...]


@dataclass
class _Window:
    file: Path
    start: float
    end: float
    samples: "Waveform" = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.file}@{self.start:.10g}-{self.end:.10g}"


def audio_files(paths: Iterable[Path]) -> list[Path]:
    """The files as given, and those of folders by their suffix, however deep, in order; hidden ones
    are left out.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(
            p
            for p in path.rglob("*")
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        )
        if path.is_dir() and not inside:
            raise UsageError(
                f"there is no audio in {path}: files with these suffixes are audio: "
                f"{', '.join(SUFFIXES)}"
            )
        found += inside if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def predict_audio(
    networks: Networks,
    files: Sequence[Path],
    device: torch.device,
    cut: Windows,
) -> Found:
    """Probabilities for every file, or every window of it: of several networks their mean."""
    failed: list[tuple[str, str]] = []
    rows: list[Row] = []
    windows = _windows(files, cut, failed)
    for group in _groups(windows):
        rows += _predict(networks, group, device, failed)
    setup = networks.setup
    return Found(setup.labels, setup.multilabel, tuple(rows), tuple(failed))


def predict_samples(
    networks: Networks, clips: Sequence["Waveform"], device: torch.device
) -> list[tuple[float, ...]]:
    """Probabilities for clips of samples in mono at 16 kHz.

    Raises:
        BenchError: if one is too short.
    """
    windows = []
    for number, samples in enumerate(clips, start=1):
        seconds = len(samples) / SAMPLE_RATE
        windows.append(_Window(Path(f"clip {number}"), 0.0, seconds, samples))
    failed: list[tuple[str, str]] = []
    rows: list[Row] = []
    for group in _groups(windows):
        rows += _predict(networks, group, device, failed)
    if failed:
        where, reason = failed[0]
        raise BenchError(f"{where}: {reason}")
    return [row.probabilities for row in rows]


def table(found: Found, format: Literal["csv", "json"]) -> str:
    """`file`, `start`, `end` (s), `predicted` (the most probable class), and a column per class."""
    rows = records(found)
    if format == "json":
        return json.dumps(rows, ensure_ascii=False, indent=2)
    columns = ["file", "start", "end", "predicted", *found.labels]
    lines = [[row[name] for name in columns] for row in rows]
    return table_file.text(columns, lines).rstrip("\n")


def records(found: Found) -> list[dict[str, object]]:
    """The lines of `table`: `file`, `start`, `end` (s), `predicted`, each class's probability."""
    return [_record(found, row) for row in found.rows]


def _record(found: Found, row: Row) -> dict[str, object]:
    named = dict(zip(found.labels, row.probabilities, strict=True))
    likely = [name for name, p in named.items() if p >= THRESHOLD]
    best = "|".join(likely) if found.multilabel else max(named, key=named.__getitem__)
    return {
        "file": str(row.file),
        "start": round(row.start, 3),
        "end": round(row.end, 3),
        "predicted": best,
        **named,
    }


def _windows(
    files: Iterable[Path],
    cut: Windows,
    failed: list[tuple[str, str]],
) -> Iterator[_Window]:
    for file in files:
        try:
            samples = decode(Recording(file))
        except AudioError as error:
            failed.append((str(file), error.reason))
            continue
        for start, end in cut.cuts(len(samples) / SAMPLE_RATE):
            first = round(start * SAMPLE_RATE)
            last = round(end * SAMPLE_RATE)
            yield _Window(file, start, end, samples[first:last])


def _groups(windows: Iterable[_Window]) -> Iterator[Sequence[_Window]]:
    """The windows, one group after the other."""
    group = []
    seconds = 0.0
    for window in windows:
        group.append(window)
        seconds += window.end - window.start
        if len(group) == GROUP or seconds >= GROUP_SECONDS:
            yield group
            group = []
            seconds = 0.0
    if group:
        yield group


def _predict(
    networks: Networks,
    windows: Sequence[_Window],
    device: torch.device,
    failed: list[tuple[str, str]],
) -> Iterator[Row]:
    """A row for each window that every network can predict; their features are computed once."""
    bad: dict[str, str] = {}
    found: dict[str, list[Tensor]] = {window.name: [] for window in windows}
    with tempfile.TemporaryDirectory(prefix="ser-bench-") as folder:
        corpus, cache = _corpus(windows, Cache(Path(folder)))
        for saved in networks:
            usable, reasons = _extractable(saved, corpus, cache, device)
            bad.update(reasons)
            for name, each in _probabilities(
                saved, usable, corpus, cache, device
            ).items():
                found[name].append(each)
    failed += bad.items()
    for window in windows:
        if window.name not in bad:
            mean = torch.stack(found[window.name]).mean(0)
            yield Row(window.file, window.start, window.end, tuple(mean.tolist()))


def _probabilities(
    saved: Saved,
    clips: Sequence[Clip],
    corpus: Corpus,
    cache: Cache,
    device: torch.device,
) -> dict[str, Tensor]:
    """Clip -> one network's probability of each class."""
    if not clips:
        return {}
    ids = [clip.id for clip in clips]
    features = {}
    for name, feature in saved.features.items():
        features[name] = extract(feature, corpus, cache, device, ids)
    examples = Examples(clips, saved.setup.labels, saved.setup.multilabel, features)
    with _number_format(saved.precision, device):
        found = probabilities(saved.network, examples, device, saved.batch_size)
    return dict(zip(ids, found, strict=True))


def _number_format(asked: str, device: torch.device) -> torch.autocast:
    """The number format in which the run predicted its own test clips, where the device has it."""
    used = precision(asked, device)
    return torch.autocast(
        device.type,
        torch.float16 if used == "fp16" else torch.bfloat16,
        enabled=used != "fp32",
    )


def _corpus(windows: Sequence[_Window], cache: Cache) -> tuple[Corpus, Cache]:
    content = {
        w.name: cache.put_waveform(f"{number:08d}", w.samples)
        for number, w in enumerate(windows)
    }
    clips = tuple(
        Clip(w.name, Recording(w.file, start=w.start, end=w.end), ()) for w in windows
    )
    return Corpus(
        _Unlabelled("audio"), clips, content, {w.name: w.end - w.start for w in windows}
    ), cache


def _extractable(
    saved: Saved, corpus: Corpus, cache: Cache, device: torch.device
) -> tuple[Sequence[Clip], list[tuple[str, str]]]:
    """The windows whose features can be computed, and why the others' cannot: too short, for
    example.
    """
    every = partial(_extract, saved, corpus, cache, device)
    if not every(corpus.clips):
        return corpus.clips, []
    reasons = {clip.id: reason for clip in corpus.clips if (reason := every([clip]))}
    if len(reasons) == len(corpus.clips) > 1 and len(set(reasons.values())) == 1:
        raise BenchError(next(iter(reasons.values())))  # not the audio's fault
    return [clip for clip in corpus.clips if clip.id not in reasons], list(
        reasons.items()
    )


def _extract(
    saved: Saved,
    corpus: Corpus,
    cache: Cache,
    device: torch.device,
    clips: Sequence[Clip],
) -> str:
    """Why the features of some clips cannot be computed; empty if they are."""
    try:
        for feature in saved.features.values():
            extracted = extract(
                feature, corpus, cache, device, [clip.id for clip in clips]
            )
            for clip in clips:
                extracted.array(clip.id)
    except BenchError as error:
        return str(error)
    return ""


class _Unlabelled(Task):
    """What a corpus needs a task for, where nobody knows the truth."""

    title, labels, languages, default_protocol = "audio", (), (), ""

    def clips(self, root: Path | None) -> list[Clip]:
        return []

    def protocols(self) -> Mapping[str, Protocol]:
        return {}
