"""The hotline's eleven emotions: private, several per clip, callers apart, thresholds never from
the test part.
"""

import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import registry
from bench.cli import app
from bench.contracts.clip import Clip
from bench.contracts.task import Task
from bench.errors import CorpusError
from bench.scoring.scores import THRESHOLD, decisions, scores
from bench.scoring.thresholds import CHOSEN
from bench.splits.leakage import check
from tasks.hotline_fine import LABELS
from tests.helpers import open_store

PLANTED = "Zhang"


def task() -> Task:
    return registry.tasks(["hotline-fine"])[0]


def manifest(folder: Path, callers: int = 15, each: int = 12) -> Path:
    """Rows with none, one or several emotions, each caller's own."""
    draw = random.Random(4)
    lines = ["path,label,speaker,start,end"]
    for caller in range(callers):
        for n in range(each):
            labels = [
                name for i, name in enumerate(LABELS) if draw.random() < 0.05 + 0.03 * i
            ]
            lines.append(
                f"{PLANTED}-{caller}.wav,{'|'.join(labels)},{PLANTED} {caller},{n * 0.5},{n * 0.5 + 0.5}"  # noqa: E501 - a table, or code, of one line each
            )
    path = folder / "calls.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_eleven_emotions_several_or_none_per_clip(tmp_path: Path) -> None:
    clips = task().clips(manifest(tmp_path))
    assert len(task().labels) == 11
    assert {len(clip.labels) for clip in clips} > {0, 1, 2}
    assert PLANTED not in " ".join(
        f"{c.id} {c.speaker} {c.where} {dict(c.meta)}" for c in clips
    )


def test_neither_rows_nor_pseudonyms_change_the_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path)
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    divisions = set()
    for machine in range(3):
        monkeypatch.setenv("SER_BENCH_HOME", str(tmp_path / str(machine)))
        random.Random(machine).shuffle(lines)
        path.write_text("\n".join([header, *lines]), encoding="utf-8")
        clips = task().clips(path)
        audio = {clip.id: f"{clip.audio}" for clip in clips}
        for name, protocol in task().protocols().items():
            for fold in protocol.split(clips, audio):
                parts = (fold.train, fold.valid, fold.test)
                samples = [frozenset(audio[clip] for clip in part) for part in parts]
                divisions.add((name, fold.name, *samples))
    assert len(divisions) == 2 * 5


def test_texts_can_be_mapped_and_unknown_ones_are_not_told(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    path.write_text(path.read_text().replace("confuse", "ratlos"))
    with pytest.raises(CorpusError) as error:
        task().clips(path)
    assert "rows with an unknown label" in str(error.value)
    assert "ratlos" not in str(error.value)
    path.with_suffix(".toml").write_text('[map]\nratlos = "confuse"\n')
    assert any("confuse" in clip.labels for clip in task().clips(path))


def test_without_manifest_or_callers_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="any of the 11 emotions, joined by"):
        task().clips(None)
    (tmp_path / "calls.csv").write_text("path,label\na.wav,pain\n")
    with pytest.raises(CorpusError, match="names no speakers"):
        task().clips(tmp_path / "calls.csv")


def folds(protocol: str, clips: list[Clip]) -> list[list[set[str | None]]]:
    """The callers of each part of each fold."""
    content = {clip.id: clip.id for clip in clips}
    divided = list(task().protocols()[protocol].split(clips, content))
    check(divided, clips, task().protocols()[protocol], content)
    caller = {clip.id: clip.speaker for clip in clips}
    return [
        [{caller[c] for c in part} for part in (fold.train, fold.valid, fold.test)]
        for fold in divided
    ]


def test_every_caller_is_tested_once_and_never_trained_on(tmp_path: Path) -> None:
    clips = task().clips(manifest(tmp_path))
    divided = folds(task().default_protocol, clips)
    tested = [caller for _, _, test in divided for caller in test]
    assert len(divided) == 5
    assert sorted(map(str, tested)) == sorted({str(c.speaker) for c in clips})
    assert not any(
        train & test or train & valid or valid & test for train, valid, test in divided
    )


def test_chen_s_fifth_of_the_callers_is_tested_by_all_folds(tmp_path: Path) -> None:
    divided = folds("published", task().clips(manifest(tmp_path)))
    assert len({frozenset(map(str, test)) for _, _, test in divided}) == 1
    assert len(divided[0][2]) == 3


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Path:
    """One whole run from the command line, and its table: three emotions, each with a tone of its
    own.
    """
    folder = tmp_path_factory.mktemp("fine")
    shutil.copytree(new_store, folder / "results")
    noise, lines = np.random.default_rng(0), ["path,label,speaker"]
    tones = {"sadness": 200, "fear": 900, "anxiety": 2500}
    for caller in range(10):
        for n in range(6):
            held = [name for name in tones if noise.random() < 0.4]
            time = np.arange(8_000) / 16_000
            sound = sum(
                (np.sin(2 * np.pi * tones[name] * time) for name in held),
                np.zeros(8_000),
            )
            sound = 0.05 * sound + 0.05 * noise.standard_normal(8_000)
            soundfile.write(folder / f"{caller}-{n}.wav", sound, 16_000)
            rest = [
                name for name in LABELS if name not in tones and noise.random() < 0.3
            ]
            lines.append(
                f"{caller}-{n}.wav,{'|'.join([*held, *rest])},{PLANTED}-{caller}"
            )
    (folder / "calls.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        "hotline-fine",
        "--data",
        f"hotline-fine={folder / 'calls.csv'}",
    ]
    command += [
        "--results",
        str(folder / "results"),
        "--folds",
        "2",
        "--set",
        "epochs=10",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_BENCH_HOME", str(folder / "home"))
        patch.setattr(sys, "argv", ["bench", *command])
        with pytest.raises(SystemExit) as end:
            app.main()
    assert not end.value.code
    return folder / "results"


def test_a_run_s_thresholds_are_stored_and_decide(recorded: Path) -> None:
    (record,) = open_store(None, recorded).records()
    found = [run.predictions() for run in record.runs if run.predictions]
    assert len(found) == 2
    for predictions in found:
        assert predictions.thresholds is not None
        assert (predictions.thresholds == predictions.thresholds[0]).all()
        assert (
            decisions(predictions)
            == (predictions.probabilities >= predictions.thresholds)
        ).all()
        assert (predictions.thresholds != THRESHOLD).any()
    assert len({tuple(p.thresholds[0]) for p in found if p.thresholds is not None}) > 1
    assert {
        "F1 micro",
        "F1 macro",
        "F1 weighted",
        *(f"F1 ({name})" for name in LABELS),
    } <= set(scores(found[0]))


def test_the_table_says_where_thresholds_come_from_and_shows_micro_f1(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for format_ in ("text", "json"):
        monkeypatch.setattr(
            sys,
            "argv",
            ["bench", "table", "--results", str(recorded), "--format", format_],
        )
        with pytest.raises(SystemExit):
            app.main()
    told = capsys.readouterr().out
    text, _, rows = told.partition("\n[\n")
    assert CHOSEN in " ".join(text.split())
    assert "F1 micro" in text
    assert PLANTED not in told
    measured, published = json.loads("[\n" + rows)
    assert measured["F1_fear"] > 0.5
    assert published["F1_weighted"] == 0.4174
