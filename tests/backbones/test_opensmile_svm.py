"""openSMILE under a linear SVM: scikit-learn's solution, chosen on validation, honest without its
extra.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backbones._svm import COSTS, LinearSvm
from bench.cli import app, listing
from bench.contracts.backbone import Setup
from bench.contracts.batch import Inputs, pad
from bench.registry import backbones
from bench.scoring.scores import ua
from bench.testing import tiny_setup
from tests.helpers import write_tones

CPU = torch.device("cpu")
DIM = 6


def part(seed: int, clips: int = 90) -> tuple[Tensor, Tensor]:
    """Values (clips, DIM) on very unequal scales, and one of three classes, which overlap; the
    third is rare.
    """
    random = np.random.default_rng(seed)
    labels = random.choice(3, clips, p=(0.5, 0.4, 0.1))
    centres = np.array([[0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0]])
    values = (centres[labels] + random.standard_normal((clips, DIM))) * (
        1,
        1e4,
        1e-4,
        1,
        50,
        1,
    ) + (
        0,
        1e5,
        3,
        0,
        0,
        7,
    )
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(
        np.eye(3, dtype=np.float32)[labels]
    )


def batches(values: Tensor, size: int = 32) -> list[Inputs]:
    rows = [row[None] for row in values]
    return [{"functionals": pad(rows[i : i + size])} for i in range(0, len(rows), size)]


def fitted(
    multilabel: bool = False,
    cost: float = 0.0,
    balanced: bool = True,
    targets: Tensor | None = None,
) -> Any:
    (train, truth), (valid, valid_truth) = part(0), part(1)
    network = LinearSvm("functionals", DIM, 3, multilabel, cost, balanced)
    network.fit(
        batches(train),
        truth if targets is None else targets,
        batches(valid),
        valid_truth,
    )
    return network


def decisions(network: Any, values: Tensor) -> Any:
    with torch.no_grad():
        return network(batches(values, 1000)[0]).numpy()


@pytest.mark.parametrize("balanced", [True, False])
def test_the_machines_are_scikit_learn_s(balanced: bool) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    (train, truth), (test, _) = part(0), part(2)
    weight = "balanced" if balanced else None
    ours = decisions(fitted(cost=0.01, balanced=balanced), test)
    for label in range(3):
        machine = make_pipeline(
            StandardScaler(), LinearSVC(C=0.01, class_weight=weight, random_state=0)
        )
        theirs = machine.fit(
            train.double().numpy(), truth[:, label].bool().numpy()
        ).decision_function(test.double())
        np.testing.assert_allclose(ours[:, label], theirs, atol=1e-3)


def test_the_cost_is_the_best_on_the_validation_part_alone() -> None:
    valid, valid_truth = part(1)
    truth = valid_truth.bool().numpy()

    def score(network: Any) -> float:
        said = np.eye(3, dtype=bool)[decisions(network, valid).argmax(1)]
        return float(
            ua(
                np.stack(
                    [
                        (truth & said).sum(0),
                        (~truth & said).sum(0),
                        (truth & ~said).sum(0),
                    ]
                )
            )
        )

    each = [fitted(cost=cost) for cost in COSTS]
    by_score = [score(network) for network in each]
    assert len(set(by_score)) > 1
    best = each[int(np.argmax(by_score))]
    chosen = fitted()
    assert torch.equal(chosen.classify.weight, best.classify.weight)
    assert torch.equal(chosen.classify.bias, best.classify.bias)


def test_several_labels_and_one_that_never_varies() -> None:
    _, truth = part(0)
    targets = torch.stack(
        [truth[:, 0], torch.ones(len(truth)), torch.zeros(len(truth))], dim=1
    )
    network = fitted(multilabel=True, targets=targets)
    said = decisions(network, part(2)[0]) > 0
    assert said[:, 1].all()
    assert not said[:, 2].any()
    assert 0.1 < said[:, 0].mean() < 0.9


@pytest.mark.parametrize(
    ("name", "width"), [("opensmile-svm", 6373), ("opensmile-svm:egemaps", 88)]
)
def test_it_is_the_same_at_both_scales_and_in_both_modes(name: str, width: int) -> None:
    backbone = backbones([name])[0]
    tiny = tiny_setup(backbone)
    for setup in (tiny, replace(tiny, scale="full"), replace(tiny, mode="probe")):
        assert backbone.features(setup) == backbone.features(tiny)
        assert backbone.network(setup).classify.weight.shape == (3, width)  # type: ignore[union-attr]


Bench = Callable[..., int]


@pytest.fixture
def bench(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """`bench run` on tones of three pitches, as a manifest; gives the exit code."""
    folder = write_tones(tmp_path / "corpus")
    lines = [
        f"{p.name},{p.stem.split('_')[0]},{p.stem.split('_')[1]}"
        for p in sorted(folder.glob("*.wav"))
    ]
    (folder / "tones.csv").write_text(
        "path,label,speaker\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )

    def call(*arguments: str) -> int:
        command = [
            "bench",
            "run",
            "-t",
            str(folder / "tones.csv"),
            "--results",
            str(results),
            "--format",
            "json",
        ]
        monkeypatch.setattr(sys, "argv", [*command, *arguments])
        with pytest.raises(SystemExit) as end:
            app.main()
        return int(end.value.code or 0)

    return call


def test_from_audio_to_the_table_alike_for_every_seed(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("opensmile")
    assert bench("-b", "opensmile-svm:egemaps", "--folds", "2", "--seeds", "2") == 0
    told = capsys.readouterr()
    (row,) = json.loads(told.out)
    assert row["UA"] > 0.8
    assert row["parameters"] == row["trainable_parameters"] == 3 * 88 + 3
    lines = sorted(
        line.partition(" in ")[0].split(": UA ")
        for line in told.err.splitlines()
        if ": UA " in line
    )
    by_fold = {where.replace("seed 1", "seed 0"): score for where, score in lines}
    assert len(lines) == 4
    assert all(
        by_fold[where.replace("seed 1", "seed 0")] == score for where, score in lines
    )


def test_without_its_extra_it_is_skipped_and_still_listed(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.features.opensmile.find_spec", lambda name: None)
    assert (
        bench(
            "-b",
            "opensmile-svm,opensmile-svm:egemaps,mfcc-stats",
            "--folds",
            "1",
            "--set",
            "epochs=2",
        )
        == 0
    )
    told = capsys.readouterr()
    rows = {row["backbone"]: row for row in json.loads(told.out)}
    for name in ("opensmile-svm", "opensmile-svm:egemaps"):
        assert rows[name]["status"] == "skipped"
        assert (
            rows[name]["reason"]
            == "needs the optional extra: pip install 'ser-bench[opensmile]'"
        )
    assert rows["mfcc-stats"]["UA"] is not None
    assert "2 skipped" in told.err
    assert "opensmile-svm" in listing.show("backbones")


def test_an_option_sets_the_cost() -> None:
    backbone = backbones(["opensmile-svm"])[0]
    options = replace(backbone.options(), cost=0.5, balance="off")
    setup = Setup(("a", "b"), False, "en", "finetune", "full", None, "", options)
    network: Any = backbone.network(setup)
    assert (network.cost, network.balanced) == (0.5, False)
