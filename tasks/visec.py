"""ViSEC: Vietnamese speech from films, podcasts and game shows, in four emotions.

Thanh et al., ICASSP 2024. One table of 5,280 rows without any division into parts; its columns are
`speaker_id`, `path` (name and bytes of a WAV file), `duration`, `accent`, `emotion`, `emotion_id`
and `gender`. 277 groups of rows are identical audio, some of them under two speakers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.clip import Clip, Recording
from bench.contracts.published import published
from bench.contracts.task import Expected, Protocol, Task
from bench.errors import CorpusError, and_more, one_line
from bench.splits.protocols import speaker_kfold, stratified, without_copies
from tasks._files import differences, nested

if TYPE_CHECKING:
    import pyarrow

HUB_ID = "hustep-lab/ViSEC"
REVISION = "06926b7a1dca5f6627b47a2446492be6ff061716"
LABELS = ("happy", "neutral", "sad", "angry")  # the order of `emotion_id`
COLUMNS = ("speaker_id", "path", "emotion")  # that a copy must have
META = ("accent", "gender")
UNKNOWN_SPEAKER = "0"  # 2,217 clips, 42 %: many voices under one number, as it seems
SEED = 0  # of the published protocol: gives Table II's counts exactly, in validation and test too

NOT_THE_SAME = (
    "the papers' own division is not published: Table II's counts, other clips"
)

FIGURES = published(__file__)


class ViSEC(Task):
    title = "ViSEC: Vietnamese, 4 emotions"
    labels = LABELS
    languages = ("vi",)
    licence = "CC BY 4.0"
    citation = FIGURES.sources["thanh"]
    url = f"https://huggingface.co/datasets/{HUB_ID}"
    obtain = (
        f"run `bench prepare visec` where there is a network (0.4 GB of {HUB_ID}), or name a copy "
        "of its folder or parquet file with --data visec=PATH"
    )
    expected = Expected(
        clips=5280,
        speakers=147,
        labels={"happy": 1228, "neutral": 1507, "sad": 1079, "angry": 1466},
        hours=3.18,
        rate=16_000,
    )
    default_protocol = "speaker"
    published = FIGURES.rows

    def clips(self, root: Path | None) -> list[Clip]:
        """Every row, its WAV file in memory. `root`: a folder with `data/*.parquet`, or one parquet
        file.
        """
        table = _read(root or _hub())
        missing = [name for name in COLUMNS if name not in table.column_names]
        if missing:
            names = ", ".join(missing)
            raise CorpusError(
                f"ViSEC's table lacks the columns {names}: it is not a copy of {HUB_ID}"
            )
        clips = []
        faults = []
        for number, row in enumerate(_rows(table), start=1):
            fault = _fault(row)
            if fault:
                faults.append(f"row {number} ({fault})")
            else:
                clips.append(_clip(number, row))
        if faults:
            raise CorpusError(
                f"ViSEC: {len(faults)} of {len(table)} rows cannot be used: {and_more(faults)}; "
                "get a fresh copy"
            )
        self.notes = differences(self, clips)
        return clips

    def protocols(self) -> Mapping[str, Protocol]:
        random = stratified(test=0.1, valid=0.1, seed=SEED)
        return {
            "speaker": Protocol(
                "5 folds of whole speakers, balanced by class; 15 % of the other speakers validate",
                without_copies(speaker_kfold(5, never_tested=[UNKNOWN_SPEAKER])),
                speaker_disjoint=True,
                audio_disjoint=True,
                notes=(
                    "speaker 0 (42 % of ViSEC, probably many unknown voices) is in every training "
                    "part and in no test part; training clips whose audio is tested under another "
                    "speaker are left out",
                ),
            ),
            "published": Protocol(
                "one random stratified 80/10/10 division of the clips, "
                "with exactly the papers' counts",
                random,
                speaker_disjoint=False,
                audio_disjoint=False,
                source=f"{FIGURES.sources['wang']}, Table II",
                notes=(NOT_THE_SAME,),
            ),
            "dedup": Protocol(
                "`published`, less the training and validation clips whose audio is also tested",
                without_copies(random),
                speaker_disjoint=False,
                audio_disjoint=True,
            ),
        }


def _hub() -> Path:
    """The pinned revision's folder in the hub's cache, filled on first use."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot = snapshot_download(
            HUB_ID,
            repo_type="dataset",
            revision=REVISION,
            allow_patterns="data/*.parquet",
        )
    except LocalEntryNotFoundError as error:  # offline, or no answer
        raise CorpusError(
            f"ViSEC is not on this machine, and the hub is out of reach: {ViSEC.obtain}"
        ) from error
    except Exception as error:  # no such revision, no room: errors of three libraries
        reason = one_line(error, 200)
        raise CorpusError(
            f"ViSEC cannot be fetched ({reason}): {ViSEC.obtain}"
        ) from error
    return Path(snapshot)


def _read(root: Path) -> "pyarrow.Table":
    """The rows of all parquet files."""
    import pyarrow
    import pyarrow.parquet

    files = [root] if root.is_file() else sorted(nested(root, "data").glob("*.parquet"))
    if not files:
        raise CorpusError(
            f"there is no parquet file of ViSEC at {root}: {ViSEC.obtain}"
        )
    try:
        tables = [pyarrow.parquet.read_table(path) for path in files]
        return pyarrow.concat_tables(tables)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise CorpusError(
            f"ViSEC at {root} cannot be read ({error}): get a fresh copy"
        ) from error


def _rows(table: "pyarrow.Table") -> Iterator[Mapping[str, Any]]:
    """One row after the other, so that only one batch of audio is ever held twice."""
    for batch in table.to_batches(max_chunksize=64):
        yield from batch.to_pylist()


def _fault(row: Mapping[str, Any]) -> str:
    """What keeps a row from being a clip; empty if nothing does."""
    if row["emotion"] not in LABELS:
        return f"the emotion {row['emotion']!r}"
    if row["speaker_id"] is None:
        return "no speaker"
    audio = row["path"]
    if not isinstance(audio, Mapping) or not audio.get("bytes"):
        return "no audio"
    return ""


def _clip(number: int, row: Mapping[str, Any]) -> Clip:
    audio = row["path"]
    where = f"row {number} of ViSEC"
    if audio.get("path"):
        where += f" ({audio['path']})"
    meta = {}
    for column in META:
        if row.get(column) is not None:
            meta[column] = str(row[column])
    return Clip(
        id=f"{number:04}",
        audio=Recording(data=audio["bytes"]),
        labels=(row["emotion"],),
        speaker=str(row["speaker_id"]),
        language="vi",
        where=where,
        meta=meta,
    )
