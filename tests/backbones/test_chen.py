"""Chen et al.'s six fine-tuning rows (arXiv 2405.04128, released notebooks), checked off one by one
at full scale.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from bench.contracts.backbone import Setup
from bench.contracts.task import Task
from bench.registry import backbones
from tasks.hotline import Hotline
from tasks.hotline_fine import HotlineFine


class Notebook(NamedTuple):
    """One notebook: its checkpoint, its rate and batch for two classes, its epochs for eleven
    (there at 1e-4).
    """

    backbone: str
    hub_id: str
    rate: float
    batch: int
    fine_epochs: float


NOTEBOOKS = (
    Notebook(
        "wav2vec2:released",
        "jonatasgrosman/wav2vec2-large-xlsr-53-chinese-zh-cn",
        1e-4,
        4,
        1,
    ),
    Notebook("hubert:released", "facebook/hubert-base-ls960", 1e-5, 2, 0.5),
    Notebook("whisper-small:released", "openai/whisper-small", 1e-4, 16, 3),
    Notebook(
        "whisper-small-zh:released", "Jingmiao/whisper-small-chinese_base", 1e-4, 16, 3
    ),
    Notebook("whisper-medium:released", "openai/whisper-medium", 1e-4, 16, 3),
    Notebook("whisper-large-v3:released", "openai/whisper-large-v3", 1e-4, 4, 1),
)
BINARY, FINE = Hotline("hotline"), HotlineFine("hotline-fine")


def pairing(name: str, task: Task) -> tuple[Any, Setup]:
    backbone = backbones([name])[0]
    options = backbone.options()
    language = task.languages[0]
    labels = task.labels
    return backbone, Setup(
        labels,
        task.multilabel,
        language,
        "finetune",
        "full",
        None,
        backbone.variant,
        options,
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.backbone)
def test_the_checkpoint_is_the_notebook_s(notebook: Notebook) -> None:
    for task in (BINARY, FINE):
        backbone, setup = pairing(notebook.backbone, task)
        own = getattr(backbone, "checkpoint", None)
        checkpoint = own(setup) if own else backbone.checkpoints["*"]
        assert checkpoint.hub_id == notebook.hub_id
        assert backbone.refuses(setup) is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.backbone)
def test_the_binary_recipe_is_the_notebook_s(notebook: Notebook) -> None:
    backbone, setup = pairing(notebook.backbone, BINARY)
    recipe = backbone.recipe(setup)
    assert (recipe.learning_rate, recipe.batch_size, recipe.accumulate) == (
        notebook.rate,
        notebook.batch,
        2,
    )
    assert recipe.epochs * recipe.epoch_share == 1


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.backbone)
def test_the_multilabel_recipe_is_the_notebook_s(notebook: Notebook) -> None:
    backbone, setup = pairing(notebook.backbone, FINE)
    recipe = backbone.recipe(setup)
    assert (recipe.learning_rate, recipe.batch_size, recipe.accumulate) == (
        1e-4,
        notebook.batch,
        2,
    )
    assert recipe.epochs * recipe.epoch_share == notebook.fine_epochs


@pytest.mark.parametrize("task", [BINARY, FINE], ids=lambda t: t.name)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.backbone)
def test_what_the_notebooks_leave_out_is_the_trainer_s_default(
    notebook: Notebook, task: Task
) -> None:
    """AdamW without decay, linear to 0 without a warm-up, gradients clipped at 1, fp16; no epoch is
    chosen.
    """
    backbone, setup = pairing(notebook.backbone, task)
    recipe = backbone.recipe(setup)
    assert (recipe.optimizer, recipe.weight_decay, recipe.clip_norm) == ("adamw", 0, 1)
    assert (recipe.schedule, recipe.warmup, recipe.precision) == ("linear", 0, "fp16")
    assert (recipe.monitor, recipe.patience) == ("last", 0)
    assert (recipe.class_weights, recipe.label_smoothing) == ("none", 0)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.backbone)
def test_the_mended_recipe_chooses_its_epoch_on_validation(notebook: Notebook) -> None:
    backbone, setup = pairing(notebook.backbone.removesuffix(":released"), BINARY)
    recipe = backbone.recipe(setup)
    assert recipe.monitor == "UA"
    assert recipe.patience > 0
    assert recipe.epochs * recipe.epoch_share > 1


def test_whisper_is_padded_to_30_seconds_and_its_encoder_frozen() -> None:
    for notebook in NOTEBOOKS[2:]:
        backbone, setup = pairing(notebook.backbone, BINARY)
        assert (setup.options.pad, setup.options.dropout) == ("30s", 0.0)
        random = replace(setup, weights="random")
        assert list(backbone.features(random)) == ["states"]  # of the frozen encoder
