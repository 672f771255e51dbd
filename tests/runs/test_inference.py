"""From `bench run --save-weights` to `bench predict`: the network that comes back is the one that
was trained.
"""

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.cli import app
from bench.contracts.feature import SAMPLE_RATE
from bench.errors import UsageError
from bench.runs.ensemble import averaged
from bench.runs.inference import audio_files
from bench.runs.lookup import Recorded, find, with_networks
from bench.runs.records import PairingRecord, RunRecord
from bench.runs.saved_network import ABOUT, STATE
from bench.runs.windows import Windows
from tests.helpers import open_store, write_tones

Bench = Callable[..., int]
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Path:
    """A folder with tones and, under `results`, two folds of a network that was trained on them and
    saved.
    """
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(new_store, folder / "results")
    corpus = write_tones(folder / "corpus")
    lines = [
        f"{p.name},{p.stem.split('_')[0]},{p.stem.split('_')[1]}"
        for p in sorted(corpus.glob("*.wav"))
    ]
    (corpus / "tones.csv").write_text(
        "path,label,speaker\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_BENCH_HOME", str(folder / "home"))
        assert call(patch, folder, *run(folder), "--folds", "2", "--save-weights") == 0
    return folder


def run(folder: Path) -> tuple[str, ...]:
    task = str(folder / "corpus" / "tones.csv")
    return (
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        task,
        "--set",
        "epochs=4",
        "--results",
        "results",
    )


def call(patch: pytest.MonkeyPatch, folder: Path, *arguments: str | Path) -> int:
    patch.chdir(folder)
    patch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        app.main()
    return int(end.value.code or 0)


@pytest.fixture
def bench(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return lambda *arguments: call(monkeypatch, trained, *arguments)


def fingerprint(trained: Path, fold: int = 0) -> str:
    return (
        find(open_store(None, trained / "results"), "mfcc-stats@tones")
        .runs[fold]
        .fingerprint
    )


def probabilities(text: str) -> list[list[float]]:
    return [
        [float(row[label]) for label in ("low", "high", "middle")] for row in rows(text)
    ]


def rows(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_saved_network_predicts_its_own_test_clips_as_recorded(
    bench: Bench, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = find(open_store(None, trained / "results"), "mfcc-stats@tones")
    assert len(recorded.runs) == 2
    for each in recorded.runs:
        assert each.predictions
        before = each.predictions()
        files = [trained / "corpus" / clip for clip in before.clips]
        assert bench("predict", each.fingerprint[:10], *files) == 0
        found = rows(capsys.readouterr().out)
        after = [[float(row[label]) for label in before.labels] for row in found]
        assert [Path(row["file"]).name for row in found] == list(before.clips)
        np.testing.assert_allclose(after, before.probabilities, rtol=0, atol=1e-6)
        assert [row["predicted"] for row in found] == [
            before.labels[i] for i in before.probabilities.argmax(1)
        ]
    assert before.probabilities.std(0).min() > 0.1  # it has learned to tell them apart


def test_a_pairing_predicts_by_the_mean_of_its_networks(
    bench: Bench, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted((trained / "corpus").glob("*_a_*.wav"))
    each = []
    for fold in (0, 1):
        assert bench("predict", fingerprint(trained, fold), *files) == 0
        said = capsys.readouterr()
        each.append(probabilities(said.out))
        assert said.err == ""
    assert bench("predict", "mfcc-stats@tones", *files) == 0
    said = capsys.readouterr()
    assert said.err == "averaged over 2 networks: folds 1-2, seed 0\n"
    assert [row["file"] for row in rows(said.out)] == [str(file) for file in files]
    np.testing.assert_allclose(
        probabilities(said.out), np.mean(each, axis=0), rtol=0, atol=1e-15
    )
    assert abs(np.subtract(*each)).max() > 0.01  # they do not say the same


def test_the_start_of_several_fingerprints_means_no_network() -> None:
    runs = [
        RunRecord(f"ab{fold}", str(fold), 0, "ok", network=Path) for fold in range(3)
    ]
    pairing = PairingRecord("t", "b", "finetune", "speaker", "tiny", runs=tuple(runs))
    recorded = Recorded(pairing, pairing.runs)
    assert with_networks(recorded, "b@t") == runs
    assert with_networks(Recorded(pairing, pairing.runs[1:2]), "ab1") == runs[1:2]
    with pytest.raises(
        UsageError, match=r"ab means 3 networks: name one .* ab0 \(fold 0, seed 0\)"
    ):
        with_networks(recorded, "ab")


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ([("1", 0)], ""),
        (
            [(str(n), 0) for n in range(1, 7)],
            "averaged over 6 networks: folds 1-6, seed 0",
        ),
        (
            [("9", 0), ("10", 0), ("12", 0)],
            "averaged over 3 networks: folds 9-10, 12, seed 0",
        ),
        (
            [("f", 0), ("f", 1), ("m", 1)],
            "averaged over 3 networks: folds f, m, seeds 0-1",
        ),
    ],
)
def test_networks_are_named_by_fold_and_seed(
    places: list[tuple[str, int]], text: str
) -> None:
    runs = [RunRecord("", fold, seed, "ok") for fold, seed in places]
    assert averaged(runs, runs) == text
    if text:
        more = [*runs, RunRecord("", "other", 0, "ok")]
        assert averaged(runs, more).startswith(text)
        assert averaged(runs, more).endswith("saved with 1 more run of the pairing")


def test_a_folder_in_windows_as_json(
    bench: Bench, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(3.5 * SAMPLE_RATE))
    soundfile.write(tmp_path / "deep" / "long.flac", noise, SAMPLE_RATE)
    (tmp_path / "notes.txt").write_text("no audio", encoding="utf-8")
    output = tmp_path / "out.json"
    name = fingerprint(trained)
    windowed = ("--window", "1", "--hop", "0.5", "--format", "json", "-o", output)
    assert bench("predict", name, tmp_path, *windowed) == 0
    found = json.loads(output.read_text("utf-8"))
    assert [(row["start"], row["end"]) for row in found] == [
        (i / 2, i / 2 + 1) for i in range(6)
    ]
    assert all(
        sum(row[label] for label in ("low", "high", "middle")) == pytest.approx(1)
        for row in found
    )
    whole = (
        tmp_path / "part.wav"
    )  # a window is heard as the same samples in a file of their own
    soundfile.write(
        whole,
        noise[SAMPLE_RATE // 2 : SAMPLE_RATE // 2 * 3],
        SAMPLE_RATE,
        subtype="FLOAT",
    )
    assert bench("predict", name, whole, "--format", "json", "-o", output) == 0
    (alone,) = json.loads(output.read_text("utf-8"))
    assert alone["low"] == pytest.approx(
        found[1]["low"], abs=1e-3
    )  # FLAC keeps 16 bits


def test_what_cannot_be_read_is_named_and_stops_nothing(
    bench: Bench, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.wav").write_bytes(b"not audio")
    good = sorted((trained / "corpus").glob("*.wav"))[0]
    assert (
        bench(
            "predict",
            fingerprint(trained),
            tmp_path / "absent.wav",
            good,
            tmp_path / "broken.wav",
        )
        == 1
    )
    said = capsys.readouterr()
    assert [row["file"] for row in rows(said.out)] == [str(good)]
    assert "absent.wav: missing file" in said.err
    assert "broken.wav: unreadable" in said.err


def test_nothing_of_the_audio_stays(
    bench: Bench, trained: Path, own_home: Path
) -> None:
    assert bench("predict", fingerprint(trained), trained / "corpus") == 0
    assert not [p for p in own_home.rglob("*") if p.is_file()]


def test_saving_runs_again_what_was_recorded_without_and_only_that(
    bench: Bench, trained: Path, capsys: pytest.CaptureFixture[str], own_home: Path
) -> None:
    more = (*run(trained), "--set", "epochs=3", "--folds", "1")
    assert bench(*more) == 0
    assert (
        bench("predict", "mfcc-stats@tones", trained / "corpus") == 2
    )  # two pairings are called that now
    assert "means 2 pairings" in capsys.readouterr().err
    store = open_store(None, trained / "results")
    (plain,) = [r for p in store.records() for r in p.runs if not r.network]
    assert bench("predict", plain.id, trained / "corpus") == 2
    assert "--save-weights" in capsys.readouterr().err
    assert bench(*more, "--save-weights") == 0
    assert "1 recorded now" in capsys.readouterr().err
    assert bench(*more, "--save-weights") == 0
    assert "0 recorded now, 1 recorded before" in capsys.readouterr().err
    assert bench("predict", plain.fingerprint, trained / "corpus") == 0
    pairing = next(
        p
        for p in store.records()
        if any(r.fingerprint == plain.fingerprint for r in p.runs)
    )
    store.client.delete_run(pairing.runs[0].id)
    store.client.delete_run(pairing.runs[0].pairing)


def test_a_name_that_means_nothing_or_too_much_says_what_there_is(
    bench: Bench, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, told in (
        ("mfcc-stast@tones", "did you mean mfcc-stats@tones?"),
        ("mfcc-stats@tone", "did you mean mfcc-stats@tones?"),
    ):
        assert bench("predict", name, trained / "corpus") == 2
        said = capsys.readouterr().err
        assert told in said
        assert said.count("\n") == 1


def test_weights_that_the_network_has_not_are_refused(
    bench: Bench, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for weights, told in (
        ("mfcc-stast=random", "did you mean mfcc-stats?"),
        ("mfcc-stats=/no/such", "there is no such file or folder"),
    ):
        typed = ("--weights", weights)
        assert bench("predict", "mfcc-stats@tones", trained / "corpus", *typed) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("backbone_version", 99, "version 99"),
        ("weights_digest", "0" * 32, "--weights"),
        ("features", {"mfcc": "0" * 32}, "changed"),
        ("format", 0, "ser-bench"),
    ],
)
def test_a_network_of_other_ingredients_is_refused(
    trained: Path, tmp_path: Path, key: str, value: object, told: str
) -> None:
    from bench.runs.saved_network import NetworkError, rebuild

    run = find(open_store(None, trained / "results"), fingerprint(trained)).runs[0]
    assert run.network
    folder = run.network(tmp_path)
    assert {p.name for p in folder.iterdir()} >= {STATE, ABOUT}
    assert rebuild(folder, {}).setup.classes == 3
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    (folder / ABOUT).write_text(json.dumps({**about, key: value}), encoding="utf-8")
    with pytest.raises(NetworkError, match=told):
        rebuild(folder, {})


def _other_json(path: Path) -> None:
    path.write_text('{"format": 1, "ser_bench": "0.1.0", "setup": {}}', "utf-8")


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _changed(path: Path) -> None:
    """One bit of the last value."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(content)


def _shapes(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"classify.weight": torch.zeros(2, 2)}, path)


def _pickle(path: Path) -> None:
    import torch

    torch.save({"classify.weight": torch.zeros(2, 2)}, path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": _cut,
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(3000)),
    "missing": Path.unlink,
    "other JSON": _other_json,
    "a list": lambda path: path.write_text("[1, 2]", "utf-8"),
    "wrong shapes": _shapes,
    "foreign pickle": _pickle,
    "changed": _changed,
}


@pytest.mark.parametrize("file", [STATE, ABOUT])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_network_is_one_sentence(
    bench: Bench,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    damage: str,
    file: str,
) -> None:
    name = fingerprint(trained)
    run = find(open_store(None, trained / "results"), name).runs[0]
    (path,) = (trained / "results" / "artifacts").rglob(f"{run.id}/*/network/{file}")
    whole = path.read_bytes()
    DAMAGE[damage](path)
    try:
        assert bench("predict", name, trained / "corpus") == 1
    finally:
        path.write_bytes(whole)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"bench: run {run.id}: {file} of the saved network is")
    assert "bench run --save-weights --fresh" in said.err
    assert "weights_only" not in said.err


def test_weights_without_a_checksum_are_finite(trained: Path, tmp_path: Path) -> None:
    """As versions before the checksum wrote them."""
    import torch
    from safetensors.torch import load_file, save_file

    from bench.runs.network_card import NetworkError
    from bench.runs.saved_network import rebuild

    run = find(open_store(None, trained / "results"), fingerprint(trained)).runs[0]
    assert run.network
    folder = run.network(tmp_path)
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    del about["state"]
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    assert rebuild(folder, {}).setup.classes == 3
    state = load_file(folder / STATE)
    name = next(iter(state))
    state[name] = torch.full_like(state[name], torch.nan)
    save_file(state, folder / STATE)
    with pytest.raises(NetworkError, match="is damaged"):
        rebuild(folder, {})


def test_a_network_that_is_gone_is_one_sentence(
    bench: Bench, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = fingerprint(trained)
    run = find(open_store(None, trained / "results"), name).runs[0]
    (path,) = (trained / "results" / "artifacts").rglob(f"{run.id}/*/network")
    aside = path.rename(path.with_name("aside"))
    try:
        assert bench("predict", name, trained / "corpus") == 1
    finally:
        aside.rename(path)
    said = capsys.readouterr().err
    assert f"has lost the network of run {run.id}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "window", "hop", "expected"),
    [
        (30.0, None, None, [(0.0, 30.0)]),
        (40.0, None, None, [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 40.0)]),
        (34.0, None, None, [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (24.0, 34.0)]),
        (34.0, 0.0, None, [(0.0, 34.0)]),
        (3.0, 4.0, None, [(0.0, 3.0)]),
        (5.0, 4.0, 1.0, [(0.0, 4.0), (1.0, 5.0)]),
        (5.5, 4.0, 1.0, [(0.0, 4.0), (1.0, 5.0), (1.5, 5.5)]),
    ],
)
def test_windows_cover_all_and_are_equally_long(
    seconds: float,
    window: float | None,
    hop: float | None,
    expected: list[tuple[float, float]],
) -> None:
    assert list(Windows(window, hop).cuts(seconds)) == expected


def test_folders_are_searched_and_files_taken_once(tmp_path: Path) -> None:
    for name in ("b.WAV", "a/c.mp3", "a/.hidden.wav", "a/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = audio_files([tmp_path, tmp_path / "b.WAV", tmp_path / "a" / "d.txt"])
    assert found == [
        tmp_path / "a" / "c.mp3",
        tmp_path / "b.WAV",
        tmp_path / "a" / "d.txt",
    ]
