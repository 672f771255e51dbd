"""The private fine-grained set of the Beijing psychological support hotline: which negative
emotions are heard?

Chen et al., arXiv 2405.04128: eleven emotions, several per utterance, callers' turns alone. It
cannot be obtained; whoever has it describes it by a manifest. Neither counts nor results are
published per class.
"""

from collections.abc import Mapping
from pathlib import Path

from bench.contracts.clip import Clip
from bench.contracts.published import published
from bench.contracts.task import Expected, Protocol, Task
from bench.splits.canonical import canonical
from bench.splits.protocols import held_out_speakers, speaker_kfold, without_copies
from tasks._hotline import MEAN_SECONDS, TELEPHONE, clips

LABELS = (
    "despair",
    "sadness",
    "pain",
    "guilt",
    "confuse",
    "helplessness",
    "resentment",
    "fear",
    "numbness",
    "anxiety",
    "grievance",
)

FIGURES = published(__file__)


class HotlineFine(Task):
    title = "Psychological support hotline, 11 negative emotions, several per clip (private)"
    labels = LABELS
    languages = ("zh",)
    licence = "private"
    citation = f"{FIGURES.sources['chen']}, 2024"
    obtain = (
        "it is private: name your own manifest, with the columns path, label (any of the 11 "
        "emotions, joined by |) and speaker, with --data hotline-fine=FILE"
    )
    expected = Expected(
        clips=20630,
        speakers=105,
        hours=round(20630 * MEAN_SECONDS / 3600, 1),
        rate=TELEPHONE,
    )
    default_protocol = "subject-5"
    multilabel = True
    private = True
    published = FIGURES.rows

    def clips(self, root: Path | None) -> list[Clip]:
        """Every row of the manifest, with none, one or several emotions."""
        return clips(
            self.name,
            root,
            self.obtain,
            self.labels,
            multilabel=True,
        )

    def protocols(self) -> Mapping[str, Protocol]:
        return {
            "subject-5": Protocol(
                "5 folds of whole callers, balanced by rarest emotion: every clip is tested once; "
                "15 % of the others validate",
                canonical(without_copies(speaker_kfold(5)), self.labels),
                speaker_disjoint=True,
                audio_disjoint=True,
            ),
            "published": Protocol(
                "Chen's 80/20 of the callers: a fifth tests in all 5 folds; "
                "each fifth of the others validates once",
                canonical(
                    without_copies(held_out_speakers(test=0.2, k=5)), self.labels
                ),
                speaker_disjoint=True,
                audio_disjoint=True,
                shared_test=True,
                source=f"{FIGURES.sources['chen']}, released notebooks",
                notes=(
                    "the same held-out callers are tested by all 5 folds, "
                    "which differ in training and validation",
                    "Chen's own callers follow the order of a folder and are not published: "
                    "the same share, others",
                ),
            ),
        }
