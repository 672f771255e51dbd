"""What a reader must know about a measured row: why it falls short, and its footnotes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bench.errors import and_more
from bench.runs.records import PairingRecord, RunRecord
from bench.tables.numbers import many

REASONS_SHOWN = 3  # failed runs whose reasons a row gives one by one

TINY = (
    "tiny scale: toy sizes and random weights, which show that the pairing runs and say nothing "
    "about how good the system is"
)
RANDOM = "random weights in place of pre-trained ones"


def failures(runs: Iterable[RunRecord]) -> list[RunRecord]:
    failed = []
    for run in runs:
        if run.status == "failed":
            failed.append(run)
    return failed


def reasons(failed: Sequence[RunRecord]) -> str:
    """Why runs failed; a reason that all of them share is given once, without their names."""
    distinct = list(dict.fromkeys(run.reason for run in failed))
    if len(distinct) <= 1:
        return "".join(distinct)
    each = []
    for run in failed:
        each.append(f"fold {run.fold}, seed {run.seed}: {run.reason}")
    return and_more(each, REASONS_SHOWN, separator="; ")


def shortfall(
    pairing: PairingRecord, done: Sequence[RunRecord], failed: Sequence[RunRecord]
) -> str:
    """Why a row does not cover its protocol; empty if it does.

    A pairing may hold more runs than its last command asked for.
    """
    folds = {run.fold for run in done}
    seeds = {run.seed for run in done}
    asked_folds = max(pairing.folds_asked, len(folds))
    asked = asked_folds * max(pairing.seeds, len(seeds))
    of_folds = [run for run in failed if run.fold]  # one without a fold never started
    broken = len(of_folds)
    absent = asked - len(done) - broken
    expected = pairing.folds_expected
    said = []
    if asked_folds < expected:
        said.append(f"first {asked_folds} of {expected} folds, not the full protocol")
    if broken:
        said.append(f"{broken} of {asked} runs failed: {reasons(of_folds)}")
    if absent > 0:
        said.append(f"{absent} of {asked} runs are not recorded yet")
    return "; ".join(said)


def notes(
    pairing: PairingRecord,
    done: Sequence[RunRecord],
    clips: Iterable[str],
    later_failure: str,
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
        missing = pairing.clips_missing
        verb = "is" if missing == 1 else "are"
        unreadable = many(missing, "unreadable clip")
        yield f"{unreadable} {verb} left out"
    tests = Counter(clips)
    repeated = sum(times > 1 for times in tests.values())
    if repeated:
        yield (
            f"{repeated} clips are in the test parts of several folds; "
            "each of their predictions counts"
        )


def _about_runs(done: Sequence[RunRecord]) -> Iterator[str]:
    """What happened in runs, and in how many of them."""
    occurrences: Counter[str] = Counter()
    for run in done:
        occurrences.update(run.notes)
    runs = len(done)
    for note, times in occurrences.items():
        if times == runs:
            yield note
        else:
            yield f"{note} ({times} of {runs} runs)"


def _later_failures(pairing: PairingRecord, later_failure: str) -> Iterator[str]:
    reasons = [later_failure]
    for run in failures(pairing.runs):
        if not run.fold:  # it never started
            reasons.append(run.reason)
    for reason in reasons:
        if reason:
            yield f"a later attempt failed: {reason}"
