"""What trainings read, and what is left of its extraction."""

from pathlib import Path

import torch

from backbones.wav2vec2 import Wav2Vec2
from bench.contracts.backbone import Setup
from bench.encoders import wav2vec2
from bench.runs.system import System
from tests.helpers import Tones, tones


def test_frozen_networks_make_room_for_the_network_to_be_trained(
    tmp_path: Path,
) -> None:
    from bench.runs.workplace import Material

    corpus, cache = tones(tmp_path, per_speaker=1)
    backbone = Wav2Vec2("wav2vec2")
    setup = Setup(
        Tones.labels, False, "en", "finetune", "tiny", None, "", backbone.options()
    )
    system = System(setup, backbone.recipe(setup), backbone.features(setup))
    ids = [clip.id for clip in corpus.clips]
    wav2vec2.frozen(*backbone._source(setup))
    assert wav2vec2.frozen.cache_info().currsize == 1
    material = Material(corpus, cache, torch.device("cpu"), ids)
    assert len(material.examples(system, ids)) == len(ids)
    assert wav2vec2.frozen.cache_info().currsize == 0
    assert wav2vec2.front_end.cache_info().currsize == 0
