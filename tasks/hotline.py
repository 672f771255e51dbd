"""The private binary set of the Beijing psychological support hotline: is a caller's utterance
negative or not?

Chen et al., arXiv 2405.04128; Wang et al., arXiv 2501.08696, Table I: 20,254 segments of 105
callers. It cannot be obtained; whoever has it describes it by a manifest. The published F1 figures
are not about the same class: see the note of each (worked out from the papers' own figures and
their Table I).
"""

from collections.abc import Mapping
from pathlib import Path

from bench.contracts.clip import Clip
from bench.contracts.published import published
from bench.contracts.task import Expected, Protocol, Task
from bench.splits.canonical import canonical
from bench.splits.protocols import held_out_speakers, speaker_kfold, without_copies
from tasks._files import differences
from tasks._hotline import MEAN_SECONDS, TELEPHONE, clips

NEGATIVE = "negative"
OTHER = "non-negative"

FIGURES = published(__file__)


class Hotline(Task):
    title = "Psychological support hotline, negative or not (private)"
    labels = (NEGATIVE, OTHER)
    languages = ("zh",)
    licence = "private"
    citation = f"{FIGURES.sources['chen']}, 2024; {FIGURES.sources['wang']}, 2025"
    obtain = (
        "it is private: name your own manifest, with the columns path, label (negative or "
        "non-negative) and speaker, with --data hotline=FILE"
    )
    expected = Expected(
        clips=20254,
        speakers=105,
        labels={NEGATIVE: 9398, OTHER: 10856},
        hours=round(20254 * MEAN_SECONDS / 3600, 1),
        rate=TELEPHONE,
    )
    default_protocol = "subject"
    positive = NEGATIVE
    private = True
    published = FIGURES.rows

    def clips(self, root: Path | None) -> list[Clip]:
        """Every row of the manifest; `[map]` of its companion gives other texts their class."""
        rows = clips(self.name, root, self.obtain, self.labels)
        self.notes = differences(self, rows)
        return rows

    def protocols(self) -> Mapping[str, Protocol]:
        return {
            "subject": Protocol(
                "a fifth of the callers tests in all 5 folds; "
                "each fifth of the others validates once",
                canonical(
                    without_copies(held_out_speakers(test=0.2, k=5)), self.labels
                ),
                speaker_disjoint=True,
                audio_disjoint=True,
                shared_test=True,
                source=f"{FIGURES.sources['wang']}, section IV.A, as its text has it",
                notes=(
                    "the same held-out callers are tested by all 5 folds, "
                    "which differ in training and validation",
                ),
            ),
            "subject-5": Protocol(
                "5 folds of whole callers, balanced by class: every clip is tested once; "
                "15 % of the others validate",
                canonical(without_copies(speaker_kfold(5)), self.labels),
                speaker_disjoint=True,
                audio_disjoint=True,
            ),
        }
