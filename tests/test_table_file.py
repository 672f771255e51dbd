"""Tables as files."""

from pathlib import Path

import pytest

from bench import table_file
from bench.errors import BenchError


def test_csv_keeps_digits_and_no_formula() -> None:
    text = table_file.text(["=clip", "p"], [["@SUM(A1)", 0.1 + 0.2], ["a,b", None]])
    assert text == "'=clip,p\n'@SUM(A1),0.30000000000000004\n\"a,b\",\n"


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(
        BenchError, match=r"taken\.csv cannot be written: Is a directory"
    ):
        table_file.write(tmp_path / "taken.csv", ["a"], [])
    with pytest.raises(BenchError, match=r"no folder .*absent"):
        table_file.write(tmp_path / "absent" / "x.csv", ["a"], [])


def test_every_csv_of_ours_neutralises_formulas() -> None:
    from bench.runs.inference import Found, Row, table
    from bench.tables.formats import as_csv

    evil = "=HYPERLINK(1)"
    assert as_csv([{"name": evil, "value": -0.5}]).splitlines()[1] == f"'{evil},-0.5"
    row = Row(Path("@x.wav"), 0.0, 1.0, (0.25, 0.75))
    lines = table(Found((evil, "+b"), False, (row,), ()), "csv").splitlines()
    assert lines[0] == f"file,start,end,predicted,'{evil},'+b"
    assert lines[1] == "'@x.wav,0.0,1.0,'+b,0.25,0.75"
