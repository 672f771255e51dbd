"""The folds of a manifest are those of its recordings: the order of the rows and all names may
change.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.data.cache import Cache
from bench.data.corpus import load
from bench.data.manifest import ManifestTask
from bench.data.privacy import _key
from bench.runs.division import divide
from tests.helpers import write_tones

Row = tuple[Path, str, str]  # file, label, speaker
SHUFFLES = 5
PARTS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Tones by six speakers, one of them copied as another's."""
    folder = write_tones(tmp_path_factory.mktemp("tones"))
    rows: list[Row] = []
    for path in sorted(folder.glob("*.wav")):
        label, speaker, _ = path.stem.split("_")
        rows.append((path, label, speaker))
    path, label, _ = rows[0]
    return [*rows, (path, label, "f")]


@pytest.fixture
def speech(ravdess_root: Path) -> list[Row]:
    """Every third clip of seven actors of RAVDESS, whose names say emotion and actor."""
    rows: list[Row] = []
    for actor in range(1, 8):
        paths = sorted(ravdess_root.glob(f"**/Actor_{actor:02}/*.wav"))
        for path in paths[::3]:
            rows.append((path, path.name[6:8], path.parent.name))
    return rows


def written(folder: Path, rows: Sequence[Row], private: bool = False) -> ManifestTask:
    """The task of a manifest in which every file has a name of its place."""
    folder.mkdir()
    lines = ["path,label,speaker,split"]
    for number, (path, label, speaker) in enumerate(rows):
        link = folder / f"{number}.wav"
        link.symlink_to(path)
        split = "train" if sum(path.name.encode()) % 4 else "test"
        lines.append(f"{link.name},{label},{speaker},{split}")
    manifest = folder / "calls.csv"
    manifest.write_text("\n".join(lines), encoding="utf-8")
    companion = "k = 3\nprivate = true" if private else "k = 3"
    manifest.with_suffix(".toml").write_text(companion)
    return ManifestTask(manifest)


def divided(task: ManifestTask, cache: Cache) -> dict[str, list[list[list[str]]]]:
    """The audio of each part of each fold of each protocol."""
    corpus = load(task, None, cache)
    parts = {}
    for protocol in task.protocols():
        folds = divide(task, corpus, protocol).folds
        parts[protocol] = [
            [
                sorted(corpus.content[clip] for clip in getattr(fold, part))
                for part in PARTS
            ]
            for fold in folds
        ]
    return parts


def renamed(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in another order, their speakers under other names."""
    draw = random.Random(seed)
    speakers = sorted({speaker for _, _, speaker in rows})
    names = dict(
        zip(speakers, draw.sample(range(100, 999), len(speakers)), strict=True)
    )
    other = [(path, label, f"x{names[speaker]}") for path, label, speaker in rows]
    return draw.sample(other, len(other))


@pytest.mark.parametrize("corpus", ["tones", "speech"])
def test_neither_order_nor_names_change_a_fold(
    corpus: str, request: pytest.FixtureRequest, tmp_path: Path, cache: Cache
) -> None:
    rows: list[Row] = request.getfixturevalue(corpus)
    before = divided(written(tmp_path / "before", rows), cache)
    assert list(before) == ["speaker", "split", "random"]
    for seed in range(SHUFFLES):
        task = written(tmp_path / str(seed), renamed(rows, seed))
        assert divided(task, cache) == before


def test_the_order_of_the_rows_repeats_no_run(
    tones: list[Row], tmp_path: Path, cache: Cache
) -> None:
    """Fingerprints are made of the folds' hash and the corpus's checksum."""
    manifest = written(tmp_path / "calls", tones).manifest.path
    header, *lines = manifest.read_text().splitlines()
    hashes = set()
    for seed in range(SHUFFLES):
        random.Random(seed).shuffle(lines)
        manifest.write_text("\n".join([header, *lines]))
        task = ManifestTask(manifest)
        corpus = load(task, None, cache)
        for protocol in task.protocols():
            hashes.add(
                (protocol, corpus.checksum, divide(task, corpus, protocol).split)
            )
    assert len(hashes) == 3


def test_pseudonyms_of_another_machine_change_no_fold(
    tones: list[Row], tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = divided(written(tmp_path / "before", tones), cache)
    for seed in range(SHUFFLES):
        monkeypatch.setenv("SER_BENCH_HOME", str(tmp_path / f"home {seed}"))
        _key.cache_clear()
        task = written(tmp_path / str(seed), renamed(tones, seed), private=True)
        assert divided(task, cache) == before
