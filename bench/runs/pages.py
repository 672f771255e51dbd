"""What MLflow's own pages show of runs, by MLflow's own conventions: parameters to filter by, who
made a run, its corpus, and a saved view of the scores.
"""

import getpass
import json
import time
from typing import TYPE_CHECKING

from bench.runs.machine import commit
from bench.runs.mlflow_client import Dataset, DatasetInput, InputTag
from bench.runs.records import PairingRecord

if TYPE_CHECKING:
    from bench.data.corpus import Corpus

USER = "mlflow.user"
SOURCE = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
COMMIT = "mlflow.source.git.commit"
CONTEXT = "mlflow.data.context"
KIND = "mlflow.experimentKind"  # which of its pages MLflow opens an experiment with
TRAINING = "custom_model_development"  # that of training runs
VIEW = "scores"  # the key of the saved view, in its address and its tag
WORKFLOW = "workflowType=machine_learning"  # not the pages on language models
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
SHOWN = ("UA", "UA low", "UA high", "WA", "F1 macro")  # metrics that are columns of it
VALUES = ("backbone", "variant", "mode", "protocol", "scale")  # parameters likewise
PAIRINGS = "tags.`ser.kind` = 'pairing'"  # the view's lines: no folds, no trials
NAME_SIZE = 500  # characters of a dataset's name


def asked(record: PairingRecord) -> dict[str, str]:
    """What was asked for, in the words of the command line, as parameters of a run."""
    backbone, _, variant = record.backbone.partition(":")
    return {
        "backbone": backbone,
        "variant": variant or "default",
        "task": record.task,
        "mode": record.mode,
        "protocol": record.protocol,
        "scale": record.scale,
    }


def title(system: str, fold: str, seed: int) -> str:
    """The name of a run: `hubert · fold 1 · seed 0`."""
    part = f"fold {fold}" if fold.isdigit() else fold
    parts = [system, part, f"seed {seed}"]
    return " · ".join(filter(None, parts))


def origin(command: str) -> dict[str, str]:
    """Tags that say who made a run, and by what."""
    tags = {
        USER: _user(),
        SOURCE: command,
        SOURCE_TYPE: "LOCAL",
    }
    version = commit()
    if version:
        tags[COMMIT] = version
    return tags


def dataset(corpus: "Corpus") -> DatasetInput:
    """The corpus by its name and checksum, without a path or a clip's name."""
    task = corpus.task
    seconds = [corpus.seconds[clip.id] for clip in corpus.clips]
    speakers = {clip.speaker for clip in corpus.clips}
    speakers.discard(None)
    profile: dict[str, object] = {
        "clips": len(seconds),
        "hours": round(sum(seconds) / 3600, 4),
        "speakers": len(speakers),
    }
    if not task.private:
        profile["labels"] = list(task.labels)
    known = Dataset(
        name=task.name[:NAME_SIZE],
        digest=corpus.checksum,
        source_type="ser-bench",
        source=json.dumps({"task": task.name}, ensure_ascii=False),
        profile=json.dumps(profile, ensure_ascii=False),
    )
    return DatasetInput(known, [InputTag(CONTEXT, "training and test")])


def view(experiment: str) -> str:
    """The page of an experiment's saved view, behind the address of the server."""
    return f"#/experiments/{experiment}/runs?{WORKFLOW}&viewStateShareKey={VIEW}"


def experiment_tags() -> dict[str, str]:
    """What lets an experiment open on its runs, and show their scores in a saved view."""
    columns = [f"metrics.`{name}`" for name in SHOWN]
    columns += [f"params.`{name}`" for name in VALUES]
    state = {
        "selectedColumns": columns,
        "orderByKey": "metrics.`UA`",
        "orderByAsc": False,
        "searchFilter": PAIRINGS,
    }
    now = int(time.time() * 1000)  # ms
    saved = {
        "name": "Scores",
        "createdAt": now,
        "updatedAt": now,
        "state": json.dumps(state),
    }
    return {KIND: TRAINING, VIEW_TAG: json.dumps(saved)}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"
