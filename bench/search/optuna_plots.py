"""What Optuna tells about a study that has ended: which values mattered, and plots."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState


def importances(study: optuna.Study) -> dict[str, float]:
    """Each value's share in the variation of the score (fANOVA, Hutter et al. 2014).

    Empty if fewer than two different scores are known.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def plots(study: optuna.Study, folder: Path, title: str, score: str) -> list[Path]:
    """History, importances, slices and parallel coordinates as PNG files.

    `score`: the label of the axes that show it.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from optuna.visualization import matplotlib as draw

    kinds: dict[str, Callable[..., Any]] = {
        "history": draw.plot_optimization_history,
        "slices": draw.plot_slice,
        "parallel": draw.plot_parallel_coordinate,
    }
    if importances(study):
        kinds["importances"] = draw.plot_param_importances
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, plot in kinds.items():
        figure = _figure(plot, study, title, score)
        files.append(folder / f"{name}.png")
        _save(figure, files[-1])
    return files


def _figure(
    plot: Callable[..., Any], study: optuna.Study, title: str, score: str
) -> Any:
    with warnings.catch_warnings():
        # about axes along which all trials are the same
        warnings.simplefilter("ignore", UserWarning)
        axes = plot(study, target_name=score)
    first = axes.ravel()[0] if hasattr(axes, "ravel") else axes
    figure = first.get_figure()
    values = {
        name for trial in study.get_trials(deepcopy=False) for name in trial.params
    }
    figure.suptitle(title, fontsize=9)
    figure.set_size_inches(max(8.0, 1.6 * len(values)), 5.0)
    return figure


def _save(figure: Any, file: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(file, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
