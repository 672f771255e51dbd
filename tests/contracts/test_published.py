"""Published figures: every task's file by the rules, and what a broken file is told."""

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from bench import registry
from bench.contracts.published import UNCHECKED, read
from bench.contracts.task import Published
from bench.errors import UsageError
from bench.registry import entries
from bench.testing import SCORE_NAMES
from tests.helpers import ROOT

FILES = sorted((ROOT / "tasks" / "published").glob("*.toml"))
PLAIN = """
[sources]
wang = "Wang 2025"

[test_parts.wang]
clips = 10
classes = { sad = 4, angry = 6 }

[[tables]]
source = "wang"
where = "Table VI"
protocol = "published"
test_part = "wang"
columns = { Acc = "WA", UA = "" }
rows = [{ system = "fusion", printed = { Acc = "73.30", UA = "73.30" } }]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def is_score(name: str) -> bool:
    """A score of ours: of all classes, or of one."""
    return name in SCORE_NAMES or name.startswith(("F1 (", "recall (", "precision ("))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_task_s_file_keeps_the_rules(path: Path) -> None:
    task = registry.tasks([path.stem])[0]
    rows = read(path).rows
    assert task.published == rows
    for row in rows:
        assert row.figures, f"{row.system} has no figures"
        for figure in row.figures:
            unit = 1 if figure.text.startswith("0.") else 100
            assert figure.value == float(Decimal(figure.text) / unit), figure
            assert not figure.score or is_score(figure.score), figure
        if row.test_part:
            classes = row.test_part.classes
            assert not classes or set(classes) == set(task.labels)
            assert sum(classes.values()) in (0, row.test_part.clips)


def test_every_file_belongs_to_a_task() -> None:
    assert FILES
    assert {path.stem for path in FILES} <= set(entries("task"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_source_and_test_part_of_a_file_is_used(path: Path) -> None:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    tables = content["tables"]
    assert {table["source"] for table in tables} == set(content["sources"])
    named = {table["test_part"] for table in tables if "test_part" in table}
    assert named == set(content.get("test_parts", {}))


def test_a_figure_keeps_its_text_and_both_names(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, PLAIN)).rows
    assert isinstance(row, Published)
    assert row.scores == {"WA": 0.733}
    assert [(f.column, f.text, f.value, f.score) for f in row.figures] == [
        ("Acc", "73.30", 0.733, "WA"),
        ("UA", "73.30", 0.733, ""),
    ]
    assert (row.source, row.note) == ("Wang 2025, Table VI", "")
    assert row.test_part
    assert row.test_part.classes == {"sad": 4, "angry": 6}


def test_what_was_not_checked_says_so(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, PLAIN + "checked = false\n")).rows
    assert row.note == UNCHECKED
    (row,) = read(
        written(tmp_path, PLAIN + 'checked = false\nnote = "of one run"\n')
    ).rows
    assert row.note == f"of one run; {UNCHECKED}"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "clips = 10",
            "clips = 11",
            r"classes add up to 10, not 11 \(.*, test_parts\.wang\)",
        ),
        ("sad = 4", "sad = 4.5", r"classes\.sad must be a whole number, not 4\.5 "),
        (
            'source = "wang"',
            'source = "wagn"',
            r"source 'wagn' is unknown \(did you mean wang\?\)",
        ),
        (
            'test_part = "wang"',
            'test_part = "x"',
            "test_part 'x' is unknown; available: wang",
        ),
        (
            'Acc = "73.30"',
            "Acc = 73.30",
            r"printed\.Acc must be the printed text, .* not 73\.3 ",
        ),
        (
            'Acc = "73.30"',
            'Acc = "7e3"',
            r"printed\.Acc must be a number from 0 to 100, not '7e3'",
        ),
        ('Acc = "73.30"', 'Acc = "high"', r"table 1, row 1\)$"),
        (
            'Acc = "73.30"',
            'WA = "73.30"',
            r"printed\.WA 'WA' is unknown.*; available: Acc, UA ",
        ),
        ('UA = "" }', 'UA = "WA" }', r"printed gives one score twice"),
        ('system = "fusion"', 'sytem = "fusion"', r"sytem \(did you mean system\?\)"),
        ('system = "fusion"', 'note = "x"', r"system must be given "),
        (
            'protocol = "published"',
            "",
            r"protocol must be given \(.*mine\.toml, table 1\)",
        ),
        ("[[tables]]", "[[table]]", r"table \(did you mean tables\?\)"),
        ("[sources]", "[sources", "is not valid TOML"),
    ],
)
def test_a_broken_file_is_one_sentence_naming_file_and_key(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = written(tmp_path, PLAIN.replace(old, new, 1))
    with pytest.raises(UsageError, match=told) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
