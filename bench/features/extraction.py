"""A feature of many clips: what the cache lacks is computed, everything else is read."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.data.cache import Cache
from bench.data.corpus import Corpus
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

# clips at once on an accelerator; on the CPU one, so that no result hangs on what was computed
# before
BATCH_CLIPS = 16
BATCH_SECONDS = 480.0  # s of audio at once, padding included: 16 windows of 30 s
HELD = (
    256 * 2**20
)  # bytes of arrays kept in memory per feature; what exceeds them is mapped from the disk


class Extracted:
    """One feature of a corpus, by clip id; arrays are read-only."""

    def __init__(
        self, feature: Feature, corpus: Corpus, cache: Cache, device: torch.device
    ) -> None:
        self.feature, self.corpus, self.cache, self.device = feature, corpus, cache, device
        self._fingerprint = feature.fingerprint
        self._held: dict[str, Array] = {}  # content -> array
        self._room = HELD
        self._frames: dict[str, int] = {}  # content -> frames

    def array(self, clip_id: str) -> "Array":
        """(frames, *dims) of a clip that was asked for."""
        content = self.corpus.content[clip_id]
        if (held := self._held.get(content)) is not None:
            return held
        array = self._read(clip_id)
        self._frames[content] = len(array)
        if array.nbytes <= self._room:
            self._room -= array.nbytes
            array = self._held[content] = np.array(array)
        array.flags.writeable = False
        return array

    def frames(self, clip_id: str) -> int:
        content = self.corpus.content[clip_id]
        return self._frames[content] if content in self._frames else len(self.array(clip_id))

    def _read(self, clip_id: str) -> "Array":
        if self.feature.cached:
            return _present(
                self.cache.open(self._fingerprint, self.corpus.content[clip_id]), self.cache
            )
        return _compute(self.feature, [clip_id], self.corpus, self.cache, self.device)[0]


def extract(
    feature: Feature,
    corpus: Corpus,
    cache: Cache,
    device: torch.device,
    clips: Collection[str] | None = None,
    progress: bool = True,
) -> Extracted:
    """The feature of `clips` (ids; None: the whole corpus), each put into the cache as soon as it
    is computed.

    Raises BenchError, naming feature and clip, if a value is not finite or a clip has no frames.
    """
    extracted = Extracted(feature, corpus, cache, device)
    todo = _missing(feature, corpus, cache, clips) if feature.cached else []
    with tqdm(
        total=len(todo),
        desc=type(feature).__name__,
        unit="clip",
        leave=False,
        disable=None if progress else True,
    ) as bar:
        for batch in _batches(todo, corpus, device):
            for id, array in zip(
                batch, _compute(feature, batch, corpus, cache, device), strict=True
            ):
                cache.put(feature.fingerprint, corpus.content[id], array)
                bar.update()
    return extracted


def _missing(
    feature: Feature, corpus: Corpus, cache: Cache, clips: Collection[str] | None
) -> list[str]:
    """One clip for each content that the cache lacks: identical audio is computed once."""
    owners: dict[str, str] = {}
    for clip in corpus.clips:
        if clips is None or clip.id in clips:
            owners.setdefault(corpus.content[clip.id], clip.id)
    return [owners[content] for content in cache.lacking(feature.fingerprint, owners, fetch=True)]


def _batches(ids: Sequence[str], corpus: Corpus, device: torch.device) -> Iterator[list[str]]:
    """Clips to compute together: of similar length, the longest first, so that memory runs out at
    once or never.
    """
    if device.type == "cpu":
        yield from ([id] for id in ids)
        return
    batch: list[str] = []
    for id in sorted(ids, key=lambda id: -corpus.seconds[id]):
        if batch and (
            len(batch) == BATCH_CLIPS or (len(batch) + 1) * corpus.seconds[batch[0]] > BATCH_SECONDS
        ):
            yield batch
            batch = []
        batch.append(id)
    if batch:
        yield batch


def _compute(
    feature: Feature, ids: Sequence[str], corpus: Corpus, cache: Cache, device: torch.device
) -> "list[Array]":
    # copies: features may expect to own what they read
    waveforms = [np.array(_present(cache.waveform(corpus.content[id]), cache)) for id in ids]
    arrays = _in_memory(feature, waveforms, device)
    for id, array in zip(ids, arrays, strict=True):
        if not array.size:
            raise BenchError(
                f"{type(feature).__name__} gives no frames for {corpus.name(id)}: leave it out"
            )
        if not np.isfinite(array).all():
            fault = (
                f"{type(feature).__name__} gives values that are not finite for {corpus.name(id)}"
            )
            raise BenchError(
                f"{fault}: check this recording, and the weights where the feature has any"
            )
    return arrays


def _in_memory(
    feature: Feature, waveforms: "Sequence[Waveform]", device: torch.device
) -> "list[Array]":
    """The feature of each waveform, in halves where the accelerator's memory does not hold them
    all.
    """
    try:
        with torch.inference_mode():
            return feature.extract(waveforms, device)
    except torch.OutOfMemoryError:
        if len(waveforms) == 1:
            seconds = len(waveforms[0]) / SAMPLE_RATE
            fault = f"{type(feature).__name__} of a clip of {seconds:.1f} s does not fit into the memory of {device}"
            raise BenchError(f"{fault}: use --device cpu, or a smaller checkpoint") from None
    torch.cuda.empty_cache()
    half = len(waveforms) // 2
    return _in_memory(feature, waveforms[:half], device) + _in_memory(
        feature, waveforms[half:], device
    )


def _present(array: "Array | None", cache: Cache) -> "Array":
    if array is None:
        raise BenchError(
            f"the cache at {cache.root} was cleared while it was in use: run the command again"
        )
    return array
