"""Which weights are meant, where they are, and what is said when they are missing or broken."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.contracts.weights import RANDOM, Checkpoint, resolve
from bench.encoders.hub import load_config, load_json, load_pretrained, local_folder
from bench.errors import WeightsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder in the hub's layout, and the network it was made of."""
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    torch.manual_seed(3)
    network = HubertModel(
        HubertConfig(
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            conv_dim=(8,) * 7,
        )
    )
    folder = tmp_path_factory.mktemp("weights") / "made"
    network.save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder, network


@pytest.fixture
def folder(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


@pytest.fixture
def hub(
    made: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A hub cache with `main` of org/name in it."""
    from huggingface_hub import constants

    cache = tmp_path / "home" / "hub"
    repository = cache / "models--org--name"
    shutil.copytree(made[0], repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


def one_sentence(error: pytest.ExceptionInfo[WeightsError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def auto_model() -> Any:
    from transformers import AutoModel

    return AutoModel


# --- which ---


def test_nothing_given_is_the_checkpoint_or_random() -> None:
    assert resolve(None, None) == RANDOM
    assert resolve("random", Checkpoint("org/name", COMMIT, "MIT", 1)) == RANDOM
    found = resolve(None, Checkpoint("org/name", COMMIT, "MIT", 1))
    assert (found.source, found.digest, found.revision) == ("org/name", COMMIT, COMMIT)


def test_a_hub_id_without_revision_takes_the_checkpoints_pin() -> None:
    checkpoint = Checkpoint("org/name", COMMIT, "MIT", 1)
    assert resolve("org/name", checkpoint).digest == COMMIT
    assert resolve(f"org/name@{OTHER}", checkpoint).digest == OTHER
    assert resolve(f"org/second@{OTHER}", checkpoint).source == "org/second"


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "network.pth"
    path.write_bytes(b"weights")
    first = resolve(str(path), None)
    assert first.digest == hashlib.sha256(b"weights").hexdigest()
    path.write_bytes(b"weightz")
    assert resolve(str(path), None).digest != first.digest


def test_the_digest_of_a_folder_ignores_name_and_time(
    made: tuple[Path, Any], folder: Path
) -> None:
    original = resolve(str(made[0]), None).digest
    os.utime(folder / "model.safetensors", (1, 1))
    (folder / "README.md").write_text("not read by the network")
    assert resolve(str(folder), None).digest == original
    moved = folder.rename(folder.parent / "elsewhere")
    assert resolve(str(moved), None).digest == original


@pytest.mark.parametrize(
    "name", ["config.json", "preprocessor_config.json", "model.safetensors"]
)
def test_the_digest_of_a_folder_follows_every_file_that_is_read(
    folder: Path, name: str
) -> None:
    before = resolve(str(folder), None).digest
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    assert resolve(str(folder), None).digest != before


@pytest.mark.parametrize(
    "given",
    ["./nowhere", "nowhere.pth", "org/nowhere.pth", "/no/where/at/all", "nowhere"],
)
def test_a_path_that_does_not_exist_is_named(given: str) -> None:
    with pytest.raises(WeightsError) as error:
        resolve(given, None)
    assert "nowhere" in one_sentence(error) or "/no/where/at/all" in str(error.value)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds no weights: config\.json") as error:
        resolve(str(tmp_path), None)
    one_sentence(error)


# --- the hub's cache, offline ---


def test_the_cache_tells_the_commit_and_the_folder(
    hub: Path, made: tuple[Path, Any]
) -> None:
    found = resolve("org/name", None)
    assert (found.source, found.digest, found.revision) == ("org/name", COMMIT, COMMIT)
    assert resolve("org/name@main", None) == found
    assert local_folder(found) == hub / "models--org--name" / "snapshots" / COMMIT
    network = load_pretrained(auto_model(), found)
    for name, tensor in made[1].state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, atol=0, rtol=0)


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_cache_is_found_by_its_environment_variables(
    hub: Path, variable: str
) -> None:
    program = (
        "from bench.contracts.weights import resolve; from bench.encoders.hub import local_folder; "
        "w = resolve('org/name', None); print(w.digest, local_folder(w))"
    )
    unset = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment = {
        **unset,
        "HF_HUB_OFFLINE": "1",
        variable: str(hub.parent if variable == "HF_HOME" else hub),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [
        COMMIT,
        str(hub / "models--org--name" / "snapshots" / COMMIT),
    ], done.stderr


@pytest.mark.parametrize(
    "given", [f"org/absent@{OTHER}", "org/absent", f"org/name@{OTHER}", "org/name@v2"]
)
def test_what_the_cache_lacks_offline_is_one_sentence(hub: Path, given: str) -> None:
    with pytest.raises(WeightsError) as error:
        local_folder(resolve(given, None))
    text = one_sentence(error)
    hub_id, _, revision = given.partition("@")
    for part in (
        str(hub),
        f"hf download {hub_id} --revision {revision or 'main'}",
        "--weights",
        "--scale tiny",
    ):
        assert part in text


def test_an_interrupted_download_is_not_taken_for_a_network(hub: Path) -> None:
    snapshot = hub / "models--org--name" / "snapshots" / COMMIT
    (snapshot / "model.safetensors").rename(
        snapshot / "model-00001-of-00002.safetensors"
    )
    shards = {
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors",
        }
    }
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(shards))
    with pytest.raises(WeightsError, match="hf download org/name"):
        local_folder(resolve("org/name", None))
    (snapshot / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert local_folder(resolve("org/name", None)) == snapshot


# --- loading ---


def test_torchs_own_format_loads_too(made: tuple[Path, Any], folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(made[1].state_dict(), folder / "pytorch_model.bin")
    network = load_pretrained(auto_model(), resolve(str(folder), None))
    for name, tensor in made[1].state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, atol=0, rtol=0)


def test_half_precision_is_loaded_as_float32(
    made: tuple[Path, Any], tmp_path: Path
) -> None:
    network = load_pretrained(auto_model(), resolve(str(made[0]), None)).half()
    network.save_pretrained(tmp_path)
    loaded = load_pretrained(auto_model(), resolve(str(tmp_path), None))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_loading_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers import HubertConfig, HubertForCTC
    from transformers.utils import logging

    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    HubertForCTC(HubertConfig(**sizes, conv_dim=(8,) * 7)).save_pretrained(
        tmp_path
    )  # its lm_head has no place
    capfd.readouterr()
    level = logging.get_verbosity()
    has_bars = logging.is_progress_bar_enabled()
    load_pretrained(auto_model(), resolve(str(tmp_path), None))
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == level
    assert logging.is_progress_bar_enabled() == has_bars


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def no_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_text("no pickle")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def more_layers(folder: Path) -> None:
    change_config(folder, num_hidden_layers=2)


def wider(folder: Path) -> None:
    change_config(folder, intermediate_size=48)


def unknown_kind(folder: Path) -> None:
    change_config(folder, model_type="nothing-known")


BREAKS = (
    cut_short,
    no_weights,
    no_pickle,
    no_config,
    broken_config,
    more_layers,
    wider,
    unknown_kind,
)


def own_code(folder: Path) -> None:
    change_config(
        folder, auto_map={"AutoConfig": "own.OwnConfig", "AutoModel": "own.Own"}
    )
    (folder / "own.py").write_text("raise SystemExit('this code was run')")


def own_code_alone(folder: Path) -> None:
    own_code(folder)
    change_config(folder, model_type="own")


@pytest.mark.parametrize("damage", [own_code, own_code_alone])
def test_code_beside_the_weights_is_refused_without_a_question(
    folder: Path,
    damage: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    questions: list[object] = []
    monkeypatch.setattr("builtins.input", lambda text="": questions.append(text) or "y")
    damage(folder)
    capfd.readouterr()
    with pytest.raises(WeightsError, match="code") as error:
        load_pretrained(auto_model(), resolve(str(folder), None))
    assert str(folder) in one_sentence(error)
    assert questions == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("damage", BREAKS, ids=lambda damage: damage.__name__)
def test_a_broken_folder_is_one_sentence(folder: Path, damage: Any) -> None:
    damage(folder)
    with pytest.raises(WeightsError) as error:
        load_pretrained(auto_model(), resolve(str(folder), None))
    assert f"The weights {folder} at {folder} cannot be used: " in one_sentence(error)


def test_layers_without_weights_are_counted_and_named(folder: Path) -> None:
    more_layers(folder)
    with pytest.raises(
        WeightsError,
        match=r"16 parameters of HubertModel are not in it, encoder\.layers\.1\.",
    ):
        load_pretrained(auto_model(), resolve(str(folder), None))


def test_json_beside_the_weights(folder: Path) -> None:
    weights = resolve(str(folder), None)
    assert load_json(weights, "preprocessor_config.json")["do_normalize"] is True
    assert load_json(weights, "absent.json") == {}
    assert load_config(weights).hidden_size == 32
    (folder / "preprocessor_config.json").write_text("[")
    with pytest.raises(WeightsError, match="no JSON object"):
        load_json(weights, "preprocessor_config.json")
