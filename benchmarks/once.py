"""What computing features once is worth: `python benchmarks/once.py`.

A wav2vec 2.0 base encoder of random weights, probed on the demo task's first clips: the frozen
encoder again on every epoch, as released benchmark code does, against once per clip and then from
the cache. CPU seconds, in one process.
"""

import tempfile
import time
from pathlib import Path

import torch

from bench import registry
from bench.contracts.backbone import Setup
from bench.data.cache import Cache
from bench.data.corpus import load
from bench.features.extraction import extract

CLIPS, EPOCHS = 24, 60  # epochs of the probe's recipe


def main() -> None:
    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    task, backbone = registry.tasks(["demo"])[0], registry.backbones(["wav2vec2"])[0]
    setup = Setup(task.labels, False, "vi", "probe", "full", "random", "", backbone.options())
    (feature,) = backbone.features(setup).values()
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        corpus = load(task, None, cache)
        ids = [clip.id for clip in corpus.clips[:CLIPS]]
        feature.extract([cache.waveform(corpus.content[ids[0]])], cpu)  # load the network
        started = time.process_time()
        extract(feature, corpus, cache, cpu, ids)
        computed = time.process_time() - started
        again = extract(feature, corpus, cache, cpu, ids)
        started = time.process_time()
        for _ in range(EPOCHS):
            for clip in ids:
                again.array(clip)
        read = time.process_time() - started
    every, once = EPOCHS * computed, computed + read
    print("| | CPU s | ratio |\n|---|---|---|")
    print(
        f"| encoder on each of {EPOCHS} epochs (one pass measured, times {EPOCHS}) | {every:.1f} | {every / once:.0f} |"
    )
    print(f"| once, then {EPOCHS} epochs from the cache | {once:.1f} | 1 |")


if __name__ == "__main__":
    main()
