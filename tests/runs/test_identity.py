"""One table never holds rows of two corpora, of two divisions, or of two versions of code."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bench as package
from bench.data.sketch import overlap, sketch
from bench.errors import UsageError
from bench.tables.collect import rows
from bench.tables.formats import render
from tests.conftest import Bench
from tests.helpers import open_store, write_tones
from tests.tables.pairings import FIGURES, pairing, perfect

Run = Callable[..., int]


@pytest.fixture
def run(bench: Bench, results: Path) -> Run:
    common = ("-b", "mfcc-stats", "--set", "epochs=2", "--results", results)
    return lambda path, *more: bench("run", "-t", path, *common, *more)


def corpus(folder: Path, gain: float) -> Path:
    """Tones of one loudness, as `manifest.csv`."""
    import soundfile

    write_tones(folder)
    lines = ["path,label,speaker"]
    for path in sorted(folder.glob("*.wav")):
        samples, rate = soundfile.read(path)
        own = path.rename(folder / f"{folder.name}-{path.name}")
        soundfile.write(own, samples * gain, rate)
        label, speaker, _ = path.stem.split("_")
        lines.append(f"{own.name},{label},{speaker}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", "utf-8")
    return manifest


def softer(folder: Path) -> None:
    import soundfile

    for path in folder.glob("*.wav"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, samples * 0.5, rate)


def shown(results: Path, **asked: Any) -> list[dict[str, Any]]:
    text = package.table(results=results, **asked).text("json")
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_two_manifests_of_one_name_never_show_each_others_scores(
    run: Run, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = corpus(tmp_path / "a", 1.0), corpus(tmp_path / "b", 0.5)
    assert run(one) == 0
    assert "also the name" not in capsys.readouterr().err
    assert run(other) == 0
    said = capsys.readouterr()
    assert "manifest is also the name of another corpus in these results" in said.err
    assert '`name = "manifest-2"`' in said.err
    assert said.out.count("mfcc-stats") == 1  # the table of this corpus alone

    (of_one,) = shown(results, task=one)
    (of_other,) = shown(results, task=other)
    assert of_one["corpus"] != of_other["corpus"]
    assert set(of_one["fingerprints"]).isdisjoint(of_other["fingerprints"])
    both = package.table(task="manifest", results=results)
    assert [record["corpus"] for record in shown(results, task="manifest")] == [
        of_other["corpus"],  # the newest first
        of_one["corpus"],
    ]
    text = both.text(width=140)
    assert text.count("manifest · protocol speaker · corpus ") == 2
    assert f"corpus {of_one['corpus'][:8]}" in text
    assert "which cannot be compared" in text
    assert "*" not in text.split("scores in %")[0]
    for format in ("markdown", "latex", "html"):
        assert of_one["corpus"][:8] in both.text(format)  # type: ignore[arg-type]


def test_a_changed_label_makes_another_table_and_the_path_selects_the_present_one(
    run: Run, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = corpus(tmp_path / "a", 1.0)
    assert run(manifest) == 0
    rows_before = manifest.read_text("utf-8").splitlines()
    (before,) = shown(results, task=manifest)
    first, *others = rows_before[1:]
    path, label, speaker = first.split(",")
    labels = {row.split(",")[1] for row in others}
    changed = sorted(labels - {label})[0]
    lines = [rows_before[0], f"{path},{changed},{speaker}", *others]
    manifest.write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(UsageError, match="nothing is recorded"):
        package.table(task=manifest, results=results)
    assert run(manifest) == 0
    assert "also the name" not in capsys.readouterr().err  # the same clips
    (after,) = shown(results, task=manifest)
    assert after["corpus"] != before["corpus"]
    assert len(shown(results, task="manifest")) == 2
    shuffled = [rows_before[0], *reversed(rows_before[1:])]
    manifest.write_text("\n".join(shuffled) + "\n", "utf-8")
    (again,) = shown(results, task=manifest)
    assert again["fingerprints"] == before["fingerprints"]


def test_another_division_of_the_same_corpus_is_another_table(
    run: Run, tmp_path: Path, results: Path
) -> None:
    manifest = corpus(tmp_path / "a", 1.0)
    assert run(manifest) == 0
    manifest.with_suffix(".toml").write_text("k = 3\n", "utf-8")
    assert run(manifest) == 0
    found = shown(results, task=manifest)
    assert len({record["corpus"] for record in found}) == 1
    assert len({record["split"] for record in found}) == 2
    text = package.table(task=manifest, results=results).text(width=140)
    assert text.count("manifest · protocol speaker · division ") == 2
    assert package.forget("mfcc-stats", task=manifest, results=results).runs == 8
    with pytest.raises(UsageError, match="nothing is recorded"):
        package.table(task=manifest, results=results)


def test_the_same_rows_with_other_audio_are_another_corpus(
    run: Run, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as a denoised copy beside the original."""
    one = corpus(tmp_path / "a", 1.0)
    other = Path(shutil.copytree(tmp_path / "a", tmp_path / "b")) / "manifest.csv"
    softer(tmp_path / "b")
    assert run(one) == 0
    assert run(other) == 0
    (of_one,) = shown(results, task=one)
    (of_other,) = shown(results, task=other)
    assert of_one["corpus"] != of_other["corpus"]
    with pytest.raises(UsageError, match="they are of corpus"):
        package.compare("manifest", all=True, results=results)
    shutil.rmtree(tmp_path / "a")
    one.parent.mkdir()
    shutil.copy(other, one)  # without its audio only the rows are known
    assert len(shown(results, task=one)) == 2


def test_what_is_removed_by_path_is_of_that_corpus(
    run: Run, tmp_path: Path, results: Path
) -> None:
    one, other = corpus(tmp_path / "a", 1.0), corpus(tmp_path / "b", 0.5)
    assert run(one) == 0
    assert run(other) == 0
    removed = package.forget("mfcc-stats", task=one, results=results)
    assert removed.runs == 5
    assert len(shown(results, task=other)) == 1
    assert len(shown(results, task="manifest")) == 1


def test_a_private_manifest_is_selected_by_its_rows_and_shows_none(
    run: Run, tmp_path: Path, results: Path
) -> None:
    one, other = corpus(tmp_path / "a", 1.0), corpus(tmp_path / "b", 0.5)
    for path in (one, other):
        companion = path.with_suffix(".toml")
        companion.write_text('private = true\nname = "calls"\n', "utf-8")
        assert run(path) == 0
    (of_one,) = shown(results, task=one)
    (of_other,) = shown(results, task=other)
    assert of_one["corpus"] != of_other["corpus"]
    (experiment,) = open_store(None, results).client.search_experiments(
        filter_string="name = 'calls'"
    )
    runs = open_store(None, results).client.search_runs([experiment.experiment_id])
    for each in runs:
        for value in each.data.tags.values():
            assert ".wav" not in value
            assert str(tmp_path / "a") not in value


def test_an_old_record_tells_its_corpus_by_its_runs(
    run: Run, tmp_path: Path, results: Path
) -> None:
    manifest = corpus(tmp_path / "a", 1.0)
    assert run(manifest) == 0
    (before,) = shown(results, task="manifest")
    client = open_store(None, results).client
    for experiment in client.search_experiments():
        for each in client.search_runs([experiment.experiment_id]):
            for tag in each.data.tags:
                if tag.startswith("ser.record.") and tag.rpartition(".")[2] in (
                    ["corpus", "split", "code", "version", "manifest", "sketch"]
                ):
                    client.delete_tag(each.info.run_id, tag)
    (after,) = shown(results, task="manifest")
    assert after == before
    (of_path,) = shown(results, task=manifest)  # which rows it had is not known
    assert of_path == before


def test_a_moved_copy_of_a_manifest_is_the_same_corpus(
    run: Run, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = corpus(tmp_path / "a", 1.0)
    assert run(manifest) == 0
    copy = Path(shutil.copytree(tmp_path / "a", tmp_path / "elsewhere"))
    capsys.readouterr()
    assert run(copy / "manifest.csv") == 0
    assert "0 recorded now, 5 recorded before" in capsys.readouterr().err


def test_published_figures_stand_in_the_newest_table() -> None:
    old = pairing("old", corpus="a" * 32, split="s")
    new = pairing("new", perfect(), corpus="b" * 32, split="s")
    found = rows([old, new], {"calls": FIGURES})
    assert [row.backbone for row in found] == ["new", "Lee", "old", "Wu"]
    assert not any(row.best for row in found)
    titles = [line for line in render(found).splitlines() if line.startswith("calls")]
    assert [title.split(" · ")[2] for title in titles[:2]] == [
        "corpus bbbbbbbb",
        "corpus aaaaaaaa",
    ]


def test_what_never_loaded_a_corpus_stands_in_the_newest_table() -> None:
    ok = pairing("ok", corpus="a" * 32, split="s")
    skipped = pairing("zh", [], skipped="it reads Chinese alone")
    assert len({row.table for row in rows([ok, skipped], {})}) == 1
    before = pairing("ok")  # done before corpora were recorded
    assert [row.corpus for row in rows([before, ok], {})] == ["a" * 32, ""]
    assert "corpus unknown" in render(rows([before, ok], {}))


def test_no_gain_and_no_star_across_versions_of_the_code() -> None:
    usual = pairing("b", code="1", version=1)
    tuned = pairing("b", perfect(), recipe="tuned (9 trials)", code="2", version=2)
    found = rows([usual, tuned], {}, {"b": 2})
    best, other = found
    assert (best.recipe, best.gains) == ("tuned (9 trials)", {})
    assert any("no gain is given" in note for note in best.notes)
    assert other.outdated
    assert any("of version 1 of b, which is version 2 now" in n for n in other.notes)
    assert not any(
        row.best for row in found
    )  # a lone row has nothing to be better than
    unknown = rows([replace(usual, code="", version=0), tuned], {}, {"b": 2})
    assert unknown[0].gains  # recorded before codes were told apart


def test_sketches_tell_corpora_without_a_common_clip() -> None:
    clips = [f"{number:032x}" for number in range(500)]
    here = sketch(clips, private=False)
    assert overlap(here, sketch(clips[:480], private=False))
    assert overlap(here, sketch(reversed(clips), private=False))
    assert not overlap(here, sketch([f"x{clip}" for clip in clips], private=False))
    assert overlap(here, "")
    assert len(here) < 500
