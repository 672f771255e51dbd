"""What the hotline's two tasks share, and what has been published on it.

Wang et al.'s Tables III to V mix three meanings in their F1 columns. Test set: 2,171 non-negative
and 1,880 negative segments (their Table I). For their own rows exactly one confusion matrix fits
the printed accuracy, recall and F1, and only if these are of the NON-negative class. The rows of
six pre-trained models fit none: their F1 is Chen et al.'s weighted one, printed as the recall, too.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.contracts.clip import Clip
from bench.contracts.task import Published
from bench.data.manifest import make_clips
from bench.data.manifest_file import read
from bench.errors import CorpusError

CHEN = "Chen et al., arXiv 2405.04128"
OTHERS, NEGATIVES = 2171, 1880  # test segments
WANG = "Wang et al., arXiv 2501.08696"
SEGMENTS = (
    "80/20 by segment, callers on both sides"  # by the counts of Table I; the text says by subject
)


def clips(
    task: str, root: Path | None, obtain: str, labels: Sequence[str], multilabel: bool = False
) -> list[Clip]:
    """Every row of a private manifest that names its callers; its companion's `[map]` gives other
    texts their class.
    """
    if root is None or not root.is_file():
        raise CorpusError(f"the task {task} has no manifest: {obtain}")
    manifest = read(root, private=True)
    if "speaker" not in manifest.columns or manifest.rows[0].speaker is None:
        raise CorpusError(
            "the manifest of the private task names no speakers, by whom its protocols divide"
        )
    return make_clips(
        manifest, {label: label for label in labels}, private=True, multilabel=multilabel
    )


def _own(
    system: str, table: str, wa: float, recall: float, f1: float, hits: int, rejections: int
) -> Published:
    """A row of their own; the one matrix that fits has `hits` among the others, `rejections` among
    negatives.
    """
    sensitivity, specificity = hits / OTHERS, rejections / NEGATIVES
    other = 2 * hits / (2 * hits + OTHERS - hits + NEGATIVES - rejections)
    negative = 2 * rejections / (2 * rejections + OTHERS - hits + NEGATIVES - rejections)
    derived = {
        "UA": (sensitivity + specificity) / 2,
        "F1 macro": (other + negative) / 2,
        "F1 (negative)": negative,
    }
    figures = ", ".join(f"{name} {100 * value:.2f}" for name, value in derived.items())
    return Published(
        system,
        {"WA": wa, "F1 (non-negative)": f1, "recall (non-negative)": recall},
        SEGMENTS,
        f"{WANG}, Table {table}",
        note=f"its F1 and recall are of the non-negative class; the only matrix that fits finds {rejections} of "
        f"{NEGATIVES} negative segments: {figures}",
    )


def _quoted(
    system: str, wa: float, weighted: float, ua: str, macro: str, negative: str
) -> Published:
    """A row of a pre-trained model; the ranges are over all matrices that fit accuracy and weighted
    F1.
    """
    return Published(
        system,
        {"WA": wa, "F1 weighted": weighted},
        SEGMENTS,
        f"{WANG}, Table V",
        note=f"its F1 is read as weighted, and is printed as its recall, too; probably taken from {CHEN}; what fits "
        f"has UA {ua}, F1 macro {macro}, F1 (negative) {negative}",
    )


PUBLISHED = (
    Published(
        "wav2vec 2.0 XLSR-53 zh-CN, as first published",
        {"F1 weighted": 0.7696},
        SEGMENTS,
        f"{CHEN}, abstract",
        note="its best of six; 1 epoch, scored on the test part all along, which no validation part is kept apart from",
    ),
    _quoted("wav2vec 2.0 XLSR-53 zh-CN", 0.7697, 0.7696, "76.80-77.42", "76.8-77.0", "75.0-77.1"),
    _quoted("HuBERT base", 0.7329, 0.7323, "72.97-73.85", "73.0-73.3", "70.4-73.9"),
    _quoted("Whisper small", 0.7494, 0.7492, "74.72-75.43", "74.8-74.9", "72.6-75.3"),
    _quoted("Whisper small, Chinese", 0.7623, 0.7603, "75.65-77.08", "75.8-76.1", "72.5-77.6"),
    _quoted("Whisper medium", 0.7581, 0.7558, "75.19-76.70", "75.3-75.7", "71.9-77.4"),
    _quoted("Whisper large-v3", 0.7556, 0.7552, "75.29-76.10", "75.4-75.6", "73.1-76.1"),
    Published(
        "pitch fusion (Thanh et al.)",
        {"WA": 0.7620, "F1 (non-negative)": 0.7781, "recall (non-negative)": 0.7812},
        SEGMENTS,
        f"{WANG}, Table V",
        note="no confusion matrix fits all three figures; the nearest (1696 of 2171, 1391 of 1880) has UA 76.06, "
        "F1 macro 76.07, F1 (negative) 74.27",
    ),
    _own("feature fusion", "V", 0.7519, 0.8775, 0.7913, 1905, 1141),
    _own("feature fusion, self-attention only", "IV", 0.7571, 0.8498, 0.7895, 1845, 1222),
    _own("feature fusion, without attention", "IV", 0.7514, 0.8107, 0.7776, 1760, 1284),
    _own("feature fusion, cross-attention only", "IV", 0.7502, 0.7964, 0.7736, 1729, 1310),
    _own("MFCC alone", "III", 0.6934, 0.8006, 0.7368, 1738, 1071),
    _own("pitch alone", "III", 0.6650, 0.7421, 0.7036, 1611, 1083),
)
