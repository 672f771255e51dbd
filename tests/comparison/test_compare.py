"""`bench compare` on a real store; ranks over tasks against worked values."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench as package
from bench.comparison import ranks
from bench.comparison.diagram import draw, groups
from bench.comparison.found import Comparison
from bench.comparison.pairs import pairs
from bench.comparison.systems import System
from bench.comparison.view import record, render
from bench.errors import UsageError
from bench.scoring.sample import Sample
from tests.conftest import Bench
from tests.tables.pairings import one, pairing, perfect, run

EPOCHS = ("--set", "epochs=2")


@pytest.fixture
def two(bench: Bench, manifest: Path, results: Path) -> Callable[..., int]:
    """A store with two systems of different skill on one manifest."""
    common = ("-b", "mfcc-stats", "-t", manifest, "--results", results, "--quiet")
    assert bench("run", *common, *EPOCHS) == 0
    assert bench("run", *common, "--set", "epochs=40") == 0
    return lambda *more: bench("compare", manifest, *more, "--results", results)


def test_all_systems_are_compared(
    two: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert two("--all") == 0
    text = capsys.readouterr().out
    assert "mfcc-stats [epochs=40]" in text
    assert "protocol speaker" in text
    assert "the smallest p it can give is 0.031" in text  # 6 speakers: 2 / 2^6
    assert two("--all", "--format", "json") == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    low, value, high = pair["low"], pair["difference"], pair["high"]
    assert low <= value <= high
    assert pair["permutation_smallest_p"] == pytest.approx(2 / 2**6)
    assert pair["clips_won"] == pytest.approx(
        pair["one_alone_right"] - pair["other_alone_right"]
    )


def test_an_ambiguous_name_lists_the_choices_and_an_id_is_enough(
    two: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    results: Path,
    manifest: Path,
) -> None:
    capsys.readouterr()
    assert two("mfcc-stats", "hubert") == 2
    told = capsys.readouterr().err
    assert "mfcc-stats means 2 pairings: name one by its id" in told
    assert "epochs=40" in told
    assert "Traceback" not in told
    assert two("mfcc-stats") == 2
    assert "Name two systems" in capsys.readouterr().err
    assert two() == 2
    assert "--all" in capsys.readouterr().err
    ids = [word for word in told.replace("(", " ").split() if len(word) == 32]
    found = package.compare(manifest, ids, results=results)
    assert len(found.frame) == 1
    assert found.frame["score"][0] == "UA"
    with pytest.raises(UsageError, match="several tasks"):
        found.figure(results / "x.svg")


def test_other_protocols_and_scales_are_refused(
    bench: Bench,
    manifest: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ("-b", "mfcc-stats", "-t", manifest, "--results", results, "--quiet")
    assert bench("run", *common, *EPOCHS) == 0
    assert bench("run", *common, *EPOCHS, "--scale", "tiny") == 0
    assert bench("compare", manifest, "--all", "--results", results) == 2
    told = capsys.readouterr().err
    assert "cannot be compared: scale full and scale tiny" in told.replace("\n", " ")


def systems(**skill: Any) -> list[System]:
    made = []
    for name, runs in skill.items():
        row = one(pairing(name, runs))
        made.append(System(row, Sample([r.predictions() for r in runs[:1]])))
    return made


def test_the_worse_system_comes_second_and_p_is_corrected() -> None:
    poor = [run("a", ("nnpp", "ppnp")), run("b")]
    found = pairs(systems(good=perfect(), usual=[run("a"), run("b")], poor=poor))
    assert [(pair.one, pair.other) for pair in found] == [
        ("good", "poor"),
        ("usual", "poor"),
        ("good", "usual"),
    ]
    for pair in found:
        assert pair.difference
        assert pair.corrected is not None
        assert pair.difference.p <= pair.corrected
        assert pair.detectable == pytest.approx(
            (3.182446 + 0.978472) * pair.difference.error  # t(.975, 3) + t(.8, 3)
        )


def test_mean_ranks_friedman_nemenyi_and_wilcoxon() -> None:
    table = np.array(
        [
            (0.70, 0.80, 0.60, 0.90),
            (0.50, 0.70, 0.60, 0.80),
            (0.61, 0.62, 0.63, 0.64),
            (0.40, 0.53, 0.30, 0.45),
            (0.55, 0.76, 0.65, 0.85),
        ]
    )
    means = ranks._ranks(table).mean(0)
    assert means == pytest.approx([3.6, 2.0, 3.2, 1.2])
    tied = ranks._ranks(np.array([[0.5, 0.7, 0.7]]))
    assert tied.tolist() == [[3.0, 1.5, 1.5]]
    # 12 N / (k (k + 1)) (sum of squared mean ranks - k (k + 1)^2 / 4), Demšar's Eq. 4
    chi_square = 12 * 5 / 20 * (float((means**2).sum()) - 25)
    assert chi_square == pytest.approx(10.92)
    assert ranks._friedman(table) == pytest.approx(0.0122, abs=2e-4)  # chi-square, 3 df
    # q(.05, 4) of Demšar's Table 5: 2.569
    assert ranks._critical(4, 14) == pytest.approx(2.569 * (20 / 84) ** 0.5, abs=1e-3)
    tests = ranks._wilcoxon(table, list("abcd"))
    by_pair = {(test.one, test.other): test for test in tests}
    assert by_pair["a", "b"].p == pytest.approx(2 / 2**5)  # one side wins all five
    assert all(test.p <= test.corrected for test in tests)


def test_several_tasks_give_ranks_and_a_diagram(tmp_path: Path) -> None:
    poor = [run("a", ("nnpp", "ppnp")), run("b")]
    here = systems(good=perfect(), usual=[run("a"), run("b")], poor=poor)
    by_task = {"x": here, "y": here, "z": here[1:] + here[:1]}
    over = ranks.ranks(by_task)
    assert list(over.mean.items()) == [("good", 1.0), ("usual", 2.0), ("poor", 3.0)]
    assert groups(over) == [(1.0, 2.0), (2.0, 3.0)]  # critical difference 1.91
    found = Comparison(
        by_task, {name: pairs(each) for name, each in by_task.items()}, over
    )
    text = render(found, width=100)
    assert "Nemenyi's critical difference of mean ranks: 1.91" in text
    assert record(found)["ranks"]["mean"]["good"] == 1.0
    for suffix in (".svg", ".png"):
        path = tmp_path / f"ranks{suffix}"
        draw(over, path)
        assert path.stat().st_size > 1000
