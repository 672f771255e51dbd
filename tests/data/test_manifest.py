"""A manifest: a task made of a table. Mistakes are named by row, those of a private one hidden."""

import re
from pathlib import Path

import pytest

from bench import registry
from bench.data.cache import Cache
from bench.data.corpus import load
from bench.data.corpus_card import card
from bench.data.manifest import ManifestTask
from bench.errors import BenchError, CorpusError, UsageError
from bench.runs.division import divide
from tests.helpers import write_tones


def write(
    folder: Path, text: str, companion: str = "", name: str = "calls.csv"
) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    if companion:
        path.with_suffix(".toml").write_text(companion, encoding="utf-8")
    return path


def table(
    speakers: int = 6,
    columns: str = "path,label,speaker",
    row: str = "wav/{s}{n}.wav,{label},{s}",
) -> str:
    rows = [
        row.format(s=f"s{s}", n=n, label=("yes", "no")[n % 2])
        for s in range(speakers)
        for n in range(4)
    ]
    return "\n".join([columns, *rows]) + "\n"


def test_a_manifest_is_a_task(tmp_path: Path) -> None:
    (task,) = registry.tasks([str(write(tmp_path, table()))])
    assert (task.name, task.labels, task.languages, task.positive, task.private) == (
        "calls", ("no", "yes"), (), None, False
    )  # fmt: skip
    clips = task.clips(None)
    assert len(clips) == 24
    assert (clips[0].id, clips[0].labels, clips[0].speaker) == (
        "wav/s00.wav",
        ("yes",),
        "s0",
    )
    assert clips[0].audio.path == tmp_path / "wav/s00.wav"
    assert clips[0].where == "row 2 of the manifest (wav/s00.wav)"


def test_columns_may_be_in_any_order_and_separated_as_spreadsheets_do(
    tmp_path: Path,
) -> None:
    text = "\ufeffLabel;Room;Path;start;end;language\nyes;A;a b.wav;0.5;2;vi\n\nno;B;a b.wav;2;;VI\n"  # noqa: E501 - a table, or code, of one line each
    first, second = ManifestTask(write(tmp_path, text)).clips(None)
    assert (first.id, first.audio.start, first.audio.end) == ("a b.wav@0.5-2", 0.5, 2)
    assert (first.language, first.meta) == ("vi", {"room": "A"})
    assert (second.id, second.where) == (
        "a b.wav@2-",
        "row 4 of the manifest (a b.wav@2-)",
    )
    tabs = write(tmp_path, "path\tlabel\na,b.wav\tyes\nc.wav\tno\n", name="more.tsv")
    assert [clip.id for clip in ManifestTask(tabs).clips(None)] == ["a,b.wav", "c.wav"]


def test_the_companion_says_what_the_table_cannot(tmp_path: Path) -> None:
    companion = """
        name = "first-calls"
        labels = ["positive", "negative"]
        positive = "negative"
        language = "zh"
        protocol = "random"
        k = 3
        [map]
        yes = "positive"
        no = "negative"
    """
    task = ManifestTask(write(tmp_path, table(), companion))
    assert (task.name, task.labels, task.positive) == (
        "first-calls",
        ("positive", "negative"),
        "negative",
    )
    assert (task.languages, task.default_protocol) == (("zh",), "random")
    assert "3 folds of whole speakers" in task.protocols()["speaker"].summary
    assert task.clips(None)[0].labels == ("positive",)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (table(), ["speaker", "random"]),
        (table(2), ["random"]),
        (table(columns="path,label", row="{s}{n}.wav,{label}"), ["random"]),
        (
            table(columns="path,label,split", row="{s}{n}.wav,{label},{s}").replace(
                ",s0", ",test"
            ),
            None,
        ),
    ],
)
def test_protocols_follow_the_columns(
    tmp_path: Path, text: str, offered: list[str] | None
) -> None:
    if offered is None:
        text = re.sub(r",s\d$", ",train", text, flags=re.MULTILINE)
        offered = ["split", "random"]
    task = ManifestTask(write(tmp_path, text))
    assert list(task.protocols()) == offered
    assert task.default_protocol == offered[0]


def test_a_clip_has_several_labels_where_the_companion_says_so(tmp_path: Path) -> None:
    text = "path,label\na.wav,sad|afraid\nb.wav,sad\nc.wav,\nd.wav,afraid\n"
    with pytest.raises(CorpusError) as error:
        ManifestTask(write(tmp_path, text))
    assert (
        "has 1 rows with several labels, among them row 2 (sad|afraid): "
        "say `multilabel = true` in its companion (calls.toml)"
    ) in str(error.value)
    task = ManifestTask(write(tmp_path, text, "multilabel = true"))
    assert task.multilabel
    assert [clip.labels for clip in task.clips(None)] == [
        ("sad", "afraid"),
        ("sad",),
        (),
        ("afraid",),
    ]


MISTAKES = {
    "no header": ("a.wav,yes\nb.wav,no\n", "has no column path and no column label"),
    "nothing": ("", "has no column path"),
    "no rows": ("path,label\n", "has no rows"),
    "no path": ("path,label\na.wav,yes\n,no\n", "row 3: no path"),
    "cells": ("path,label\na.wav,yes\nb.wav,no,what\n", "row 3: 3 cells where the header has 2"),
    "number": ("path,label,start\na.wav,yes,1\nb.wav,no,\"1,5\"\n", "row 3: start is not a number of seconds (1,5)"),  # noqa: E501 - a table, or code, of one line each
    "negative": ("path,label,start\na.wav,yes,-1\nb.wav,no,nan\n", "row 2: start is not a number of seconds (-1); row 3"),  # noqa: E501 - a table, or code, of one line each
    "backwards": ("path,label,start,end\na.wav,yes,2,1\nb.wav,no,0,1\n", "row 2: end is not after start"),  # noqa: E501 - a table, or code, of one line each
    "split": ("path,label,split\na.wav,yes,tran\nb.wav,no,test\n", "split is not train, valid or test (tran)"),  # noqa: E501 - a table, or code, of one line each
    "twice": ("path,label\na.wav,yes\nb.wav,no\n./a.wav,no\n", "row 4: the same recording as row 2"),  # noqa: E501 - a table, or code, of one line each
    "half": ("path,label,speaker\na.wav,yes,x\nb.wav,no,\n", "row 3: no speaker, which other rows have (1 such rows"),  # noqa: E501 - a table, or code, of one line each
    "nan": ("path,label,speaker\na.wav,yes,x\nb.wav,no,NaN\n", "row 3: no speaker, which other rows have (1 such rows; nan"),  # noqa: E501 - a table, or code, of one line each
    "label": ("path,label\na.wav,nan\nb.wav,no\nc.wav,nan\n", "row 2: its label is nan (2 such rows; if it is a class"),  # noqa: E501 - a table, or code, of one line each
    "nul": ("path,label\na.wav,yes\nb\0.wav,no\n", "row 3: path contains a NUL character"),
    "zero": ("path,label,start\na.wav,yes,\na.wav,no,0.0\n", "row 3: the same recording as row 2"),
    "zero to end": ("path,label,start,end\na.wav,yes,,2\na.wav,no,0,2\n", "row 3: the same recording as row 2"),  # noqa: E501 - a table, or code, of one line each
    "language": ("path,label,language\na.wav,yes,english!\nb.wav,no,en\n", "language is not an ISO 639 code (english!)"),  # noqa: E501 - a table, or code, of one line each
    "one label": ("path,label\na.wav,yes\nb.wav,yes\n", "a task needs two labels or more"),
    "reserved": ("path,label\na.wav,truth\nb.wav,no\n", "no label may be called truth"),
    "threshold": ("path,label\na.wav,threshold of x\nb.wav,x\n", "may be called threshold of x"),
    "long": (f"path,label\na.wav,{'y' * 300}\nb.wav,no\n", "may be longer than 200 characters"),
    "signs": (f"path,label\na.wav,{'/' * 41}\nb.wav,no\n", "a sign that is neither a letter"),
    "columns": ("path,label,label\na.wav,yes,no\n", "has two columns called label"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_row(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(CorpusError, match=re.escape(message)) as error:
        ManifestTask(path)
    assert str(path) in str(error.value)


def test_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_bytes(
        "path,label\nGespräch.wav,yes\n".encode("latin-1")
    )
    with pytest.raises(CorpusError, match="is not in UTF-8: save it in that encoding"):
        ManifestTask(tmp_path / "calls.csv")


COMPANIONS = {
    "key": ('labls = ["yes", "no"]', "unknown option labls (did you mean labels?)"),
    "toml": ("labels = [", "the manifest's companion is not valid TOML"),
    "positive": (
        'positive = "maybe"',
        "names a positive class that is not among the labels",
    ),
    "protocol": (
        'protocol = "speakers"',
        "asks for the protocol speakers (did you mean speaker?); available: speaker",
    ),
    "folds": ("k = 1", "k must be at least 2"),
    "many folds": ("k = 1000000000", "k must be at most 1000"),
    "deep": (f"k = {'[' * 5000}{']' * 5000}", "has more than 16 tables or lists"),
    "empty": ('labels = ["yes", ""]', "labels must not be empty"),
    "NUL": ('name = "a\\u0000b"', "name must not contain NUL"),
    "name": ('name = "visec"', "would be called visec, which is another task"),
}


@pytest.mark.parametrize(("companion", "message"), COMPANIONS.values(), ids=COMPANIONS)
def test_a_mistake_in_the_companion_is_named(
    tmp_path: Path, companion: str, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        ManifestTask(write(tmp_path, table(), companion), taken_names=["visec"])


def test_a_label_outside_the_given_ones_is_named(tmp_path: Path) -> None:
    task = ManifestTask(write(tmp_path, table(), 'labels = ["yes", "never"]'))
    with pytest.raises(
        CorpusError,
        match=r"12 rows with an unknown label, among them row 3, 5.* \(no, no",
    ):
        task.clips(None)


SECRETS = ("secret", "Anna", "hopeless", "fine")


def private(
    folder: Path, text: str | None = None, companion: str = "private = true\n"
) -> Path:
    text = text or table().replace("wav/", "secret/").replace("s0", "Anna").replace(
        "yes", "hopeless"
    ).replace("no", "fine")
    return write(folder, text, companion, "secret-calls.csv")


def test_a_private_manifest_tells_nothing(tmp_path: Path) -> None:
    task = ManifestTask(private(tmp_path))
    assert task.labels == ("class 1", "class 2")
    assert re.fullmatch(r"private-[0-9a-f]{8}", task.name)
    assert ManifestTask(private(tmp_path)).name == task.name
    clips = task.clips(None)
    told = " ".join(f"{c.id} {c.labels} {c.speaker} {c.where} {c.meta}" for c in clips)
    assert not [
        word for word in SECRETS if word in told + task.name + str(task.protocols())
    ]
    assert len({clip.speaker for clip in clips}) == 6
    assert clips[0].audio.path == tmp_path / "secret/Anna0.wav"


def test_a_private_manifest_keeps_the_order_of_its_labels(tmp_path: Path) -> None:
    task = ManifestTask(
        private(
            tmp_path,
            companion='private = true\nlabels = ["hopeless", "fine"]\npositive = "fine"\n',
        )
    )
    assert task.positive == "class 2"
    assert task.clips(None)[0].labels == ("class 1",)


PRIVATE_MISTAKES = {
    "row": ("path,label,start\nsecret/a.wav,hopeless,Anna\n", "private = true"),
    "label": (
        "path,label\nsecret/a.wav,hopeless\nb.wav,fine\n",
        'private = true\nlabels = ["hopeless", "sad"]',
    ),
    "header": ("secret,hopeless\na,b\n", "private = true"),
    "key": ("path,label\na.wav,hopeless\n", 'private = true\nAnna = "secret"'),
    "unsure": ("path,label\na.wav,hopeless\n", 'private = "secret"'),
    "name": (
        "path,label\na.wav,hopeless\nb.wav,fine\n",
        'private = true\nname = "hotline"\n',
    ),
    "encoding": ("path,label\na.wav,\ud800\n", "private = true"),
    "several": ("path,label\na.wav,hopeless|fine\nb.wav,fine\n", "private = true"),
    "spelling": (
        "path,label,speaker\na.wav,hopeless,Anna\nb.wav,fine,anna\nc.wav,Fine,Bob\n",
        "private = true",
    ),
    "map": (
        "path,label\na.wav,Hopeless\nb.wav,fine\n",
        'private = true\nmap = { hopeless = "sad" }',
    ),
    "nul": ("path,label\nsecret\0.wav,hopeless\nb.wav,fine\n", "private = true"),
}


@pytest.mark.parametrize(
    ("text", "companion"), PRIVATE_MISTAKES.values(), ids=PRIVATE_MISTAKES
)
def test_a_mistake_in_a_private_manifest_quotes_nothing(
    tmp_path: Path, text: str, companion: str
) -> None:
    path = tmp_path / "secret-calls.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    path.with_suffix(".toml").write_text(companion)
    with pytest.raises(BenchError) as error:
        ManifestTask(path, taken_names=["hotline"]).clips(None)
    assert not [word for word in (*SECRETS, str(tmp_path)) if word in str(error.value)]
    assert "manifest" in str(error.value)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """A manifest of real clips by six speakers."""
    paths = sorted(write_tones(tmp_path / "wav", per_speaker=3).glob("*.wav"))
    rows = [
        f"wav/{path.name},{path.stem.split('_')[0]},{path.stem.split('_')[1]}"
        for path in paths
    ]
    return write(
        tmp_path, "\n".join(["path,label,speaker", *rows]), "k = 3", "tones.csv"
    )


@pytest.mark.parametrize("protocol", ["speaker", "random"])
def test_a_manifest_runs_through_to_checked_folds(
    tones: Path, tmp_path: Path, protocol: str
) -> None:
    task = ManifestTask(tones)
    corpus = load(task, None, Cache(tmp_path / "cache"))
    division = divide(task, corpus, protocol)
    assert sorted(clip for fold in division.folds for clip in fold.test) == sorted(
        corpus.by_id
    )
    assert any("not speaker-disjoint" in note for note in division.notes) == (
        protocol == "random"
    )


def test_a_missing_file_is_named_by_its_row_alone_where_private(
    tones: Path, tmp_path: Path
) -> None:
    tones.with_suffix(".toml").write_text("private = true\nk = 3\n")
    (tmp_path / "wav" / "high_a_0.wav").unlink()
    task = ManifestTask(tones)
    with pytest.raises(CorpusError) as error:
        load(task, None, Cache(tmp_path / "cache"))
    assert "row 2 of the manifest (missing file)" in str(error.value)
    assert "wav/" not in str(error.value)
    text = card(load(task, None, Cache(tmp_path / "cache"), skip_bad=True)).text()
    assert "1 clips (missing file)" in text
    assert not [
        word for word in ("high", "low", "wav/", "tones", str(tmp_path)) if word in text
    ]
