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

COSTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # C on standardised inputs, the strongest penalty first
ITERATIONS = 500  # of liblinear at most; only costs that hardly penalise stop there

Matrix = NDArray[np.float64]


class LinearSvm(MeanClassifier):
    """One machine per class against all others (squared hinge loss, L2 penalty), on standardised
    inputs.

    cost: C; 0 takes of COSTS the one with the best validation score (UA; several labels per clip:
    F1 macro), of equal ones the smallest. The machine is not trained again on the validation part.
    """

    def __init__(
        self, name: str, dim: int, classes: int, multilabel: bool, cost: float, balanced: bool
    ) -> None:
        super().__init__(name, dim, classes)
        self.multilabel, self.cost, self.balanced = multilabel, cost, balanced

    def fit(
        self,
        inputs: Iterable[Inputs],
        targets: Tensor,
        valid_inputs: Iterable[Inputs],
        valid_targets: Tensor,
    ) -> None:
        """Standardise by the training part, solve for each cost, keep the best on the validation
        part.
        """
        device = self.classify.weight.device
        self.cpu()
        train, valid = (
            torch.cat([i[self.name].mean().cpu() for i in part]) for part in (inputs, valid_inputs)
        )
        self.standardise.calibrate(
            [Padded(train[:, None], torch.ones(len(train), dtype=torch.long))]
        )
        values, held = (self.standardise(part).double().numpy() for part in (train, valid))
        basis, corner = np.linalg.qr(
            values.T
        )  # a solution lies in the span of the clips: (dim, k), (k, clips)
        truth, valid_truth = (part.cpu().bool().numpy() for part in (targets, valid_targets))
        best = -1.0
        for cost in [self.cost] if self.cost else COSTS:
            inner, bias = _solve(corner.T, truth, cost, self.balanced)
            weights = inner @ basis.T
            score = self._score(held @ weights.T + bias, valid_truth)
            if score > best:
                best = score
                self.classify.load_state_dict(
                    {"weight": torch.from_numpy(weights), "bias": torch.from_numpy(bias)}
                )
        self.to(device)

    def _score(self, decisions: Matrix, truth: NDArray[np.bool_]) -> float:
        likeliest = np.eye(decisions.shape[1], dtype=bool)[decisions.argmax(1)]
        said = decisions > 0 if self.multilabel else likeliest
        counts = np.stack([(truth & said).sum(0), (~truth & said).sum(0), (truth & ~said).sum(0)])
        return float((f1_macro if self.multilabel else ua)(counts))


def _solve(
    values: Matrix, truth: NDArray[np.bool_], cost: float, balanced: bool
) -> tuple[Matrix, Matrix]:
    """Weights (classes, dim) and biases (classes,); a class that all clips or none have is a bias
    alone.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    weights, bias = np.zeros((truth.shape[1], values.shape[1])), np.where(truth.all(0), 1.0, -1.0)
    weight, dual = (
        "balanced" if balanced else None,
        values.shape[0] <= values.shape[1],
    )  # the faster of two solvers
    for label in np.flatnonzero(truth.any(0) & ~truth.all(0)):
        machine = LinearSVC(
            C=cost, class_weight=weight, dual=dual, max_iter=ITERATIONS, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(values, truth[:, label])
        weights[label], bias[label] = machine.coef_[0], machine.intercept_[0]
    return weights, bias
