"""A feature of many clips: what the cache lacks is computed, everything else is read."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch

from bench import memory
from bench.contracts.feature import SAMPLE_RATE, Feature
from bench.data.audio import AudioError, decode, source_key
from bench.data.cache import Cache
from bench.data.corpus import Corpus
from bench.errors import BenchError
from bench.progress import display

if TYPE_CHECKING:
    from bench.contracts.feature import Array, Waveform

# Clips at once on an accelerator. On the CPU it is one, so that no result depends on which other
# clips were computed before.
BATCH_CLIPS = 16
BATCH_SECONDS = 480.0  # s of audio at once, with padding: 16 windows of 30 s
# bytes of arrays kept in memory per feature; further arrays are mapped from the disk
HELD = 256 * 2**20


class Extracted:
    """One feature of a corpus, by clip id. Arrays are read-only."""

    def __init__(
        self, feature: Feature, corpus: Corpus, cache: Cache, device: torch.device
    ) -> None:
        self.feature = feature
        self.corpus = corpus
        self.cache = cache
        self.device = device
        self._fingerprint = feature.fingerprint
        self._held: dict[str, Array] = {}  # content -> array
        self._room = HELD
        self._frames: dict[str, int] = {}  # content -> frames

    def array(self, clip_id: str) -> "Array":
        """(frames, *dims) of a clip that was asked for."""
        content = self.corpus.content[clip_id]
        if content in self._held:
            return self._held[content]

        array = self._read(clip_id)
        self._frames[content] = len(array)
        if array.nbytes <= self._room:
            self._room -= array.nbytes
            array = np.array(array)
            self._held[content] = array
        array.flags.writeable = False
        return array

    def frames(self, clip_id: str) -> int:
        """The number of frames of a clip that was asked for."""
        content = self.corpus.content[clip_id]
        if content not in self._frames:
            self.array(clip_id)
        return self._frames[content]

    def seconds(self, clip_id: str) -> float:
        """How long the clip's audio is."""
        return self.corpus.seconds[clip_id]

    def _read(self, clip_id: str) -> "Array":
        if not self.feature.cached:
            (array,) = _compute(
                self.feature,
                [clip_id],
                self.corpus,
                self.cache,
                self.device,
            )
            return array

        content = self.corpus.content[clip_id]
        stored = self.cache.open(self._fingerprint, content)
        return _present(stored, self.cache)


def extract(
    feature: Feature,
    corpus: Corpus,
    cache: Cache,
    device: torch.device,
    clips: Collection[str] | None = None,
) -> Extracted:
    """The feature of `clips` (ids; None: the whole corpus).

    Each array is written to the cache as soon as it is computed.

    Raises:
        BenchError: A value is not finite, a clip has no frames, or memory ran out with one clip.
    """
    extracted = Extracted(feature, corpus, cache, device)
    if not feature.cached:
        return extracted

    fingerprint = feature.fingerprint
    missing = _missing(feature, corpus, cache, clips)
    title = f"feature {feature.title}"
    with display.step(title, len(missing), "clips") as step:
        for batch in _batches(missing, corpus, device):
            arrays = _compute(
                feature,
                batch,
                corpus,
                cache,
                device,
            )
            for clip_id, array in zip(batch, arrays, strict=True):
                content = corpus.content[clip_id]
                cache.put(fingerprint, content, array)
                step.advance()
    return extracted


def _missing(
    feature: Feature, corpus: Corpus, cache: Cache, clips: Collection[str] | None
) -> list[str]:
    """One clip for each content that the cache lacks: identical audio is computed once."""
    owners: dict[str, str] = {}
    for clip in corpus.clips:
        if clips is not None and clip.id not in clips:
            continue
        content = corpus.content[clip.id]
        owners.setdefault(content, clip.id)

    fingerprint = feature.fingerprint
    lacking = cache.lacking(fingerprint, owners, fetch=True)
    return [owners[content] for content in lacking]


def _batches(
    ids: Sequence[str], corpus: Corpus, device: torch.device
) -> Iterator[list[str]]:
    """Clips to compute together: of similar length, the longest first, so that memory runs out at
    once or never.
    """
    if device.type == "cpu":
        for clip_id in ids:
            yield [clip_id]
        return
    batch: list[str] = []
    for clip_id in sorted(ids, key=lambda clip_id: -corpus.seconds[clip_id]):
        if batch and _is_full(batch, corpus):
            yield batch
            batch = []
        batch.append(clip_id)
    if batch:
        yield batch


def _is_full(batch: Sequence[str], corpus: Corpus) -> bool:
    """Whether the batch, padded to its first clip, has no room for another clip."""
    if len(batch) == BATCH_CLIPS:
        return True
    longest = corpus.seconds[batch[0]]
    clips = len(batch) + 1
    padded_seconds = clips * longest
    return padded_seconds > BATCH_SECONDS


def _compute(
    feature: Feature,
    ids: Sequence[str],
    corpus: Corpus,
    cache: Cache,
    device: torch.device,
) -> "list[Array]":
    waveforms: list[Waveform] = []
    for clip_id in ids:
        samples = _samples(clip_id, corpus, cache)
        # a copy: features may expect to own what they read
        waveforms.append(np.array(samples))

    arrays = _in_memory(feature, waveforms, device)
    for clip_id, array in zip(ids, arrays, strict=True):
        clip = corpus.name(clip_id)
        _check(array, feature, clip)
    return arrays


def _samples(clip_id: str, corpus: Corpus, cache: Cache) -> "Waveform":
    """The decoded samples of a clip, decoded again where the cache has lost them."""
    content = corpus.content[clip_id]
    stored = cache.waveform(content)
    if stored is not None:
        return stored
    recording = corpus.by_id[clip_id].audio
    # the recording may be on another machine
    with suppress(AudioError):
        samples = decode(recording)
        key = source_key(recording)
        if cache.put_waveform(key, samples) == content:
            return samples
    return _present(None, cache)


def _check(array: "Array", feature: Feature, clip: str) -> None:
    if not array.size:
        raise BenchError(
            f"the feature {feature.title} has no frames for {clip}: leave it out"
        )
    is_finite = np.isfinite(array)
    if is_finite.all():
        return
    fault = f"the feature {feature.title} has values that are not finite for {clip}"
    advice = "check this recording, and the weights where the feature has any"
    raise BenchError(f"{fault}: {advice}")


def _in_memory(
    feature: Feature, waveforms: "Sequence[Waveform]", device: torch.device
) -> "list[Array]":
    """The feature of each waveform, in halves where the memory does not hold them all."""
    try:
        with torch.inference_mode():
            return feature.extract(waveforms, device)
    except Exception as error:
        if not memory.ran_out(error):
            raise
        memory.recover(error)
        if len(waveforms) == 1:
            _refuse(feature, waveforms[0], device)

    half = len(waveforms) // 2
    first = _in_memory(feature, waveforms[:half], device)
    second = _in_memory(feature, waveforms[half:], device)
    return first + second


def _refuse(feature: Feature, waveform: "Waveform", device: torch.device) -> NoReturn:
    """Raise that one clip is too long for the device's memory."""
    seconds = len(waveform) / SAMPLE_RATE
    fault = f"the feature {feature.title} of a clip of {seconds:.1f} s"
    advice = "use a smaller checkpoint, or a larger machine"
    if device.type != "cpu":
        advice = "use --device cpu, or a smaller checkpoint"
    raise BenchError(
        f"{fault} does not fit into the memory of {device}: {advice}"
    ) from None


def _present(array: "Array | None", cache: Cache) -> "Array":
    if array is None:
        raise BenchError(
            f"the cache at {cache.root} was cleared or damaged while it was in use: run the "
            f"command again"
        )
    return array
