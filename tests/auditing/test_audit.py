"""Audits of published figures: what is known of real tables, planted faults, and brute force."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import bench as package
from bench.auditing.audit import Finding, audit, best_p, wilson
from bench.auditing.figures import Claim
from bench.auditing.many_classes import Hits
from bench.auditing.two_classes import Reading, every
from bench.contracts.published import read
from tests.conftest import Bench
from tests.helpers import ROOT

FILE = """
[sources]
us = "Us 2024"

[test_parts.ours]
clips = {clips}
classes = {classes}

[[tables]]
source = "us"
where = "Table 1"
protocol = "published"
test_part = "ours"
columns = {{ Accuracy = "WA", Precision = "", Recall = "", F1 = "", UA = "" }}
rows = [{{ system = "net", printed = {printed} }}]
"""


def one(tmp_path: Path, classes: str, clips: int, printed: str) -> Finding:
    path = tmp_path / "figures.toml"
    path.write_text(FILE.format(classes=classes, clips=clips, printed=printed), "utf-8")
    (found,) = audit(read(path).rows)
    return found


@pytest.fixture(scope="module")
def hotline() -> dict[str, Finding]:
    rows = read(ROOT / "tasks" / "published" / "hotline.toml").rows
    found = audit(row for row in rows if row.test_part)
    return {finding.row.system: finding for finding in found}


@pytest.mark.parametrize(
    ("row", "hits"),
    [
        ("pitch alone", (1083, 1611)),
        ("MFCC alone", (1071, 1738)),
        ("feature fusion, without attention", (1284, 1760)),
        ("feature fusion, cross-attention only", (1310, 1729)),
        ("feature fusion, self-attention only", (1222, 1845)),
        ("feature fusion", (1141, 1905)),
    ],
)
def test_one_matrix_fits_and_only_of_the_other_class(
    hotline: dict[str, Finding], row: str, hits: tuple[int, int]
) -> None:
    found = hotline[row]
    (fit,) = found.fits
    assert fit.reading == "of the class non-negative"
    assert (fit.matrices, tuple(fit.hits.values())) == (1, hits)
    assert found.possible


def test_what_follows_from_the_only_matrix(hotline: dict[str, Finding]) -> None:
    found = hotline["feature fusion"]
    (fit,) = found.fits
    shown = {name: f"{100 * low:.2f}" for name, (low, _) in fit.ranges.items()}
    assert shown["UA"] == "74.22"
    assert shown["F1 macro"] == "74.28"
    assert shown["recall (negative)"] == "60.69"
    assert shown["F1 (negative)"] == "69.43"
    assert found.baseline["F1 (non-negative)"] == pytest.approx(0.6978, abs=5e-5)


def test_no_matrix_fits_the_quoted_rows(hotline: dict[str, Finding]) -> None:
    quoted = [f for f in hotline.values() if not f.possible]
    assert len(quoted) == 7  # Thanh's row, and those of six pre-trained models
    first = quoted[0]
    weighted = next(
        fit
        for fit in first.fits
        if (fit.without, fit.reading) == ("Recall", "weighted")
    )
    assert weighted.matrices == 22
    low, high = weighted.ranges["UA"]
    assert (f"{100 * low:.2f}", f"{100 * high:.2f}") == ("76.80", "77.42")
    thanh = next(f for f in quoted if "Thanh" in f.row.system)
    implied = {fit.without: fit for fit in thanh.fits if "non-negative" in fit.reading}
    low, _ = implied["Accuracy"].ranges["WA"]
    assert f"{100 * low:.2f}" == "76.13"
    low, _ = implied["F1-score"].ranges["F1 (non-negative)"]
    assert f"{100 * low:.2f}" == "77.87"


def test_a_claimed_gain_is_three_clips() -> None:
    rows = read(ROOT / "tasks" / "published" / "visec.toml").rows
    quoted, claimed = audit(row for row in rows if "Table VI" in row.source)
    assert (quoted.correct, claimed.correct) == (384, 387)
    assert best_p(quoted, claimed) == 0.25
    assert wilson(387 / 528, 528) == pytest.approx((0.6936, 0.7689), abs=5e-5)
    assert quoted.fits[0].printing == "cut off"  # 72.727 is printed 72.72


def test_a_planted_impossible_figure_is_named(tmp_path: Path) -> None:
    # 60 of 100 and 45 of 50 hits: accuracy 70.00, recall 60.00, precision 92.31, F1 72.73 of a
    right = (
        '{ Accuracy = "70.00", Precision = "92.31", Recall = "60.00", F1 = "72.73" }'
    )
    found = one(tmp_path, "{ a = 100, b = 50 }", 150, right)
    assert [fit.reading for fit in found.fits] == ["of the class a"]
    assert dict(found.fits[0].hits) == {"a": 60, "b": 45}
    wrong = right.replace("92.31", "91.31")
    found = one(tmp_path, "{ a = 100, b = 50 }", 150, wrong)
    assert not found.possible
    assert {fit.without for fit in found.fits} == {"Precision"}


def test_an_accuracy_that_no_number_of_clips_gives(tmp_path: Path) -> None:
    found = one(tmp_path, "{ a = 20, b = 15, c = 14 }", 49, '{ Accuracy = "93.2" }')
    assert not found.possible
    assert found.fits == ()
    found = one(tmp_path, "{}", 49, '{ Accuracy = "91.8" }')
    assert found.correct == 45


def test_every_matrix_of_two_classes_against_a_loop() -> None:
    matrices = every(("a", "b"), (7, 5))
    assert len(matrices) == 8 * 6
    for place, (a, b) in enumerate(product(range(8), range(6))):
        precision = a / (a + 5 - b) if a + 5 - b else 0
        recall = a / 7
        f1 = 2 * a / (a + 5 - b + 7)
        assert matrices.score("precision (a)")[place] == pytest.approx(precision)
        assert matrices.score("recall (a)")[place] == pytest.approx(recall)
        assert matrices.score("F1 (a)")[place] == pytest.approx(f1)
        assert matrices.score("WA")[place] == pytest.approx((a + b) / 12)
        assert matrices.score("UA")[place] == pytest.approx((a / 7 + b / 5) / 2)


@pytest.mark.parametrize("seed", range(12))
def test_many_classes_against_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(3, 9, 4)
    counts = dict(zip("abcd", map(int, sizes), strict=True))
    wa = round(float(random.integers(0, sizes.sum() + 1)) / sizes.sum(), 3)
    ua = round(random.random(), 3)
    claims = [
        Claim("WA", str(wa), "WA", wa, 1e-3),
        Claim("UA", str(ua), "UA", ua, 1e-3),
    ]
    fitting = []
    for hits in product(*(range(size + 1) for size in sizes)):
        found_wa = sum(hits) / sizes.sum()
        found_ua = float(np.mean(np.array(hits) / sizes))
        if abs(found_wa - wa) <= 5e-4 and abs(found_ua - ua) <= 5e-4:
            fitting.append(hits)
    reading = Reading("", "UA and WA as named")
    hits = Hits(counts, claims, reading, "rounded")
    assert hits.exist() == bool(fitting)
    if fitting:
        recalls = [each[0] / sizes[0] for each in fitting]
        assert hits.bounds("recall (a)") == pytest.approx((min(recalls), max(recalls)))


def test_the_command(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one(
        tmp_path, "{ a = 100, b = 50 }", 150, '{ Accuracy = "70.00", Recall = "60.00" }'
    )
    assert bench("audit", tmp_path / "figures.toml") == 0
    text = capsys.readouterr().out
    assert "of the class a" in text
    assert "Us 2024, Table 1 · 150 clips · a 100, b 50" in text
    assert bench("audit", "visec", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["possible"] for row in rows} == {True, None}
    assert bench("audit", "visek") == 2
    assert "did you mean visec" in capsys.readouterr().err
    assert len(package.audit("visec").frame) >= len(rows)
