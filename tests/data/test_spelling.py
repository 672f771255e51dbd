"""Labels and speakers as people write them: one thing in two spellings is never two things."""

import re
import unicodedata
from pathlib import Path

import pytest

from bench import registry
from bench.data.cache import Cache
from bench.data.corpus import load
from bench.data.manifest import ManifestTask
from bench.data.spelling import is_nothing, normal_form, one_spelling
from bench.errors import CorpusError, UsageError
from bench.keywords import names
from bench.options import build
from bench.settings import Settings
from tests.conftest import Bench

SAME = {
    "case": ("Sad", "sad", "SAD"),
    "blanks": ("very sad", "very  sad", "verysad", "very\u00a0sad"),
    "accents": (
        unicodedata.normalize("NFC", "né"),
        unicodedata.normalize("NFD", "né"),
    ),
    "width": ("s1", "\uff531"),  # a full-width s
    "invisible": ("sad", "sad\u200b", "\ufeffsad"),
    "numbers": ("0", "0.0", "00", "-0", "0,00", "0E+00"),
    "large": ("120000", "120000.0", "1.2E+05"),
    "negative": ("-1", "-1.0", "\u22121"),
}
DIFFERENT = ("1", "10", "-1", "0.1", "1e5", "s1", "s01", "12345678901234567890123456789012",
             "12345678901234567890123456789013", "sad", "sad.", "s-1")  # fmt: skip


@pytest.mark.parametrize("texts", SAME.values(), ids=SAME)
def test_what_differs_in_spelling_alone_has_one_normal_form(
    texts: tuple[str, ...],
) -> None:
    assert len({normal_form(text) for text in texts}) == 1


def test_what_differs_otherwise_has_several() -> None:
    assert len({normal_form(text) for text in DIFFERENT}) == len(DIFFERENT)


def test_words_for_nothing() -> None:
    words = (
        "",
        "nan",
        "NaN",
        "NA",
        "N/A",
        "#N/A",
        "<NA>",
        "None",
        "NULL",
        "-",
        "?",
        "Unknown",
    )
    assert all(map(is_nothing, words))
    assert not any(map(is_nothing, ("0", "no", "Nana", "n", "+", "none of these")))


def test_the_spelling_is_a_listed_one_else_the_commonest() -> None:
    texts = ["sad", "Sad", "Sad", "0", "0.0", "calm"]
    assert one_spelling(texts, ["SAD"]) == {
        "sad": "SAD", "Sad": "SAD", "SAD": "SAD", "0": "0", "0.0": "0", "calm": "calm"
    }  # fmt: skip
    assert one_spelling(texts)["sad"] == "Sad"


def written(folder: Path, rows: str, companion: str = "") -> Path:
    path = folder / "calls.csv"
    path.write_text(f"path,label,speaker\n{rows}", encoding="utf-8")
    path.with_suffix(".toml").write_text(companion, encoding="utf-8")
    return path


MIXED = "a.wav,sad,s1\nb.wav,Sad,S1\nc.wav,calm,2\nd.wav,sad,2.0\ne.wav,calm,3\n"


def test_two_spellings_are_refused_with_their_rows(tmp_path: Path) -> None:
    path = written(tmp_path, MIXED)
    with pytest.raises(CorpusError) as error:
        ManifestTask(path)
    message = str(error.value)
    assert "label sad (row 2, 5), Sad (row 3)" in message
    assert "speaker s1 (row 2), S1 (row 3); speaker 2 (row 4), 2.0 (row 5)" in message
    assert "`one_spelling = true` in its companion" in message


def test_two_spellings_are_one_where_the_companion_says_so(tmp_path: Path) -> None:
    task = ManifestTask(written(tmp_path, MIXED, "one_spelling = true"))
    assert task.labels == ("calm", "sad")
    clips = task.clips(None)
    assert [clip.labels[0] for clip in clips] == ["sad", "sad", "calm", "sad", "calm"]
    assert [clip.speaker for clip in clips] == ["S1", "S1", "2", "2", "3"]


def test_the_companion_is_one_of_the_places_that_spell_a_label(tmp_path: Path) -> None:
    rows = "a.wav,sad,s1\nb.wav,calm,s2\n"
    listed = 'labels = ["Sad", "calm"]'
    with pytest.raises(
        CorpusError, match=re.escape("label sad (row 2), Sad (in the companion)")
    ):
        ManifestTask(written(tmp_path, rows, listed))
    task = ManifestTask(written(tmp_path, rows, f"one_spelling = true\n{listed}"))
    assert [clip.labels for clip in task.clips(None)] == [("Sad",), ("calm",)]


def test_a_map_holds_for_every_spelling_where_they_are_one(tmp_path: Path) -> None:
    rows = "a.wav,Upset,s1\nb.wav,calm,s2\n"
    table = '[map]\nupset = "sad"'
    with pytest.raises(
        CorpusError, match=r"row 2: \[map\] has its label in another spelling \(Upset\)"
    ):
        ManifestTask(written(tmp_path, rows, table))
    task = ManifestTask(written(tmp_path, rows, f"one_spelling = true\n{table}"))
    assert task.labels == ("calm", "sad")


def test_a_map_may_itself_say_that_two_spellings_are_one(tmp_path: Path) -> None:
    rows = "a.wav,Sad,s1\nb.wav,sad,s2\nc.wav,calm,s3\n"
    task = ManifestTask(written(tmp_path, rows, '[map]\nSad = "sad"'))
    assert task.labels == ("calm", "sad")


def test_a_column_of_nothing_is_no_speaker(tmp_path: Path) -> None:
    rows = "".join(f"{n}.wav,{'yes' if n % 2 else 'no'},nan\n" for n in range(6))
    task = ManifestTask(written(tmp_path, rows))
    assert {clip.speaker for clip in task.clips(None)} == {None}
    assert list(task.protocols()) == ["random"]


@pytest.mark.parametrize(
    "companion", ['labels = ["none", "calm"]', '[map]\nnone = "none"']
)
def test_a_class_may_be_called_none(tmp_path: Path, companion: str) -> None:
    rows = "a.wav,none,s1\nb.wav,calm,s2\n"
    with pytest.raises(CorpusError, match="row 2: its label is none"):
        ManifestTask(written(tmp_path, rows))
    assert "none" in ManifestTask(written(tmp_path, rows, companion)).labels


def test_parts_have_the_names_that_people_give_them(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    names = ["train", "Training", "val", "dev", "Validation", "testing", "TEST"]
    rows = [
        f"{n}.wav,{'yes' if n % 2 else 'no'},{name}" for n, name in enumerate(names)
    ]
    path.write_text("\n".join(["path,label,split", *rows]), encoding="utf-8")
    parts = [clip.split for clip in ManifestTask(path).clips(None)]
    assert parts == ["train", "train", "valid", "valid", "valid", "test", "test"]


def test_a_start_of_0_is_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(
        "path,label,start,end\na.wav,yes,0,\na.wav,no,,2\n", encoding="utf-8"
    )
    clips = ManifestTask(path).clips(None)
    assert [clip.id for clip in clips] == ["a.wav", "a.wav@0-2"]
    assert [clip.audio.start for clip in clips] == [None, None]


def test_paths_of_windows_get_a_hint(tmp_path: Path) -> None:
    path = written(tmp_path, "wav\\a.wav,yes,s1\nb.wav,no,s2\n")
    with pytest.raises(CorpusError) as error:
        load(ManifestTask(path), None, Cache(tmp_path / "cache"))
    message = str(error.value)
    assert "missing file: write / for \\ in its path" in message
    assert message.count("write /") == 1


def test_the_path_of_a_manifest_from_windows_gets_a_hint() -> None:
    with pytest.raises(UsageError, match=re.escape("TSV file, with / for \\")):
        registry.tasks(["calls\\manifest.csv"])


def test_an_error_names_the_companion_that_there_is(tmp_path: Path) -> None:
    path = written(tmp_path, "a.wav,sad|calm,s1\nb.wav,calm,s2\n")
    path.with_suffix(".toml").rename(tmp_path / "calls.csv.toml")
    with pytest.raises(CorpusError, match=re.escape("its companion (calls.csv.toml)")):
        ManifestTask(path)


def test_a_comma_in_the_path_of_a_manifest(
    manifest: Path, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    path = manifest.rename(manifest.with_name("calls, of 2024,1.csv"))
    assert names(f"demo, {path},ravdess") == ["demo", str(path), "ravdess"]
    assert build(Settings, {"task": f"{path},demo"}, "").task == (str(path), "demo")
    assert registry.tasks(names(str(path)))[0].name == path.stem
    assert (
        bench("run", "-b", "mfcc-stats", "-t", path, "--scale", "tiny", "--dry-run")
        == 0
    )
    assert "calls, of 2024,1" in capsys.readouterr().out
