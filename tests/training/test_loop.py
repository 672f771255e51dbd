"""The loop: it learns, repeats itself, resumes where it was, survives full memory, and names a bad
loss.
"""

import resource
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contracts.batch import Inputs
from bench.contracts.recipe import Recipe
from bench.features.extraction import extract
from bench.features.signal import LogMel
from bench.training import loop
from bench.training.batching import Examples, LengthBatches, collate
from bench.training.job import Report, TrainingJob
from bench.training.layers import MeanClassifier
from bench.training.loop import train
from bench.training.objective import learning_rate_factor, log_loss, loss_function
from bench.training.prediction import TrainingError, predict
from tests.helpers import tones

CPU = torch.device("cpu")
RECIPE = Recipe(
    epochs=8,
    batch_size=8,
    learning_rate=0.05,
    schedule="constant",
    patience=0,
    precision="fp32",
)


@dataclass
class Parts:
    train: Examples
    valid: Examples
    test: Examples


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    corpus, cache = tones(tmp_path_factory.mktemp("tones"), per_speaker=3)
    features = {"mel": extract(LogMel(mels=80), corpus, cache, CPU)}

    def part(*speakers: str) -> Examples:
        clips = [c for c in corpus.clips if c.speaker in speakers]
        return Examples(clips, corpus.task.labels, False, features)

    return Parts(part("a", "b", "c", "d"), part("e"), part("f"))


def fit(
    parts: Parts,
    folder: Path,
    recipe: Recipe = RECIPE,
    network: nn.Module | None = None,
    seed: int = 0,
):
    torch.manual_seed(seed)
    network = network or Regularised()
    seen: list[tuple[int, Mapping[str, float]]] = []
    done = train(
        job(network, recipe, parts, seed, lambda *e: seen.append(e), folder / "c.pt")
    )
    return network, done, seen


def job(
    network: nn.Module,
    recipe: Recipe,
    parts: Parts,
    seed: int,
    report: Report,
    checkpoint: Path,
) -> TrainingJob:
    return TrainingJob(
        network, recipe, parts.train, parts.valid, seed, CPU, report, checkpoint
    )


class Regularised(MeanClassifier):
    """With dropout, so that a repetition must repeat the draws as well."""

    def __init__(self) -> None:
        super().__init__("mel", 80, 3)
        self.dropout = nn.Dropout(0.2)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.classify(self.dropout(self.standardise(inputs["mel"].mean())))


def test_it_learns_what_can_be_learnt(parts: Parts, tmp_path: Path) -> None:
    network, done, seen = fit(parts, tmp_path)
    predictions = predict(network, parts.test, CPU, 4)
    assert (
        predictions.probabilities.argmax(1) == predictions.truth.argmax(1)
    ).mean() == 1.0
    assert [epoch for epoch, _ in seen] == list(range(1, 9))
    assert seen[-1][1]["train loss"] < seen[0][1]["train loss"]
    assert {"UA", "WA", "F1 macro", "F1 weighted", "loss"} <= set(seen[0][1])
    assert done.seconds > 0


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    parts: Parts, tmp_path: Path
) -> None:
    first, again, other = (
        predict(fit(parts, tmp_path, seed=s)[0], parts.test, CPU, 4) for s in (0, 0, 1)
    )
    assert np.array_equal(first.probabilities, again.probabilities)
    assert not np.array_equal(first.probabilities, other.probabilities)


def test_order_and_batch_of_prediction_change_nothing(
    parts: Parts, tmp_path: Path
) -> None:
    network, _, _ = fit(parts, tmp_path)
    one, many = (
        predict(network, parts.test, CPU, 1),
        predict(network, parts.test, CPU, 9),
    )
    assert one.clips == tuple(c.id for c in parts.test.clips) == many.clips
    np.testing.assert_allclose(one.probabilities, many.probabilities, atol=1e-6)


def test_an_interrupted_training_goes_on_and_ends_the_same(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict(fit(parts, tmp_path / "whole")[0], parts.test, CPU, 4)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)

    def interrupt(epoch: int, values: Mapping[str, float]) -> None:
        if epoch == 5:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        train(job(Regularised(), RECIPE, parts, 0, interrupt, tmp_path / "c.pt"))
    assert torch.load(tmp_path / "c.pt", weights_only=True)["progress"]["epoch"] == 4
    network, _, seen = fit(parts, tmp_path)
    assert [epoch for epoch, _ in seen] == list(range(1, 9))
    assert np.array_equal(
        whole.probabilities, predict(network, parts.test, CPU, 4).probabilities
    )


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _flip(path: Path) -> None:
    """One bit of a weight, which torch reads without a word."""
    content = bytearray(path.read_bytes())
    weights = torch.load(path, weights_only=True)["network"]["classify.weight"]
    place = bytes(content).index(weights.numpy().tobytes())
    content[place + 3] ^= 0x40
    path.write_bytes(content)


class _Foreign:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this was executed",)


def _other_network(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["network"] = nn.Linear(2, 2).state_dict()
    torch.save(content, path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": _cut,
    "one bit": _flip,
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "foreign pickle": lambda path: torch.save(_Foreign(), path),
    "other content": lambda path: torch.save([1, 2], path),
    "other network": _other_network,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_costs_time_alone(
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    whole = predict(fit(parts, tmp_path / "whole")[0], parts.test, CPU, 4)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    saved = tmp_path / "c.pt"
    fit(parts, tmp_path, replace(RECIPE, epochs=3))
    DAMAGE[damage](saved)
    capsys.readouterr()
    network, _, seen = fit(parts, tmp_path)
    assert [epoch for epoch, _ in seen] == list(range(1, 9))
    said = capsys.readouterr()
    assert "is damaged: the training starts over" in said.err
    assert "weights_only" not in said.err
    assert "executed" not in said.out
    assert np.array_equal(
        whole.probabilities, predict(network, parts.test, CPU, 4).probabilities
    )


def test_a_training_goes_on_where_no_checkpoint_can_be_written(
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The limit on a file's size stands for a full disk."""
    whole = predict(fit(parts, tmp_path / "whole")[0], parts.test, CPU, 4)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        network, _, _ = fit(parts, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "no checkpoint can be written" in capsys.readouterr().err
    assert not list(tmp_path.glob("c*"))
    assert np.array_equal(
        whole.probabilities, predict(network, parts.test, CPU, 4).probabilities
    )


def test_early_stopping_restores_the_best_epoch(parts: Parts, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=60, patience=3, monitor="loss", learning_rate=2.0)
    network, done, seen = fit(parts, tmp_path, recipe)
    losses = [values["loss"] for _, values in seen]
    assert done.best_epoch == int(np.argmin(losses)) + 1
    assert done.epoch == done.best_epoch + 3 < 60
    again = predict(network, parts.valid, CPU, 4)
    assert log_loss(again) == pytest.approx(min(losses), rel=1e-6)


def test_of_epochs_that_score_alike_the_surer_one_is_kept(
    parts: Parts, tmp_path: Path
) -> None:
    _, done, seen = fit(parts, tmp_path, replace(RECIPE, epochs=12))
    best = max(values["UA"] for _, values in seen)
    losses = {epoch: values["loss"] for epoch, values in seen if values["UA"] == best}
    assert len(losses) > 1
    assert done.best_epoch == min(losses, key=losses.__getitem__) != min(losses)


class Greedy(Regularised):
    """Runs out of memory whenever a batch has more than four clips."""

    def forward(self, inputs: Inputs) -> Tensor:
        if len(inputs["mel"].lengths) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB")
        return super().forward(inputs)


def test_full_memory_halves_the_batch_and_keeps_the_step(
    parts: Parts, tmp_path: Path
) -> None:
    network, done, _ = fit(
        parts, tmp_path, replace(RECIPE, batch_size=16, accumulate=2), Greedy()
    )
    assert (done.batch_size, done.accumulate) == (4, 8)
    assert predict(network, parts.test, CPU, 16).probabilities.shape == (9, 3)


def test_accumulated_gradients_equal_those_of_the_whole_batch(
    parts: Parts, tmp_path: Path
) -> None:
    same = replace(
        RECIPE,
        optimizer="sgd",
        learning_rate=0.1,
        epochs=1,
        weight_decay=0.0,
        clip_norm=0.0,
    )
    torch.manual_seed(0)
    start = MeanClassifier("mel", 80, 3).state_dict()
    results = []
    for size, accumulate in ((36, 1), (12, 3)):
        network = MeanClassifier("mel", 80, 3)
        network.load_state_dict(start)
        fit(
            parts,
            tmp_path,
            replace(same, batch_size=size, accumulate=accumulate),
            network,
        )
        results.append(network.classify.weight.detach())
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


class Exploding(Regularised):
    def forward(self, inputs: Inputs) -> Tensor:
        return super().forward(inputs) * (torch.inf if self.training else 1.0)


def test_a_loss_that_is_not_finite_names_step_and_clips(
    parts: Parts, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingError,
        match=r"not finite at epoch 1, batch 1 \(clips (low|middle|high)_._\d",
    ):
        fit(parts, tmp_path, network=Exploding())


def test_one_clip_that_does_not_fit_is_told(parts: Parts, tmp_path: Path) -> None:
    class Bottomless(Regularised):
        def forward(self, inputs: Inputs) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(TrainingError, match="memory ran out at a batch of one clip"):
        fit(parts, tmp_path, network=Bottomless())


def test_other_errors_pass_through(parts: Parts, tmp_path: Path) -> None:
    class Wrong(Regularised):
        def forward(self, inputs: Inputs) -> Tensor:
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(parts, tmp_path, network=Wrong())


def test_several_labels_per_clip(parts: Parts, tmp_path: Path) -> None:
    several = [
        Examples(p.clips, p.labels, True, p.features)
        for p in (parts.train, parts.valid, parts.test)
    ]
    for balanced in ("none", "balanced"):
        network, _, _ = fit(
            Parts(*several),
            tmp_path,
            replace(RECIPE, class_weights=balanced, epochs=20, monitor="F1 macro"),
        )
        predictions = predict(network, several[2], CPU, 4)
        assert predictions.multilabel
        assert ((predictions.probabilities > 0.5) == predictions.truth).mean() > 0.9


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_precisions_and_schedules_run_one_after_another(
    parts: Parts, tmp_path: Path, precision: str, schedule: str
) -> None:
    _, done, _ = fit(
        parts,
        tmp_path,
        replace(RECIPE, epochs=2, precision=precision, schedule=schedule),
    )
    assert done.epoch == 2


def test_learning_rate_rises_then_falls() -> None:
    rate = learning_rate_factor(Recipe(warmup=0.2, schedule="linear"), 10)
    assert [round(rate(s), 3) for s in (0, 1, 2, 6, 10)] == [0.5, 1.0, 1.0, 0.5, 0.0]


def test_balanced_loss_weighs_a_rare_class_as_much_as_a_common_one(
    parts: Parts,
) -> None:
    few = Examples(
        [c for c in parts.train.clips if c.labels != ("low",) or c.speaker == "a"],
        *_rest(parts.train),
    )
    loss = loss_function(replace(RECIPE, class_weights="balanced"), few, CPU)
    logits = torch.zeros(len(few), 3)
    logits[:, 0] = 1.0
    targets = few.targets
    per_class = [
        -(logits.log_softmax(1)[targets[:, k] == 1, k]).mean() for k in range(3)
    ]
    assert loss(logits, targets).item() == pytest.approx(
        float(sum(per_class)) / 3, rel=1e-5
    )


def _rest(examples: Examples):
    return examples.labels, examples.multilabel, examples.features


def test_batches_hold_every_clip_once_in_similar_lengths() -> None:
    lengths = np.random.default_rng(0).integers(10, 1000, 403).tolist()
    order = LengthBatches(lengths, 8, seed=1)
    first = list(order)
    assert sorted(i for b in first for i in b) == list(range(403))
    assert len(order) == len(first) == 51
    waste = sum(max(lengths[i] for i in b) * len(b) for b in first) / sum(lengths)
    assert waste < 1.25
    assert first == list(order)
    order.epoch = 1
    assert first != list(order)


def test_a_batch_is_padded_with_its_lengths(parts: Parts) -> None:
    batch = collate([parts.train[0], parts.train[1], parts.train[2]])
    lengths = [parts.train.lengths[i] for i in range(3)]
    assert batch.inputs["mel"].lengths.tolist() == lengths
    assert batch.inputs["mel"].values.shape == (3, max(lengths), 80)
    assert batch.inputs["mel"].mask.sum(1).tolist() == lengths
    assert batch.targets.sum(1).tolist() == [1.0, 1.0, 1.0]


class Centroids(MeanClassifier):
    """Fitted in closed form: the nearest class mean."""

    def __init__(self) -> None:
        super().__init__("mel", 80, 3)
        self.fits = 0

    def fit(
        self,
        inputs: Iterable[Inputs],
        targets: Tensor,
        valid_inputs: Iterable[Inputs],
        valid: Tensor,
    ) -> None:
        means = torch.cat([batch["mel"].mean() for batch in inputs])
        assert len(means) == len(targets) == 36
        assert (
            sum(len(batch["mel"].lengths) for batch in valid_inputs) == len(valid) == 9
        )
        centres = targets.T @ means / targets.sum(0)[:, None]
        self.classify.load_state_dict(
            {"weight": centres, "bias": -centres.square().sum(1) / 2}
        )
        self.fits += 1

    def calibrate(self, inputs: Iterable[Inputs]) -> None:
        raise AssertionError("a network that fits itself is not calibrated")


def test_a_network_may_fit_itself(parts: Parts, tmp_path: Path) -> None:
    """In one call, with the targets in the order of the inputs; one epoch is reported, with
    validation scores.
    """
    network, done, seen = fit(parts, tmp_path, network=Centroids())
    assert isinstance(network, Centroids)
    assert network.fits == 1
    assert (done.epoch, done.best_epoch, [epoch for epoch, _ in seen]) == (1, 1, [1])
    assert {"UA", "WA", "loss"} <= set(seen[0][1])
    assert torch.equal(done.best["classify.weight"], network.classify.weight)
    predictions = predict(network, parts.test, CPU, 4)
    assert (
        predictions.probabilities.argmax(1) == predictions.truth.argmax(1)
    ).mean() == 1.0
    assert not (tmp_path / "c.pt").exists()


def test_a_share_of_an_epoch_is_so_many_batches_and_steps(
    parts: Parts, tmp_path: Path
) -> None:
    whole, half = (
        list(LengthBatches(parts.train.lengths, 4, seed=2, share=share))
        for share in (1.0, 0.5)
    )
    assert (len(whole), half) == (9, whole[:5])
    same = replace(RECIPE, batch_size=4, epochs=1, schedule="linear")
    weights = [
        fit(
            parts,
            tmp_path,
            replace(same, epoch_share=share),
            MeanClassifier("mel", 80, 3),
        )[0].classify.weight
        for share in (1.0, 0.5)
    ]
    assert not torch.equal(*weights)


def test_the_last_epoch_is_kept_where_none_is_to_be_chosen(
    parts: Parts, tmp_path: Path
) -> None:
    recipe = replace(
        RECIPE, learning_rate=2.0
    )  # so large that the best epoch is an early one
    _, best, _ = fit(parts, tmp_path, replace(recipe, monitor="loss"))
    _, last, _ = fit(parts, tmp_path, replace(recipe, monitor="last"))
    assert best.best_epoch < 8
    assert last.best_epoch == 8
    assert best.history == last.history


def test_several_labels_are_scored_at_their_best_thresholds(
    parts: Parts, tmp_path: Path
) -> None:
    """A rare class is never above one half at first; its order is worth something all the same."""
    several = [
        Examples(p.clips, p.labels, True, p.features)
        for p in (parts.train, parts.valid, parts.test)
    ]
    _, _, seen = fit(
        Parts(*several),
        tmp_path,
        replace(RECIPE, epochs=1, learning_rate=1e-6, monitor="F1 macro"),
    )
    assert seen[0][1]["F1 macro"] >= 0.5
