"""Studies: a budget that is kept, trials that are nobody's twice, over SQLite and PostgreSQL."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.contracts.space import Choice, Range
from bench.runs.search_record import TrialRecord
from bench.settings import Tuning
from tests.helpers import PATIENCE, ROOT, wait_until

if TYPE_CHECKING:
    from bench.search.optuna_study import Study

SPACE = {
    "rate": Range(1e-4, 1.0, log=True),
    "layers": Range(1, 9, whole=True),
    "kind": Choice(("a", "b")),
}
FIRST = {"rate": 0.01, "layers": 3, "kind": "a"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def opened(url: str, trials: int = 6, **tuning: Any) -> "Study":
    from bench.search.optuna_study import Study

    return Study(url, "one", SPACE, FIRST, Tuning(trials=trials, **tuning))


def finish(study: "Study", count: int = 100) -> list[dict[str, Any]]:
    """Run up to `count` trials, one by one; their values."""
    values = []
    while count and (trials := study.claim(1)):
        values.append(trials[0].values)
        trials[0].complete(score=-abs(trials[0].values["rate"] - 0.3), loss=0.0)
        count -= 1
    return values


def test_the_first_trial_is_the_usual_recipe_and_the_budget_is_kept(url: str) -> None:
    study = opened(url)
    values = finish(study)
    assert values[0] == FIRST
    assert len(values) == 6
    assert len({tuple(v.items()) for v in values}) == 6
    assert study.settled()
    assert study.claim(3) == []
    assert all(
        1e-4 <= v["rate"] <= 1 and v["layers"] in range(1, 10) and v["kind"] in "ab"
        for v in values
    )


def test_a_resumed_search_goes_on_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    whole = finish(opened(f"sqlite:///{tmp_path / 'a.db'}", 15))
    resumed = f"sqlite:///{tmp_path / 'b.db'}"
    parts = finish(opened(resumed, 15), 7) + finish(opened(resumed, 15))
    assert parts == whole
    assert len({tuple(v.items()) for v in whole}) == 15


def test_a_larger_budget_extends_a_search(url: str) -> None:
    finish(opened(url, 3))
    more = opened(url, 5)
    assert not more.settled()
    assert len(finish(more)) == 2
    assert [trial.number for trial in more.ended()] == [0, 1, 2, 3, 4]


def test_a_trial_that_its_values_broke_counts_and_is_not_repeated(url: str) -> None:
    study = opened(url, 2)
    (trial,) = study.claim(1)
    trial.fail("the loss is not finite")
    assert len(finish(study)) == 1
    assert [(t.state, t.reason) for t in study.ended()] == [
        ("failed", "the loss is not finite"),
        ("complete", ""),
    ]


def age_heartbeats(folder: Path) -> None:
    """Make every worker's last heartbeat older than any patience."""
    with (
        closing(sqlite3.connect(folder / "optuna.db", timeout=PATIENCE)) as database,
        database,
    ):
        database.execute(
            "UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 day')"
        )


def heartbeat_age(folder: Path) -> float:
    """s since the newest heartbeat."""
    query = "SELECT unixepoch('now') - unixepoch(max(heartbeat)) FROM trial_heartbeats"
    with closing(sqlite3.connect(folder / "optuna.db", timeout=PATIENCE)) as database:
        return float(database.execute(query).fetchone()[0])


def test_a_dead_workers_trial_is_run_again_by_a_living_one(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.search.optuna_study.GRACE", PATIENCE)
    dead, living = opened(url, 3), opened(url, 3)
    (left,) = dead.claim(1)  # and no heartbeat after it
    assert len(finish(living)) == 2
    assert not living.settled()
    age_heartbeats(tmp_path)
    again = finish(living)
    assert again == [left.values]
    assert living.settled()
    assert len(living.ended()) == 3
    assert len({tuple(t.values.items()) for t in living.ended()}) == 3


def test_a_trial_in_hand_elsewhere_is_left_alone_and_waited_for(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.search.optuna_study.GRACE", PATIENCE)
    monkeypatch.setattr("bench.search.optuna_study.BEAT", 0.1)
    busy, other = opened(url, 2), opened(url, 2)
    trials = busy.claim(1)
    with busy.alive(trials):
        finish(other)
        age_heartbeats(tmp_path)
        wait_until(
            lambda: heartbeat_age(tmp_path) < PATIENCE, "a heartbeat of the busy worker"
        )
        assert other.claim(1) == []
        assert not other.settled()
    trials[0].complete(1.0, 0.0)
    assert other.settled()
    assert len(other.ended()) == 2


def test_a_heartbeat_that_meets_a_locked_database_is_sent_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.search import optuna_study

    for name, value in (("SQLITE_WAIT", 0), ("BEAT", 0.05), ("RETRY", 0.05)):
        monkeypatch.setattr(optuna_study, name, value)
    failed: list[Exception] = []
    send = optuna_study.Trial.beat

    def beat(trial: optuna_study.Trial) -> None:
        try:
            send(trial)
        except Exception as error:
            failed.append(error)
            raise

    monkeypatch.setattr(optuna_study.Trial, "beat", beat)
    study = opened(url, 2)
    with study.alive(study.claim(1)):
        with closing(sqlite3.connect(tmp_path / "optuna.db")) as database:
            database.execute("BEGIN EXCLUSIVE")
            wait_until(lambda: len(failed) > 2, "three heartbeats that failed")
        assert "database is locked" in str(failed[0].__cause__)
        age_heartbeats(tmp_path)
        wait_until(lambda: heartbeat_age(tmp_path) < PATIENCE, "a heartbeat after it")


def test_heartbeats_end_once_others_may_have_the_trial(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench.search import optuna_study

    for name, value in (("SQLITE_WAIT", 0), ("BEAT", 0.05), ("RETRY", 0.05)):
        monkeypatch.setattr(optuna_study, name, value)
    monkeypatch.setattr(optuna_study, "GRACE", 0.3)
    study = opened(url, 2)
    said: list[str] = []
    monkeypatch.setattr(optuna_study.display, "say", said.append)
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database:
        trials = study.claim(1)
        database.execute("BEGIN EXCLUSIVE")
        with study.alive(trials):
            wait_until(lambda: said, "a message")
    assert "has not answered for 0.3 s" in said[0]
    assert "under way here (0)" in said[0]


@pytest.mark.parametrize("pruner", ["median", "halving", "none"])
def test_a_hopeless_trial_is_given_up(url: str, pruner: str) -> None:
    study = opened(url, 8, pruner=pruner)
    for _ in range(7):
        (trial,) = study.claim(1)
        for epoch in range(1, 9):
            trial.hopeless(0.8 + epoch / 100, epoch)
        trial.complete(0.88, 0.1)
    (trial,) = study.claim(1)
    given_up = any(trial.hopeless(0.1, epoch) for epoch in range(1, 9))
    assert given_up == (pruner != "none")
    trial.prune()
    assert study.ended()[-1].state == "pruned"
    assert study.settled()


def test_the_winner_has_the_highest_score_and_of_equals_the_lowest_loss() -> None:
    from bench.search.optuna_study import StudyError, best_trial

    done = [
        TrialRecord(0, {}, "complete", 0.5, 0.1, 1.0),
        TrialRecord(1, {}, "complete", 0.6, 0.9, 1.0),
        TrialRecord(2, {}, "complete", 0.6, 0.8, 1.0),
        TrialRecord(3, {}, "pruned", None, None, 1.0),
    ]
    assert best_trial(done).number == 2
    with pytest.raises(
        StudyError, match="no trial was completed: the loss is not finite"
    ):
        best_trial(
            [TrialRecord(0, {}, "failed", None, None, 1.0, "the loss is not finite")]
        )


def test_plots_and_importances_are_of_real_trials(url: str, tmp_path: Path) -> None:
    study = opened(url, 20)
    finish(study)
    shares = study.importances()
    assert max(shares, key=lambda name: shares[name]) == "rate"
    assert sum(shares.values()) == pytest.approx(1.0)
    files = study.plots(tmp_path / "plots", "a title", "validation UA")
    assert {file.stem for file in files} == {
        "history",
        "slices",
        "parallel",
        "importances",
    }
    assert all(
        file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size > 5_000
        for file in files
    )


def test_a_database_that_does_not_answer_is_one_sentence_without_its_password() -> None:
    from bench.search.optuna_study import StudyError

    with pytest.raises(StudyError) as told:
        opened("postgresql+psycopg://bench:secret@127.0.0.1:1/none")
    assert "127.0.0.1:1/none does not answer" in str(told.value)
    assert "secret" not in str(told.value)


WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.helpers import wait_until
from tests.search.test_optuna_study import opened

def meet(place):
    (Path(sys.argv[2]) / f"{{place}}-{{sys.argv[3]}}").touch()
    wait_until(lambda: len(list(Path(sys.argv[2]).glob(f"{{place}}-*"))) == 2, place)

study = opened(sys.argv[1], 40)
meet("both are here")
done = 0
while not study.settled():
    trials = study.claim(3)
    with study.alive(trials):
        for trial in trials:
            time.sleep(0.05)
            trial.complete(trial.values["rate"], 0.0)
            done += 1
    if 0 < done <= 3:
        meet("both have had a share")
print(done)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_workers_share_one_study_without_a_lost_or_a_double_trial(
    kind: str, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "postgresql":
        make: Callable[[str], str] = request.getfixturevalue("postgres")
        url = make("workers")
    command = [sys.executable, "-c", WORKER.format(root=str(ROOT)), url, str(tmp_path)]
    both = [
        subprocess.Popen(
            [*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name in "ab"
    ]
    told = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    shares = [int(out) for out, _ in told]
    assert sum(shares) == 40
    assert min(shares) > 0
    done = opened(url, 40).ended()
    assert len(done) == 40
    assert len({tuple(trial.values.items()) for trial in done}) == 40
