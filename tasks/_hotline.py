"""What the hotline's two tasks share."""

from collections.abc import Sequence
from pathlib import Path

from bench.contracts.clip import Clip
from bench.data.manifest import make_clips
from bench.data.manifest_file import read
from bench.errors import CorpusError

MEAN_SECONDS = 7.21  # of its segments: Wang et al., section IV.A
TELEPHONE = 8000  # Hz; the papers give none


def clips(
    task: str,
    root: Path | None,
    obtain: str,
    labels: Sequence[str],
    multilabel: bool = False,
) -> list[Clip]:
    """Every row of a private manifest that names its callers; `[map]` of its companion gives other
    texts their class.
    """
    if root is None or not root.is_file():
        raise CorpusError(f"the task {task} has no manifest: {obtain}")
    manifest = read(root, private=True)
    if "speaker" not in manifest.columns or manifest.rows[0].speaker is None:
        raise CorpusError(
            "the manifest of the private task names no speakers, by whom its protocols divide"
        )
    class_names = {label: label for label in labels}
    return make_clips(manifest, class_names, private=True, multilabel=multilabel)
