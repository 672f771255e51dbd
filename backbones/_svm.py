"""A linear support vector machine as a torch module, solved by liblinear (Fan et al., JMLR 9,
2008).
"""

import warnings
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contracts.batch import Inputs, Padded
from bench.scoring.scores import f1_macro, ua
from bench.training.layers import MeanClassifier

COSTS = (
    1e-5,
    1e-4,
    1e-3,
    1e-2,
    1e-1,
    1.0,
)  # C on standardised inputs, the strongest penalty first
ITERATIONS = 500  # of liblinear at most; only costs that hardly penalise stop there

Matrix = NDArray[np.float64]


class LinearSvm(MeanClassifier):
    """One machine per class against all others, with squared hinge loss and L2 penalty.

    Inputs are standardised. `cost` is C; at 0 it is the one of COSTS with the best validation
    score (UA, or F1 macro with several labels per clip), the smallest of equal ones. The machine is
    not trained again on the validation part.
    """

    def __init__(
        self,
        name: str,
        dim: int,
        classes: int,
        multilabel: bool,
        cost: float,
        balanced: bool,
    ) -> None:
        super().__init__(name, dim, classes)
        self.multilabel = multilabel
        self.cost = cost
        self.balanced = balanced

    def fit(
        self,
        inputs: Iterable[Inputs],
        targets: Tensor,
        valid_inputs: Iterable[Inputs],
        valid_targets: Tensor,
    ) -> None:
        """Standardise by the training part and keep the best cost on the validation part."""
        device = self.classify.weight.device
        self.cpu()
        train = self._means(inputs)
        valid = self._means(valid_inputs)
        self._standardise_by(train)
        values = self._standardised(train)
        held = self._standardised(valid)
        truth = targets.cpu().bool().numpy()
        valid_truth = valid_targets.cpu().bool().numpy()
        # a solution lies in the span of the clips: (dim, k), (k, clips)
        basis, corner = np.linalg.qr(values.T)
        costs = [self.cost] if self.cost else COSTS
        best = -1.0
        for cost in costs:
            inner, bias = _solve(corner.T, truth, cost, self.balanced)
            weights = inner @ basis.T
            decisions = held @ weights.T + bias
            score = self._score(decisions, valid_truth)
            if score > best:
                best = score
                self._keep(weights, bias)
        self.to(device)

    def _means(self, inputs: Iterable[Inputs]) -> Tensor:
        """(clips, dim)."""
        means = [batch[self.name].mean().cpu() for batch in inputs]
        return torch.cat(means)

    def _standardise_by(self, train: Tensor) -> None:
        lengths = torch.ones(len(train), dtype=torch.long)
        self.standardise.calibrate([Padded(train[:, None], lengths)])

    def _standardised(self, values: Tensor) -> Matrix:
        result: Matrix = self.standardise(values).double().numpy()
        return result

    def _keep(self, weights: Matrix, bias: Matrix) -> None:
        state = {"weight": torch.from_numpy(weights), "bias": torch.from_numpy(bias)}
        self.classify.load_state_dict(state)

    def _score(self, decisions: Matrix, truth: NDArray[np.bool_]) -> float:
        if self.multilabel:
            score, said = f1_macro, decisions > 0
        else:
            one_per_class = np.eye(decisions.shape[1], dtype=bool)
            score, said = ua, one_per_class[decisions.argmax(1)]
        right = (truth & said).sum(0)
        wrong = (~truth & said).sum(0)
        missed = (truth & ~said).sum(0)
        return float(score(np.stack([right, wrong, missed])))


def _solve(
    values: Matrix, truth: NDArray[np.bool_], cost: float, balanced: bool
) -> tuple[Matrix, Matrix]:
    """Weights (classes, dim) and biases (classes,).

    A class that all clips have, or none, is a bias alone.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    clips, dim = values.shape
    classes = truth.shape[1]
    weights = np.zeros((classes, dim))
    bias = np.where(truth.all(0), 1.0, -1.0)
    divided = truth.any(0) & ~truth.all(0)
    for label in np.flatnonzero(divided):
        machine = LinearSVC(
            C=cost,
            class_weight="balanced" if balanced else None,
            dual=clips <= dim,  # the faster of two solvers
            max_iter=ITERATIONS,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(values, truth[:, label])
        weights[label] = machine.coef_[0]
        bias[label] = machine.intercept_[0]
    return weights, bias
