"""Rows: what records add up to."""

import statistics
from dataclasses import replace

import pytest

from bench.errors import BenchError
from bench.runs.records import RunRecord
from bench.scoring.predictions import Predictions
from bench.tables.collect import rows
from bench.tables.formats import render
from tests.tables.pairings import (
    FIGURES,
    FOLDS,
    failed,
    fields,
    one,
    pairing,
    perfect,
    run,
)


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
    assert (row.parameters, row.train_seconds, row.peak_memory_mb) == (
        1500,
        60.0,
        100.0,
    )


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
    low, high = row.intervals["UA"]
    assert low <= row.scores["UA"] <= high
    assert row.seed_sd["UA"] == pytest.approx(
        statistics.stdev([(2 / 3 + 4 / 5) / 2, 1])
    )
    assert "over seeds" in render([row], "text", width=200)


def test_first_folds_are_partial() -> None:
    row = one(pairing(runs=[run("a")], folds_asked=1))
    assert (row.status, row.folds, row.clips) == ("partial", 1, 4)
    assert row.reason == "first 1 of 2 folds, not the full protocol"


def test_failed_run_leaves_a_partial_row() -> None:
    row = one(pairing(runs=[run("a"), failed("b", "non-finite loss at step 3")]))
    assert (row.status, row.reason) == (
        "partial",
        "1 of 2 runs failed: non-finite loss at step 3",
    )
    assert row.scores["UA"] == pytest.approx(0.75)


def test_run_that_was_not_made_is_said() -> None:
    row = one(pairing(runs=[run("a")]))
    assert (row.status, row.reason) == ("partial", "1 of 2 runs are not recorded yet")


def test_seeds_tested_on_different_clips_have_no_interval() -> None:
    row = one(pairing(runs=[run("a"), run("b"), run("a", seed=1)], seeds=2))
    assert (row.status, dict(row.intervals)) == ("partial", {})


def test_failed_pairing_says_why() -> None:
    row = one(pairing(runs=[failed("a", "no memory"), failed("b", "no memory")]))
    assert (row.status, row.reason, dict(row.scores)) == ("failed", "no memory", {})
    both = one(pairing(runs=[failed("a", "no memory"), failed("b", "no disk")]))
    assert both.reason == "fold a, seed 0: no memory; fold b, seed 0: no disk"


def _lost() -> Predictions:
    raise BenchError("the artifact is gone")


def test_lost_predictions_are_a_failed_run() -> None:
    row = one(pairing(runs=[run("a"), replace(run("b"), predictions=_lost)]))
    assert (
        row.reason
        == "1 of 2 runs failed: its predictions cannot be read: the artifact is gone"
    )
    assert row.fingerprints == ("a0",)


def test_newest_of_the_same_label_is_shown() -> None:
    newer = pairing(
        runs=[replace(r, fingerprint=f"new{r.fingerprint}") for r in perfect()]
    )
    row = one(pairing(), newer)
    assert row.scores["UA"] == 1.0
    assert row.fingerprints == ("newa0", "newb0")


def test_later_failure_hides_no_result() -> None:
    row = one(
        pairing(), pairing(runs=[RunRecord("", "", 0, "failed", "no corpus at x")])
    )
    assert (row.status, row.folds) == ("ok", 2)
    assert row.notes == ("a later attempt failed: no corpus at x",)
    assert (
        one(
            pairing(
                runs=[
                    run("a"),
                    run("b"),
                    RunRecord("", "", 0, "failed", "no corpus at x"),
                ]
            )
        )
        == row
    )


def test_a_success_is_hidden_by_no_failure_of_the_same_run() -> None:
    """Records come oldest first; a killed command may leave the failure that it has overcome."""
    done, broken = run("b"), failed("b", "no memory")
    for runs in ([run("a"), broken, done], [run("a"), done, broken]):
        row = one(pairing(runs=runs))
        assert (row.status, row.reason, row.folds) == ("ok", "", 2)
    lost = replace(done, predictions=_lost)
    assert one(pairing(runs=[run("a"), done, lost])).status == "ok"
    assert one(pairing(runs=[run("a"), lost, broken])).reason.endswith("no memory")


def test_the_newest_of_several_failures_is_shown() -> None:
    row = one(pairing(runs=[failed("a", "old"), failed("a", "new"), run("b")]))
    assert row.reason == "1 of 2 runs failed: new"


def test_look_at_fewer_folds_hides_no_result() -> None:
    assert one(pairing(), pairing(runs=[run("a")], folds_asked=1)).status == "ok"
    assert (
        one(pairing(folds_asked=1)).status == "ok"
    )  # the same pairing, asked again for less


def test_label_shows_what_the_user_changed() -> None:
    plain, random, changed = (
        pairing(),
        pairing(weights="random"),
        pairing(settings={"learning_rate": "0.001"}),
    )
    labels = {row.label for row in rows([plain, random, changed], {})}
    assert labels == {
        "hubert",
        "hubert [weights: random]",
        "hubert [learning_rate=0.001]",
    }


def test_test_parts_that_overlap_are_said() -> None:
    again = replace(run("a"), fold="b", fingerprint="b0")
    row = one(pairing(runs=[run("a"), again]))
    assert row.clips == 4
    assert row.notes == (
        "4 clips are in the test parts of several folds; each of their predictions counts",
    )


def test_published_rows_come_once_and_with_their_protocol() -> None:
    found = rows(
        [pairing(), pairing(protocol="random")],
        {"calls": FIGURES, "unmeasured": FIGURES},
    )
    cited = [
        (row.backbone, row.protocol, row.citation)
        for row in found
        if row.source == "published"
    ]
    assert cited == [
        ("Lee", "speaker", "Lee 2024, Table 2"),
        ("Wu", "random 80/20", "Wu 2023"),
    ]
    assert found[0].backbone == "Lee"  # 90.0 against 73.3
    assert found[-1].backbone == "Wu"


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
    assert found[0].gains == {"UA": pytest.approx(gain)}
    assert found[1].gains == {}
    low, high = found[0].gain_intervals["UA"]
    assert low <= gain <= high
    text = render(found, "text")
    assert f"{100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]" in text
    assert "by tuning: gained over the default recipe" in text
    about = fields(found[0])
    assert (about["recipe"], about["UA_gain"]) == (
        "tuned (9 trials)",
        pytest.approx(gain),
    )
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
    assert [row.gains for row in rows([pairing(), tuned], {})] == [{}, {}]
    assert one(tuned).gains == {}
    assert "by tuning" not in render(rows([tuned], {}), "text")
