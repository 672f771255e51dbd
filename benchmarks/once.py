"""How much computing features once saves: `python benchmarks/once.py`.

A wav2vec 2.0 base encoder with random weights, probed on the demo task's first clips. Compared are
the frozen encoder run again on every epoch, as released benchmark code does, and run once per clip,
then read from the cache. CPU seconds, in one process.
"""

import tempfile
import time
from pathlib import Path

import torch

from bench import registry
from bench.contracts.backbone import Setup
from bench.contracts.feature import Feature
from bench.data.cache import Cache
from bench.data.corpus import load
from bench.features.extraction import extract

CLIPS = 24
EPOCHS = 60  # of the probe's recipe
CPU = torch.device("cpu")


def wav2vec2(labels: tuple[str, ...]) -> Feature:
    """The frozen encoder, as the backbone declares it."""
    (backbone,) = registry.backbones(["wav2vec2"])
    options = backbone.options()
    setup = Setup(labels, False, "vi", "probe", "full", "random", "", options)
    (feature,) = backbone.features(setup).values()
    return feature


def measure(cache: Cache) -> tuple[float, float]:
    """CPU s of computing the feature of every clip, and of reading it on every epoch."""
    (task,) = registry.tasks(["demo"])
    feature = wav2vec2(task.labels)
    corpus = load(task, None, cache)
    ids = [clip.id for clip in corpus.clips[:CLIPS]]
    first = cache.waveform(corpus.content[ids[0]])
    feature.extract([first], CPU)  # loads the network
    started = time.process_time()
    extracted = extract(feature, corpus, cache, CPU, ids)
    computed = time.process_time() - started
    started = time.process_time()
    for _ in range(EPOCHS):
        for clip in ids:
            extracted.array(clip)
    return computed, time.process_time() - started


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        computed, read = measure(Cache(Path(folder)))
    every = EPOCHS * computed
    once = computed + read
    label = f"encoder on each of {EPOCHS} epochs (one pass measured, times {EPOCHS})"
    print("| | CPU s | ratio |\n|---|---|---|")
    print(f"| {label} | {every:.1f} | {every / once:.0f} |")
    print(f"| once, then {EPOCHS} epochs from the cache | {once:.1f} | 1 |")


if __name__ == "__main__":
    main()
