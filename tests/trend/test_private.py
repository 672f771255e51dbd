"""Private calls stay private."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from bench.cli import app
from bench.data.privacy import pseudonym
from bench.trend.analysis import ALL, analyse
from tests.helpers import open_store, write_tones
from tests.trend.examples import EXAMPLE, Bench, printed, write

PLANTED = (
    "zhang-wei",
    "ward7",
    "verzweifelt",
    "ruhig",
    "sitzung",
    "klinik",
    "suizid",
    "4711",
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Path:
    """A folder with calls in which every name is planted, and a run on their private manifest."""
    folder = tmp_path_factory.mktemp("private") / "klinik"
    tones = write_tones(folder / "sitzung")
    names = {"low": "ruhig", "high": "verzweifelt"}
    clips = [
        p for p in sorted(tones.glob("*.wav")) if p.stem.partition("_")[0] in names
    ]
    rows, calls, places = [], [], dict.fromkeys("abcdef", 0)
    for path in clips:
        label, speaker, number = path.stem.split("_")
        renamed = path.rename(
            path.with_name(f"zhang-wei_{label}_{speaker}_{number}.wav")
        )
        rows.append([f"sitzung/{renamed.name}", names[label], f"zhang-wei-{speaker}"])
        group = "suizid" if speaker in "abc" else "suizid-nein"
        calls.append(
            [
                f"ward7-{speaker}",
                f"./sitzung/{renamed.name}",
                places[speaker],
                group,
                f"4711.{ord(speaker)}",
            ]
        )
        places[speaker] += 60
    write(folder / "m.csv", "path,label,speaker", rows)
    (folder / "m.toml").write_text(
        'private = true\npositive = "verzweifelt"\n', encoding="utf-8"
    )
    write(folder / "calls.csv", "call,segment,start,group,scale", calls)
    results = shutil.copytree(new_store, folder / "results")
    command = [
        "bench",
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        folder / "m.csv",
        "--set",
        "epochs=3",
        "--results",
        results,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_BENCH_HOME", str(folder / "home"))
        patch.setattr(sys, "argv", [*map(str, command)])
        with pytest.raises(SystemExit) as done:
            app.main()
    assert not done.value.code
    return folder


@pytest.fixture
def private(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The arguments of a trend of private calls."""
    monkeypatch.setenv("SER_BENCH_HOME", str(recorded / "home"))
    task = open_store(None, recorded / "results").records()[0].task
    return [
        f"mfcc-stats@{task}",
        "--calls",
        recorded / "calls.csv",
        "--results",
        recorded / "results",
    ]


def leaks(text: str) -> list[str]:
    return [name for name in PLANTED if name in text.lower()]


def test_private_calls_are_found_and_leave_no_name(
    private: list[object],
    bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    extra = ["--figure", "f.svg", "--segments", "s.csv"]
    assert (
        bench(
            "trend",
            *private,
            *extra,
            "--show-calls",
            "ward7-a,ward7-e",
            "--format",
            "json",
        )
        == 0
    )
    said = capsys.readouterr()
    written = [
        (tmp_path / name).read_text(encoding="utf-8") for name in ("f.svg", "s.csv")
    ]
    assert leaks("".join([said.out, said.err, *written])) == []
    found = json.loads(said.out)
    secret = pseudonym("ward7-a", "call")
    assert secret in written[0]
    assert found["calls"][0]["call"] == secret
    assert found["calls"][0]["group"] == "group 1"
    assert [len(c["segments"]) for c in found["calls"]] == [4] * 6
    assert found["correlations"]  # the scores count, in aggregate alone
    assert not any("scale" in call for call in found["calls"])
    for format in ("text", "csv", "html"):
        assert bench("trend", *private, "--format", format) == 0
        assert leaks(capsys.readouterr().out) == []


def test_errors_about_private_calls_name_rows_alone(
    private: list[object], bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(str(private[2]))
    good = path.read_text(encoding="utf-8")
    header, first, *_ = good.splitlines()
    capsys.readouterr()
    unknown = "ward7-z,sitzung/zhang-wei_none.wav"
    strange = first.replace("zhang-wei", "zhang-wei-wei")
    again = first.replace("ward7-", "ward7-z")
    broken = {
        f"{good}{unknown},0,suizid,4711\n": "have no prediction in",
        f"{good}{unknown},klinik,suizid,4711\n": "row 26: start is not a number of seconds",
        f"{header}\n{strange}\n": "as its manifest does, on the machine whose key",
        f"{good}{again}\n": "row 26: the same segment as row",
    }
    for text, expected in broken.items():
        path.write_text(text, encoding="utf-8")
        assert bench("trend", *private) == 1
        said = capsys.readouterr().err
        assert expected in said
        assert leaks(said) == []
    path.write_text(good, encoding="utf-8")
    assert (
        bench("trend", *private, "--figure", "f.svg", "--show-calls", "zhang-wei") == 2
    )
    said = capsys.readouterr().err
    assert "--show-calls names 1 that are not among the calls analysed" in said
    assert leaks(said) == []


def test_private_probabilities_are_shown_under_pseudonyms(
    bench: Bench, example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(bench, capsys, "--probabilities", example, "--private")
    assert [c["call"] for c in found["calls"]] == [
        pseudonym(name, "call") for name in EXAMPLE
    ]
    assert {c["group"] for c in found["calls"]} == {"group 1", "group 2"}
    assert "scale" not in found["calls"][0]
    assert {r["group"] for r in found["correlations"]} == {ALL}
    assert '"a1-0"' not in json.dumps(found)


def test_nothing_to_analyse_is_an_error() -> None:
    with pytest.raises(ValueError, match="no calls"):
        analyse([])
