"""What a reader must know about a measured row: why it falls short, and its footnotes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bench.runs.records import PairingRecord, RunRecord

REASONS_SHOWN = 3  # failed runs whose reasons a row gives one by one

TINY = (
    "tiny scale: toy sizes and random weights, which show that the pairing runs and say nothing "
    "about how good the system is"
)
RANDOM = "random weights in place of pre-trained ones"


def failures(runs: Iterable[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.status == "failed"]


def reasons(failed: Sequence[RunRecord]) -> str:
    """Why runs failed; a reason that all of them share is given once, without their names."""
    distinct = list(dict.fromkeys(run.reason for run in failed))
    if len(distinct) <= 1:
        return "".join(distinct)
    shown = failed[:REASONS_SHOWN]
    said = [f"fold {run.fold}, seed {run.seed}: {run.reason}" for run in shown]
    hidden = len(failed) - len(shown)
    if hidden:
        said.append(f"and {hidden} more")
    return "; ".join(said)


def shortfall(
    pairing: PairingRecord, done: Sequence[RunRecord], failed: Sequence[RunRecord]
) -> str:
    """Why a row does not cover its protocol; empty if it does.

    A pairing may hold more runs than its last command asked for.
    """
    folds = max(pairing.folds_asked, len({run.fold for run in done}))
    seeds = max(pairing.seeds, len({run.seed for run in done}))
    asked = folds * seeds
    of_folds = [run for run in failed if run.fold]  # one without a fold never started
    absent = asked - len(done) - len(of_folds)
    said = []
    if folds < pairing.folds_expected:
        said.append(f"first {folds} of {pairing.folds_expected} folds, not the full protocol")
    if of_folds:
        said.append(f"{len(of_folds)} of {asked} runs failed: {reasons(of_folds)}")
    if absent > 0:
        said.append(f"{absent} of {asked} runs are not recorded yet")
    return "; ".join(said)


def notes(
    pairing: PairingRecord, done: Sequence[RunRecord], clips: Iterable[str], later_failure: str
) -> tuple[str, ...]:
    """The footnotes of a row; `clips` are those of all folds of one seed."""
    every = [
        *_about_weights(pairing),
        *_about_clips(pairing, clips),
        *pairing.notes,
        *_about_runs(done),
        *_later_failures(pairing, later_failure),
    ]
    return tuple(dict.fromkeys(every))


def _about_weights(pairing: PairingRecord) -> Iterator[str]:
    if pairing.scale == "tiny":
        yield TINY
    elif pairing.weights == "random":
        yield RANDOM


def _about_clips(pairing: PairingRecord, clips: Iterable[str]) -> Iterator[str]:
    if pairing.clips_missing:
        yield f"{pairing.clips_missing} unreadable clips are left out"
    repeated = sum(times > 1 for times in Counter(clips).values())
    if repeated:
        yield (
            f"{repeated} clips are in the test parts of several folds; "
            "each of their predictions counts"
        )


def _about_runs(done: Sequence[RunRecord]) -> Iterator[str]:
    """What happened in runs, and in how many of them."""
    occurrences = Counter(note for run in done for note in run.notes)
    for note, times in occurrences.items():
        yield note if times == len(done) else f"{note} ({times} of {len(done)} runs)"


def _later_failures(pairing: PairingRecord, later_failure: str) -> Iterator[str]:
    never_started = [run.reason for run in failures(pairing.runs) if not run.fold]
    for reason in [later_failure, *never_started]:
        if reason:
            yield f"a later attempt failed: {reason}"
