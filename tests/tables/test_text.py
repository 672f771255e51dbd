"""Text: aligned, and as wide as the terminal."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.runs.records import PairingRecord
from bench.tables.collect import rows
from bench.tables.formats import render
from bench.terminal import display_width
from tests.tables.pairings import FIGURES, SMALL, pairing, perfect, run


def test_golden_text() -> None:
    golden = Path(__file__).with_name("golden.txt").read_text(encoding="utf-8")
    assert render(rows(SMALL, {"calls": FIGURES}), width=120) + "\n" == golden


LONG = replace(
    SMALL[0],
    backbone="whisper-large-v3-turbo:released",
    settings={"learning_rate": "0.001" * 9},
)
MIXED = [  # everything that may differ between rows, with long names
    *SMALL,
    LONG,
    replace(LONG, backbone="情感识别" * 9),
    pairing("feature-fusion:released", settings={"learning_rate": "0.0003"}),
    pairing("tuned", perfect(), recipe="tuned (9 trials)", notes=("by 9 trials",)),
    pairing(
        "tuned", [run("a"), run("b")], mode="finetune", scale="tiny", weights="random"
    ),
]
WIDTHS = (80, 100, 120, 140, 200)


def table_lines(text: str) -> list[str]:
    """The lines of the first table's body."""
    _, _, below = text.partition("\n--------")
    body, _, _ = below.partition("\n\n")
    return body.splitlines()[1:]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "records", [SMALL, [*SMALL, LONG], MIXED], ids=["small", "long", "mixed"]
)
def test_text_fits_a_terminal(records: list[PairingRecord], width: int) -> None:
    found = rows(records, {"calls": FIGURES})
    text = render(found, width=width)
    assert max(map(display_width, text.splitlines())) <= width
    assert len(table_lines(text)) == len(
        [row for row in found if row.protocol == "speaker"]
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_shows_the_name_ua_with_its_interval_wa_and_f1(width: int) -> None:
    text = render(rows(MIXED, {}), width=width)
    head, _, _ = text.partition("\n--------")
    header = head.splitlines()[-1].split()
    assert header[:6] == ["backbone", "UA", "[95", "%]", "WA", "F1"]
    assert any("73.3  [16.5, 97.5]" in line for line in table_lines(text))


def test_the_least_needed_columns_are_left_out_first_and_are_named() -> None:
    wide = render(rows(SMALL, {}), width=200)
    assert "not shown" not in wide
    assert "by fold: UA, mean" in wide
    narrow = render(rows(SMALL, {"calls": FIGURES}), width=140)
    assert "not shown at this width: by fold, params\n" in narrow
    assert "by fold: UA, mean" not in narrow
    assert "train time" in narrow


def test_a_long_name_is_cut_and_a_footnote_gives_it_in_full() -> None:
    label = "feature-fusion:released [learning_rate=0.0003]"
    records = [pairing("feature-fusion:released", settings={"learning_rate": "0.0003"})]
    narrow = render(rows(records, {}), width=80)
    assert table_lines(narrow)[0].startswith(
        "feature-fusion:released [learnin… [1]  73.3 [16.5, "
    )
    assert narrow.endswith(f"[1] in full: {label}")
    assert label in table_lines(render(rows(records, {}), width=140))[0]


def test_text_aligns_wide_characters() -> None:
    lines = render(rows([pairing("情感"), pairing("hubert")], {}), "text").splitlines()
    chinese, latin = (
        next(line for line in lines if line.startswith(name))
        for name in ("情感", "hubert")
    )
    assert chinese.index("73.3") == latin.index("73.3") - 2
