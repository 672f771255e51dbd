"""Tables: what records add up to, what a reader must be told, and every format safe with any text."""

import csv
import json
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contracts.task import Published
from bench.errors import BenchError
from bench.runs.records import PairingRecord, RunRecord
from bench.scoring.predictions import Predictions
from bench.tables.collect import rows
from bench.tables.formats import FORMATS, render
from bench.tables.layout import duration, percent, quantity
from bench.tables.row import Row

LABELS = ("negative", "non-negative")
FOLDS = {"a": ("nnpp", "nppp"), "b": ("nppp", "nnpp")}  # fold -> truth and prediction of each clip
EVIL = r"l|m & a_b < 50 % é *x* {y} $z$ ~ ^ # \end [1](u) `c` <script>"


def predictions(fold: str, truth: str, predicted: str) -> Predictions:
    chosen = np.array([[c == "n", c == "p"] for c in predicted])
    clips = tuple(f"{fold}{i}" for i in range(len(truth)))
    return Predictions(
        LABELS,
        clips,
        tuple(f"s{c}" for c in clips),
        np.array([[c == "n", c == "p"] for c in truth]),
        chosen * 1.0,
    )


def run(fold: str, answers: Sequence[str] = (), seed: int = 0, **kwargs: Any) -> RunRecord:
    said = predictions(fold, *(answers or FOLDS[fold]))
    values = {
        "parameters": 1500,
        "trainable_parameters": 10,
        "train_seconds": 30.0,
        "peak_memory_mb": 100.0,
        **kwargs,
    }
    return RunRecord(f"{fold}{seed}", fold, seed, "ok", predictions=lambda: said, **values)


def failed(fold: str, reason: str, seed: int = 0) -> RunRecord:
    return RunRecord(f"{fold}{seed}", fold, seed, "failed", reason)


def pairing(
    backbone: str = "hubert", runs: Sequence[RunRecord] | None = None, **kwargs: Any
) -> PairingRecord:
    values = {
        "mode": "probe",
        "protocol": "speaker",
        "scale": "full",
        "folds_asked": 2,
        "folds_expected": 2,
        **kwargs,
    }
    own = (run("a"), run("b")) if runs is None else tuple(runs)
    return PairingRecord("calls", backbone, labels=LABELS, positive="negative", runs=own, **values)


def perfect() -> list[RunRecord]:
    return [run("a", ("nnpp", "nnpp")), run("b", ("nppp", "nppp"))]


def one(*records: PairingRecord) -> Row:
    (row,) = rows(records, {})
    return row


def fields(row: Row) -> dict[str, Any]:
    return dict(json.loads(render([row], "json"))[0])


def test_scores_are_of_the_pooled_folds() -> None:
    row = one(pairing())
    assert row.status == "ok"
    assert row.scores["UA"] == pytest.approx(
        (2 / 3 + 4 / 5) / 2
    )  # 2 of 3 negative, 4 of 5 non-negative clips
    assert row.scores["WA"] == pytest.approx(6 / 8)
    assert row.scores["recall (negative)"] == pytest.approx(2 / 3)
    assert row.scores["precision (non-negative)"] == pytest.approx(4 / 5)
    assert (row.folds, row.folds_expected, row.seeds, row.clips) == (2, 2, 1, 8)
    assert (row.parameters, row.train_seconds, row.peak_memory_mb) == (1500, 60.0, 100.0)


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    truth, predicted = ("".join(parts) for parts in zip(*FOLDS.values(), strict=True))
    row = one(pairing())
    for average in ("macro", "weighted"):
        assert row.scores[f"F1 {average}"] == pytest.approx(
            f1_score(list(truth), list(predicted), average=average)
        )
    assert row.scores["F1 (negative)"] == pytest.approx(
        f1_score(list(truth), list(predicted), pos_label="n")
    )


def test_mean_and_deviation_over_folds() -> None:
    row = one(pairing())
    of_folds = [(1 / 2 + 1) / 2, (1 + 2 / 3) / 2]
    assert row.fold_mean["UA"] == pytest.approx(statistics.fmean(of_folds))
    assert row.fold_sd["UA"] == pytest.approx(statistics.stdev(of_folds))
    assert one(pairing(runs=[run("a")], folds_asked=1, folds_expected=1)).fold_sd == {}


def test_seeds_are_averaged() -> None:
    other = [replace(r, seed=1) for r in perfect()]
    row = one(pairing(runs=[run("a"), run("b"), *other], seeds=2))
    assert (row.status, row.seeds, row.clips) == ("ok", 2, 8)
    assert row.scores["UA"] == pytest.approx(((2 / 3 + 4 / 5) / 2 + 1) / 2)
    assert row.interval is not None
    assert row.interval[0] <= row.scores["UA"] <= row.interval[1]


def test_first_folds_are_partial() -> None:
    row = one(pairing(runs=[run("a")], folds_asked=1))
    assert (row.status, row.folds, row.clips) == ("partial", 1, 4)
    assert row.reason == "first 1 of 2 folds, not the full protocol"


def test_failed_run_leaves_a_partial_row() -> None:
    row = one(pairing(runs=[run("a"), failed("b", "non-finite loss at step 3")]))
    assert (row.status, row.reason) == ("partial", "1 of 2 runs failed: non-finite loss at step 3")
    assert row.scores["UA"] == pytest.approx(0.75)


def test_run_that_was_not_made_is_said() -> None:
    row = one(pairing(runs=[run("a")]))
    assert (row.status, row.reason) == ("partial", "1 of 2 runs are not recorded yet")


def test_seeds_tested_on_different_clips_have_no_interval() -> None:
    row = one(pairing(runs=[run("a"), run("b"), run("a", seed=1)], seeds=2))
    assert (row.status, row.interval) == ("partial", None)


def test_failed_pairing_says_why() -> None:
    row = one(pairing(runs=[failed("a", "no memory"), failed("b", "no memory")]))
    assert (row.status, row.reason, dict(row.scores)) == ("failed", "no memory", {})
    both = one(pairing(runs=[failed("a", "no memory"), failed("b", "no disk")]))
    assert both.reason == "fold a, seed 0: no memory; fold b, seed 0: no disk"


def test_lost_predictions_are_a_failed_run() -> None:
    def lost() -> Predictions:
        raise BenchError("the artifact is gone")

    row = one(pairing(runs=[run("a"), replace(run("b"), predictions=lost)]))
    assert row.reason == "1 of 2 runs failed: its predictions cannot be read: the artifact is gone"
    assert row.fingerprints == ("a0",)


def test_newest_of_the_same_label_is_shown() -> None:
    newer = pairing(runs=[replace(r, fingerprint=f"new{r.fingerprint}") for r in perfect()])
    row = one(pairing(), newer)
    assert row.scores["UA"] == 1.0
    assert row.fingerprints == ("newa0", "newb0")


def test_later_failure_hides_no_result() -> None:
    row = one(pairing(), pairing(runs=[RunRecord("", "", 0, "failed", "no corpus at x")]))
    assert (row.status, row.folds) == ("ok", 2)
    assert row.notes == ("a later attempt failed: no corpus at x",)
    assert (
        one(pairing(runs=[run("a"), run("b"), RunRecord("", "", 0, "failed", "no corpus at x")]))
        == row
    )


def test_look_at_fewer_folds_hides_no_result() -> None:
    assert one(pairing(), pairing(runs=[run("a")], folds_asked=1)).status == "ok"
    assert one(pairing(folds_asked=1)).status == "ok"  # the same pairing, asked again for less


def test_label_shows_what_the_user_changed() -> None:
    plain, random, changed = (
        pairing(),
        pairing(weights="random"),
        pairing(settings={"learning_rate": "0.001"}),
    )
    labels = {row.label for row in rows([plain, random, changed], {})}
    assert labels == {"hubert", "hubert [weights: random]", "hubert [learning_rate=0.001]"}


@pytest.mark.parametrize(
    ("record", "note"),
    [
        (pairing(scale="tiny"), "tiny scale"),
        (pairing(weights="random"), "random weights"),
        (pairing(clips_missing=3), "3 unreadable clips are left out"),
        (pairing(notes=("speaker 0 is unknown",)), "speaker 0 is unknown"),
        (
            pairing(runs=[run("a", notes=("batch halved to 8",)), run("b")]),
            "batch halved to 8 (1 of 2 runs)",
        ),
        (pairing(runs=[run("a")], folds_asked=1), "partial: first 1 of 2 folds"),
        (pairing(runs=[], skipped="it reads Chinese alone"), "skipped: it reads Chinese alone"),
        (pairing(runs=[failed("a", "broke")]), "failed: broke"),
    ],
)
@pytest.mark.parametrize("format", ["text", "markdown", "latex", "html"])
def test_every_caveat_is_a_footnote(record: PairingRecord, note: str, format: Any) -> None:
    shown = render(rows([record], {}), format)
    assert f"{'{[}' if format == 'latex' else '['}1] {note}" in shown
    assert shown.count("1]") == 2  # the mark and the note


def test_test_parts_that_overlap_are_said() -> None:
    again = replace(run("a"), fold="b", fingerprint="b0")
    row = one(pairing(runs=[run("a"), again]))
    assert row.clips == 4
    assert row.notes == (
        "4 clips are in the test parts of several folds; each of their predictions counts",
    )


FIGURES = (
    Published(
        "Lee", {"UA": 0.9, "F1 (negative)": 0.91}, "speaker", "Lee 2024, Table 2", "one seed"
    ),
    Published("Wu", {"WA": 0.955}, "random 80/20", "Wu 2023"),
)
SMALL = [
    pairing("floor", notes=("acted",)),
    pairing("whisper", perfect(), notes=("acted",)),
    pairing("part", perfect()[:1], folds_asked=1, notes=("acted",)),
    pairing("zh", [], skipped="it reads Chinese alone"),
    pairing("big", [failed("a", "out of memory"), failed("b", "out of memory")]),
]
GOLDEN = """\
calls · protocol speaker · probe · full scale · 1 seed [1]

                                                         F1          F1   F1 (non-
backbone              UA [95 %]      WA  F1 macro  weighted  (negative)  negative)  clips  folds  status
--------  ---------------------  ------  --------  --------  ----------  ---------  -----  -----  -------------
part      100.0  [100.0, 100.0]  100.0     100.0     100.0       100.0      100.0       4    1/2  partial [2]
whisper   100.0* [100.0, 100.0]  100.0*    100.0*    100.0*      100.0*     100.0*      8    2/2  ok
Lee                       90.0       –         –         –        91.0          –       –      –  published [3]
floor       73.3  [40.0, 100.0]   75.0      73.3      75.0        66.7       80.0       8    2/2  ok
big                          –       –         –         –           –          –       –    0/2  failed [4]
zh                           –       –         –         –           –          –       –      –  skipped [5]

scores in %, of the predictions of all folds together
[low, high]: 95 % interval of UA over speakers (or clips), not over training seeds
*: best measured figure of the rows with status ok
left out for want of room: UA by fold, params, train time
[1] acted
[2] partial: first 1 of 2 folds, not the full protocol
[3] published: Lee 2024, Table 2; one seed
[4] failed: out of memory
[5] skipped: it reads Chinese alone

calls · published under other protocols

backbone  protocol        WA  status
--------  ------------  ----  -------------
Wu        random 80/20  95.5  published [1]

scores in %
[1] published: Wu 2023"""


def test_golden_text() -> None:
    assert render(rows(SMALL, {"calls": FIGURES}), "text") == GOLDEN


def test_text_fits_a_terminal() -> None:
    long = replace(
        SMALL[0],
        backbone="whisper-large-v3-turbo:released",
        settings={"learning_rate": "0.001" * 9},
    )
    lines = render(rows([*SMALL, long], {}), "text").splitlines()
    assert max(map(len, lines)) <= 120


def test_bold_is_for_complete_measured_rows_only() -> None:
    shown = render(rows(SMALL, {"calls": FIGURES}), "text", colour=True)
    assert "\x1b[1m100.0 [100.0, 100.0]\x1b[0m" in shown
    assert [line.split()[0] for line in shown.splitlines() if "\x1b" in line] == ["whisper"]
    assert "*" not in shown


def test_ties_are_all_bold_and_a_lone_row_is_not() -> None:
    tied = render(rows([pairing("x"), pairing("y")], {}), "markdown")
    assert tied.count("**73.3 [") == 2
    assert "**75" not in render(
        rows([pairing("x"), pairing("z", perfect()[:1], folds_asked=1)], {}), "markdown"
    )


def test_tiny_rows_compete_among_themselves_alone() -> None:
    tiny, full = pairing("tiny", perfect(), scale="tiny"), [pairing("x"), pairing("y")]
    mixed = rows([tiny, *full], {})
    assert [row.backbone for row in mixed] == ["x", "y", "tiny"]
    assert "**100.0" not in render(mixed, "markdown")
    assert "**100.0" in render(rows([tiny, pairing("t", scale="tiny")], {}), "markdown")


def test_published_rows_come_once_and_with_their_protocol() -> None:
    found = rows([pairing(), pairing(protocol="random")], {"calls": FIGURES, "unmeasured": FIGURES})
    cited = [
        (row.backbone, row.protocol, row.citation) for row in found if row.source == "published"
    ]
    assert cited == [("Lee", "speaker", "Lee 2024, Table 2"), ("Wu", "random 80/20", "Wu 2023")]
    assert found[0].backbone == "Lee"  # 90.0 against 73.3
    assert found[-1].backbone == "Wu"


def test_task_with_more_than_two_classes_shows_no_class_f1() -> None:
    labels = ("a", "b", "c")
    said = Predictions(labels, ("1", "2", "3"), (None,) * 3, np.eye(3, dtype=bool), np.eye(3))
    runs = [RunRecord("f", "a", 0, "ok", predictions=lambda: said)]
    record = replace(pairing(runs=runs, folds_asked=1, folds_expected=1), labels=labels)
    assert "F1 (" not in render(rows([record], {}), "markdown")
    assert fields(one(record))["F1_a"] == 1.0


JSON_KEYS = """
    task backbone mode protocol scale source status reason folds folds_expected seeds clips UA WA F1_macro F1_weighted
    UA_low UA_high parameters trainable_parameters train_seconds peak_memory_mb fingerprints citation
"""


def test_wa_of_several_labels_is_explained() -> None:
    several = Row(
        "calls",
        "hubert",
        "speaker",
        "measured",
        "ok",
        scores={"UA": 0.5, "WA": 0.1, "F1 micro": 0.4},
    )
    assert "right when all of its labels are" in render([several], "text")
    assert "all of its labels" not in render(
        [replace(several, scores={"UA": 0.5, "WA": 0.1})], "text"
    )


def test_json_has_what_scripts_rely_on() -> None:
    for content in json.loads(render(rows(SMALL, {"calls": FIGURES}), "json")):
        assert set(JSON_KEYS.split()) <= set(content)
    row = fields(one(pairing()))
    assert row["F1_negative"] == pytest.approx(2 / 3)
    assert row["F1_non-negative"] == pytest.approx(4 / 5)
    assert row["UA_low"] <= row["UA"] <= row["UA_high"]
    assert row["fingerprints"] == ["a0", "b0"]


def test_json_has_null_and_never_nan() -> None:
    shown = render([replace(one(pairing()), scores={"UA": float("nan")})], "json")
    assert "NaN" not in shown
    assert json.loads(shown)[0]["UA"] is None
    assert fields(one(pairing(runs=[], skipped="no")))["UA"] is None


def test_csv_has_fractions() -> None:
    read = list(csv.DictReader(render(rows(SMALL, {"calls": FIGURES}), "csv").splitlines()))
    assert [line["backbone"] for line in read] == [
        "part",
        "whisper",
        "Lee",
        "floor",
        "big",
        "zh",
        "Wu",
    ]
    assert float(read[3]["F1_negative"]) == pytest.approx(2 / 3)
    assert read[4]["UA"] == ""
    assert read[3]["fingerprints"] == "a0; b0"


def test_class_called_macro_hides_no_average() -> None:
    row = Row("t", "b", "p", "measured", "ok", scores={"F1 macro": 0.5, "F1 (macro)": 0.1})
    assert (fields(row)["F1_macro"], fields(row)["F1 (macro)"]) == (0.5, 0.1)


# --- any text is safe in any format ---


def evil() -> list[Row]:
    record = pairing(EVIL, notes=(EVIL,), settings={"note": f"{EVIL}\n{EVIL}"})
    return rows(
        [record, pairing(skipped=EVIL, runs=[])],
        {"calls": [Published(EVIL, {"UA": 0.1}, EVIL, EVIL)]},
    )


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_renders_nothing_and_everything(format: Any) -> None:
    assert isinstance(render([], format), str)
    assert "é" in render(evil(), format)


def test_markdown_rows_keep_their_cells() -> None:
    lines = [line for line in render(evil(), "markdown").splitlines() if line.startswith("|")]
    bars = [line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines]
    assert bars == [bars[0]] * 4 + [bars[4]] * 3
    assert r"l\|m \& a\_b \< 50 % é \*x\*" in lines[2]


class Cells(HTMLParser):
    """Texts of the cells, row by row, and every tag that was opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_html_parses_back() -> None:
    cells = Cells()
    cells.feed(render(evil(), "html"))
    assert cells.open == []
    assert "script" not in cells.tags
    first = [row[0].strip() for row in cells.rows]
    assert first == ["backbone", f"{EVIL} [note={EVIL} {EVIL}]", "hubert", "backbone", EVIL]
    assert {len(row) for row in cells.rows[:3]} == {len(cells.rows[0])}


def test_latex_has_no_bare_special() -> None:
    shown = render(evil(), "latex")
    body = [line for line in shown.splitlines() if "l\\textbar{}m" in line]
    assert body
    for line in body:
        assert (
            r"\& a\_b \textless{} 50 \% é {*}x{*} \{y\} \$z\$ \textasciitilde{} \textasciicircum{} \#"
            in line
        )
        assert r"\textbackslash{}end {[}1](u)" in line


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not on this machine")
def test_latex_compiles(tmp_path: Path) -> None:
    document = f"\\documentclass{{article}}\n\\begin{{document}}\n{render(evil(), 'latex')}\n\\end{{document}}\n"
    (tmp_path / "table.tex").write_text(document, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_text_aligns_wide_characters() -> None:
    lines = render(rows([pairing("情感"), pairing("hubert")], {}), "text").splitlines()
    chinese, latin = (
        next(line for line in lines if line.startswith(name)) for name in ("情感", "hubert")
    )
    assert chinese.index("73.3") == latin.index("73.3") - 2


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "–"), (999, "999"), (94_371_712, "94.4M"), (999_600, "1M")]
)
def test_quantity(number: int, shown: str) -> None:
    assert quantity(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "–"), (31.4, "31 s"), (192, "3.2 min"), (5400, "1.5 h")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("score", "shown"), [(0.605, "60.5"), (1.0, "100.0"), (None, "–"), (float("nan"), "–")]
)
def test_percent(score: float | None, shown: str) -> None:
    assert percent(score) == shown


def test_a_tuned_row_stands_beside_its_default_and_says_what_it_gained() -> None:
    usual = pairing("b", [run("a"), run("b")])
    tuned = pairing("b", perfect(), recipe="tuned (9 trials)", notes=("tuned: how",))
    other = pairing("a", [run("a", ("nnpp", "nnpp")), run("b")])  # between the two
    found = rows([usual, other, tuned], {})
    assert [(row.backbone, row.recipe) for row in found] == [
        ("b", "tuned (9 trials)"),
        ("b", ""),
        ("a", ""),
    ]
    gain = 1 - (2 / 3 + 4 / 5) / 2
    assert found[0].gain == pytest.approx(gain)
    assert found[1].gain is None
    low, high = found[0].gain_interval or (0.0, 0.0)
    assert low <= gain <= high
    text = render(found, "text")
    assert f"{100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]" in text
    assert "by tuning: UA gained over the usual recipe" in text
    about = fields(found[0])
    assert (about["recipe"], about["UA_gain"]) == ("tuned (9 trials)", pytest.approx(gain))
    assert fields(found[1])["UA_gain"] is None


def test_a_newer_search_takes_the_place_of_an_older_one_and_of_nothing_else() -> None:
    records = [
        pairing(),
        pairing(recipe="tuned (5 trials)"),
        pairing(runs=perfect(), recipe="tuned (9 trials)"),
    ]
    assert sorted(row.recipe for row in rows(records, {})) == ["", "tuned (9 trials)"]


def test_no_gain_is_claimed_over_other_clips_nor_without_a_default() -> None:
    tuned = pairing(runs=[run("a")], recipe="tuned (9 trials)")
    assert [row.gain for row in rows([pairing(), tuned], {})] == [None, None]
    assert one(tuned).gain is None
    assert "by tuning" not in render(rows([tuned], {}), "text")
