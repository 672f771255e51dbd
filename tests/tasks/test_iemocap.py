"""IEMOCAP, in a tree of the official layout that the tests make."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from bench import registry
from bench.contracts.clip import Clip
from bench.contracts.task import Fold, Task
from bench.errors import CorpusError
from bench.splits.leakage import check

FOLDS = (1085, 1023, 1151, 1031, 1241)  # clips of the four classes in each session
COUNTS = {"neu": 1708, "ang": 1103, "sad": 1084, "exc": 1041, "hap": 595}
IMPROVISED = {"neu": 1099, "ang": 289, "sad": 608, "exc": 663, "hap": 284}
RATERS = {
    "neu": "Neutral",
    "ang": "Anger",
    "sad": "Sadness",
    "exc": "Excited",
    "hap": "Happiness",
    "fru": "Frustration",
}
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"


def task(variant: str = "") -> Task:
    return registry.tasks([f"iemocap:{variant}" if variant else "iemocap"])[0]


def turn(name: str, emotion: str, start: float, seconds: float) -> str:
    """A turn as a table has it, with three annotators, of whom two agree, and the speaker's own
    word.
    """
    said = RATERS.get(emotion, "Other")
    lines = [
        f"[{start:.4f} - {start + seconds:.4f}]\t{name}\t{emotion}\t[2.5000, 2.5000, 2.5000]"
    ]
    lines += [
        f"C-E1:\t{said}; Surprise;\t()",
        f"C-E2:\t{said};\t()",
        "C-E4:\tOther;\t(curious)",
        f"C-F1:\t{said};\t()",
    ]
    return (
        "\n".join(
            [
                *lines,
                "A-E3:\tval 3; act 2; dom  2;\t()",
                "A-F1:\tval 3; act 2; dom  1;\t()",
            ]
        )
        + "\n"
    )


def write(
    root: Path, session: int, dialogue: str, turns: list[tuple[str, str, float]]
) -> None:
    """One dialogue: (F000 or M000, emotion, seconds) for each turn. Empty WAV files; reading labels
    needs no audio.
    """
    tables = root / f"Session{session}" / "dialog" / "EmoEvaluation"
    waves = root / f"Session{session}" / "sentences" / "wav" / dialogue
    (tables / "Categorical").mkdir(parents=True, exist_ok=True)
    waves.mkdir(parents=True, exist_ok=True)
    text, start = [HEADER, ""], 6.29
    for who, emotion, seconds in turns:
        text.append(turn(f"{dialogue}_{who}", emotion, start, seconds))
        (waves / f"{dialogue}_{who}.wav").touch()
        start += seconds + 0.5
    (tables / f"{dialogue}.txt").write_text("\n".join(text), encoding="utf-8")
    (tables / f"._{dialogue}.txt").write_bytes(
        b"\x00\x05\x16\x07"
    )  # some systems leave these beside every file
    (tables / "Categorical" / f"{dialogue}_e2_cat.txt").write_text(
        f"{dialogue}_F000 :Anger; ()\n", encoding="utf-8"
    )


def full(root: Path) -> Path:
    """All 5,531 clips: the counts of every session and emotion, both kinds of dialogue, both
    speakers.
    """
    pool = [
        (code, "impro01" if n < IMPROVISED[code] else "script01_1b")
        for code, count in COUNTS.items()
        for n in range(count)
    ]
    pool = [
        pool[i * 2003 % len(pool)] for i in range(len(pool))
    ]  # 2003 is a prime: every clip once, emotions mixed
    for session, size in enumerate(FOLDS, start=1):
        mine = [pool.pop() for _ in range(size)]
        for who, kind in (("F", "impro01"), ("M", "script01_1b")):
            dialogue = f"Ses0{session}{who}_{kind}"
            codes = [code for code, said in mine if said == kind]
            turns = [
                (f"{'FM'[n % 2]}{n:03}", code, 1.5 + n % 10 / 10)
                for n, code in enumerate(codes)
            ]
            write(
                root,
                session,
                dialogue,
                [*turns, ("F998", "fru", 3.0), ("MXX0", "xxx", 3.0)],
            )
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full(tmp_path_factory.mktemp("iemocap") / "IEMOCAP_full_release")


def folds(which: Task, protocol: str, clips: list[Clip]) -> list[Fold]:
    return list(
        which.protocols()[protocol].split(clips, {clip.id: clip.id for clip in clips})
    )


def test_all_of_it_from_either_folder(root: Path) -> None:
    iemocap = task()
    clips = iemocap.clips(root)
    assert iemocap.clips(root.parent) == clips
    assert iemocap.notes == ()
    assert len(clips) == 5531
    assert Counter(c.labels[0] for c in clips) == {
        "neutral": 1708,
        "angry": 1103,
        "sad": 1084,
        "happy": 1636,
    }
    assert Counter(c.meta["emotion"] for c in clips) == COUNTS
    assert {c.speaker for c in clips} == {
        f"Ses0{n}{who}" for n in range(1, 6) for who in "FM"
    }


def test_a_turn_tells_its_speaker_kind_length_and_agreement(tmp_path: Path) -> None:
    for session in range(1, 6):
        write(tmp_path, session, f"Ses0{session}F_impro05a", [("M012", "exc", 2.25)])
    clip = task().clips(tmp_path)[1]
    assert (clip.id, clip.labels, clip.speaker) == (
        "Ses02F_impro05a_M012",
        ("happy",),
        "Ses02M",
    )
    assert (
        clip.audio.path
        == tmp_path / "Session2/sentences/wav/Ses02F_impro05a/Ses02F_impro05a_M012.wav"
    )
    assert dict(clip.meta) == {
        "session": "2", "kind": "improvised", "emotion": "exc", "gender": "male", "seconds": "2.2500",  # noqa: E501 - a table, or code, of one line each
        "agreement": "2 of 3",
    }  # fmt: skip


def test_sessions_are_left_out_in_turn(root: Path) -> None:
    iemocap = task()
    clips = iemocap.clips(root)
    divided = folds(iemocap, iemocap.default_protocol, clips)
    session = {clip.id: clip.meta["session"] for clip in clips}
    assert tuple(len(fold.test) for fold in divided) == FOLDS
    assert [{session[c] for c in fold.test} for fold in divided] == [
        {str(n)} for n in range(1, 6)
    ]
    assert (
        check(
            divided,
            clips,
            iemocap.protocols()["session"],
            {clip.id: clip.id for clip in clips},
        )
        == ()
    )


@pytest.mark.parametrize(
    ("variant", "kinds", "emotions"),
    [
        ("improvised", {"improvised"}, set(COUNTS)),
        ("excited-only", {"improvised", "scripted"}, set(COUNTS) - {"hap"}),
        ("improvised-excited-only", {"improvised"}, set(COUNTS) - {"hap"}),
    ],
)
def test_variants_leave_out_what_they_say(
    root: Path, variant: str, kinds: set[str], emotions: set[str]
) -> None:
    iemocap = task(variant)
    clips = iemocap.clips(root)
    assert {clip.meta["kind"] for clip in clips} == kinds
    assert {clip.meta["emotion"] for clip in clips} == emotions
    assert iemocap.notes == ()
    assert {clip.labels[0] for clip in clips} == set(iemocap.labels)
    assert len(folds(iemocap, "session", clips)) == 5


@pytest.mark.parametrize(
    ("variant", "clips", "happy"),
    [
        ("", 5531, 1636),
        ("excited-only", 4936, 1041),
        ("improvised", 2943, 947),
        ("improvised-excited-only", 2659, 663),
    ],
)
def test_every_variant_expects_what_is_left(
    variant: str, clips: int, happy: int
) -> None:
    expected = task(variant).expected
    assert expected
    assert (expected.clips, expected.labels["happy"]) == (clips, happy)


def test_the_tables_say_how_long_the_clips_last(root: Path) -> None:
    iemocap = task("improvised")
    clips = iemocap.clips(root)
    assert iemocap.expected
    assert iemocap.expected.hours
    seconds = sum(float(clip.meta["seconds"]) for clip in clips)
    assert iemocap.expected.hours * 3600 == pytest.approx(seconds)


@pytest.mark.parametrize("variant", ["", "improvised", "improvised-excited-only"])
def test_an_emptied_table_is_noticed(tmp_path: Path, variant: str) -> None:
    """As when a disk was full while the corpus was copied."""
    for session in range(1, 6):
        for dialogue in ("impro01", "impro02"):
            turns = [(f"F{n:03}", "neu", 2.0) for n in range(5)]
            write(tmp_path, session, f"Ses0{session}F_{dialogue}", turns)
    emptied = tmp_path / "Session2/dialog/EmoEvaluation/Ses02F_impro02.txt"
    emptied.write_bytes(b"")
    iemocap = task(variant)
    assert len(iemocap.clips(tmp_path)) == 45
    incomplete, left_out = iemocap.notes
    assert incomplete.startswith("not the complete corpus: 45 clips instead of ")
    assert left_out == (
        "1 places in the tables cannot be read: Ses02F_impro02.txt (no turn)"
    )


def test_every_line_that_cannot_be_read_is_counted(root: Path, tmp_path: Path) -> None:
    tables_alone = shutil.ignore_patterns("*.wav")
    copy = shutil.copytree(root, tmp_path / "copy", ignore=tables_alone)
    table = copy / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    lines = table.read_text(encoding="utf-8").splitlines()
    turns = [number for number, line in enumerate(lines) if line.startswith("[")]
    first, second, third = turns[0], turns[4], turns[8]
    lines[first] = lines[first][1:]
    lines[second] = f" {lines[second]}"
    lines[third] = f"\0{lines[third]}"
    table.write_text("\n".join(lines), encoding="utf-8")
    iemocap = task("improvised")
    clips = iemocap.clips(copy)
    assert len(clips) == 2943 - 3
    assert "2,940 clips instead of 2,943" in iemocap.notes[0]
    assert iemocap.notes[1].startswith(  # with what six annotators said of each
        f"21 places in the tables cannot be read: Ses01F_impro01.txt:{first + 1}, "
    )
    whole = {clip.id: clip.meta for clip in task("improvised").clips(root)}
    assert all(clip.meta == whole[clip.id] for clip in clips)


def test_folders_in_other_cases_are_found(tmp_path: Path) -> None:
    """As copies that went through other systems have them."""
    for session in range(1, 6):
        write(tmp_path, session, f"Ses0{session}F_impro01", [("F000", "neu", 2.0)])
        folder = (tmp_path / f"Session{session}").rename(tmp_path / f"SESSION{session}")
        (folder / "dialog").rename(folder / "Dialog")
        (folder / "sentences" / "wav").rename(folder / "sentences" / "WAV")
    clips = task().clips(tmp_path)
    assert len(clips) == 5
    assert all(clip.audio.path and clip.audio.path.is_file() for clip in clips)


@pytest.mark.parametrize("seconds", ["1.6", "1.8", "2.0", "2.2"])
def test_the_published_subset_shrinks_as_segments_grow(
    root: Path, seconds: str
) -> None:
    iemocap = task()
    clips = iemocap.clips(root)
    name = "published" if seconds == "2.0" else f"published-{seconds}"
    (fold,) = folds(iemocap, name, clips)
    by_id = {clip.id: clip for clip in clips}
    used = [by_id[c] for c in (*fold.train, *fold.valid, *fold.test)]
    wanted = [
        c for c in clips
        if c.meta["kind"] == "improvised" and c.meta["emotion"] != "hap" and float(c.meta["seconds"]) >= float(seconds)  # noqa: E501 - a table, or code, of one line each
    ]  # fmt: skip
    assert {clip.id for clip in used} == {clip.id for clip in wanted}
    assert min(float(clip.meta["seconds"]) for clip in used) == float(seconds)
    assert len(fold.test) == -(-len(wanted) // 5)
    notes = iemocap.protocols()[name].notes
    assert "the evaluation set changes with the length of the segments" in notes[0]
    found = check(
        [fold], clips, iemocap.protocols()[name], {clip.id: clip.id for clip in clips}
    )
    assert any("not speaker-disjoint: all" in note for note in found)


@pytest.mark.parametrize(
    ("seconds", "test"), [("1.6", 471), ("1.8", 448), ("2.0", 424), ("2.2", 400)]
)
def test_the_published_sizes_are_the_paper_s(seconds: str, test: int) -> None:
    from tasks.iemocap import SEGMENTS

    assert -(-SEGMENTS[seconds] // 5) == test
    iemocap = task()
    name = "published" if seconds == "2.0" else f"published-{seconds}"
    figures = [f for f in iemocap.published if f.protocol == name]
    for figure in figures:
        hits = round(figure.scores["WA"] * test)
        assert abs(hits / test - figure.scores["WA"]) < 1e-4, figure


def test_what_is_missing_or_odd_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"ask for it at https://sail\.usc\.edu/iemocap/, unpack"
    ):
        task().clips(None)
    for session in (1, 2, 4, 5):
        write(tmp_path, session, f"Ses0{session}F_impro01", [("F000", "neu", 2.0)])
    with pytest.raises(CorpusError, match="has no Session3/dialog/EmoEvaluation"):
        task().clips(tmp_path)
    write(tmp_path, 3, "Ses03F_impro01", [("F000", "neu", 2.0), ("F001", "joy", 2.0)])
    with pytest.raises(
        CorpusError,
        match=r"1 turns cannot be used: Ses03F_impro01\.txt: .*Ses03F_impro01_F001",
    ):
        task().clips(tmp_path)
    write(tmp_path, 3, "Ses03F_impro01", [("F000", "neu", 2.0)])
    iemocap = task()
    assert len(iemocap.clips(tmp_path)) == 5
    assert "not the complete corpus: 5 clips instead of 5,531" in iemocap.notes[0]


def test_a_missing_recording_is_named_before_any_run(tmp_path: Path) -> None:
    from bench.data.cache import Cache
    from bench.data.corpus import load

    for session in range(1, 6):
        write(tmp_path, session, f"Ses0{session}F_impro01", [("F000", "neu", 2.0)])
    (
        tmp_path / "Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01_F000.wav"
    ).unlink()
    with pytest.raises(
        CorpusError, match=r"5 of 5 clips cannot be used.*Ses02F_impro01_F000"
    ):
        load(task(), tmp_path, Cache(tmp_path / "cache"))
