"""The search of a pairing: which recipe serves each fold best, judged by validation alone.

A nested search has one study per fold, on that fold's own training and validation part, so that no
fold's test speakers influence its recipe (Varma & Simon 2006, BMC Bioinformatics 7:91). Otherwise
one study, scored on the validation parts of the first folds, serves all folds, and the table says
how many of the tested clips took part in it.
"""

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contracts.space import Space, changed
from bench.fingerprint import content, digest
from bench.options import flat, short
from bench.progress import display
from bench.progress.status import Step
from bench.runs.pairing import Pairing, Ready
from bench.runs.records import Tuned
from bench.runs.search_record import SearchRecord, StudyRecord
from bench.runs.store import Store
from bench.runs.workplace import Place, Say
from bench.search.optuna_study import Study, StudyError, best_trial, own_database
from bench.search.trials import Part, Trials
from bench.settings import Settings, Tuning

AT_ONCE = (
    10  # trials that train side by side; the sampler learns from each ten for the next
)
POLL = 1.0  # s between checks whether other workers have finished


def tune(
    pairing: Pairing, settings: Settings, tuning: Tuning, place: Place, say: Say
) -> None:
    """Run the search of a pairing to its end and record it; other processes may share the work.

    Raises:
        StudyError: the database of searches does not answer, or no trial was completed.
    """
    search = _Search.open(pairing, settings, tuning, place, say)
    try:
        search.run()
    except BaseException as error:
        place.store.cut_short(search.parent, error)
        raise


def chosen(store: Store) -> Callable[[str, str], Tuned | None]:
    """A lookup of what recorded searches chose, by a task's name and a pairing's key."""

    def find(task: str, key: str) -> Tuned | None:
        record = store.search(task, key)
        if record is None:
            return None
        return Tuned(record.study, record.trials, record.choices, record.notes)

    return find


@dataclass
class _Search:
    """All studies of one pairing."""

    pairing: Pairing
    ready: Ready
    tuning: Tuning
    place: Place
    say: Say
    space: Space
    default: Mapping[str, Any]  # the default recipe, as far as it lies in the space
    nested: bool
    parts: Sequence[Part]
    name: str
    parent: str  # the search's run in the store
    trials: Trials
    studies: list[StudyRecord] = field(default_factory=list)  # those begun so far

    @classmethod
    def open(
        cls,
        pairing: Pairing,
        settings: Settings,
        tuning: Tuning,
        place: Place,
        say: Say,
    ) -> "_Search":
        """The search of a pairing, with its parent run in the store."""
        ready = pairing.ready
        assert ready
        mode = ready.system.setup.mode
        nested = mode == "probe" if tuning.nested is None else tuning.nested
        space = _space(pairing, ready, settings)
        parts = _parts(ready, tuning, nested)
        name = _name(pairing, ready, tuning, space, parts)
        task = pairing.task.name
        about = f"{_label(pairing)}, {mode}, {ready.division.protocol}"
        parent = place.store.open_search(task, name, pairing.key, about)
        return cls(
            pairing,
            ready,
            tuning,
            place,
            say,
            space,
            default=_default(ready, space),
            nested=nested,
            parts=parts,
            name=name,
            parent=parent,
            trials=Trials(
                pairing, ready, parts, space, place, name, parent, tuning.seed
            ),
        )

    @property
    def label(self) -> str:
        return _label(self.pairing)

    def run(self) -> None:
        """Run every study to its end, draw its plots and record the search as complete."""
        name = re.sub(r"\W+", "-", f"{self.label} {self.name[:8]}")
        folder = self.place.folder / "tuning" / name
        score = f"validation {self.trials.objective}"
        for part in self.parts:
            study = self._study(part)
            self._finish(study, part)
            self._add_importances(study.importances())
            title = f"{self.label}{_of_fold(part)}"
            study.plots(folder / part.name, title, score)
        record = self._record()
        self.place.store.keep_search(self.parent, record, folder)

    def _add_importances(self, importances: Mapping[str, float]) -> None:
        """Complete the last study's record."""
        last = self.studies.pop()
        complete = dataclasses.replace(last, importances=importances)
        self.studies.append(complete)

    def _study(self, part: Part) -> Study:
        """The part's study, whose first trial is the default recipe."""
        url = self.tuning.storage or own_database(self.place.folder)
        name = f"{self.label} {part.name} {self.name[:12]}"
        return Study(url, name, self.space, self.default, self.tuning)

    def _finish(self, study: Study, part: Part) -> None:
        """Work until every trial of the study has ended, here or in another process."""
        self.studies.append(self._summary(study, part))
        title = f"search{_of_fold(part)}"
        done = len(study.ended())
        with display.step(title, self.tuning.trials, "trials", done) as step:
            self._finish_trials(study, part, step)
        self.studies[-1] = self._summary(study, part)
        self._say_winner(study, part)

    def _finish_trials(self, study: Study, part: Part, step: Step) -> None:
        at_once = AT_ONCE if self.trials.together else 1
        while not study.settled():
            trials = study.claim(at_once)
            if not trials:
                time.sleep(POLL)
                continue
            with study.alive(trials):
                self.trials.run(trials, part)
            step.advance(len(trials))
            self.studies[-1] = self._summary(study, part)
            self.place.store.keep_search(self.parent, self._record())

    def _say_winner(self, study: Study, part: Part) -> None:
        trials = study.ended()
        try:
            winner = best_trial(trials)
        except StudyError as error:
            raise StudyError(
                f"{self.label}: {error}; narrow [space] in bench.toml"
            ) from error
        score = f"validation {self.trials.objective} {winner.score:.3f}"
        default = self.studies[-1].default
        if default is not None:
            score = f"{score}, by default {default:.3f}"
        about = f"{self.label}{_of_fold(part)}"
        self.say(f"{about}: best of {len(trials)} trials: {score}")

    def _summary(self, study: Study, part: Part) -> StudyRecord:
        """The state of a study, in which trial 0 is the default recipe if the space holds it."""
        trials = study.ended()
        complete = [trial for trial in trials if trial.score is not None]
        default = None
        for trial in complete:
            if trial.number == 0 and trial.values == self.default:
                default = trial.score
        states = [trial.state for trial in trials]
        return StudyRecord(
            fold=part.name,
            folds=tuple(fold.name for fold in part.folds),
            complete=states.count("complete"),
            pruned=states.count("pruned"),
            failed=states.count("failed"),
            seconds=sum(trial.seconds for trial in trials),
            default=default,
            best=best_trial(trials) if complete else None,
        )

    def _record(self) -> SearchRecord:
        pairing = self.pairing.record
        record = SearchRecord(
            study="",
            name=self.name,
            task=pairing.task,
            backbone=pairing.backbone,
            mode=pairing.mode,
            protocol=pairing.protocol,
            scale=pairing.scale,
            settings=dict(pairing.settings),
            trials=self.tuning.trials,
            nested=self.nested,
            objective=self.trials.objective,
            space=self.space,
            parts_expected=len(self.parts),
            parts=tuple(self.studies),
        )
        choices = record.choices
        study = digest([self.name, choices])
        return dataclasses.replace(record, study=study, notes=(self._note(choices),))

    def _note(self, choices: Mapping[str, Mapping[str, Any]]) -> str:
        """The footnote of a table that shows tuned rows."""
        score = (
            f"best of {self.tuning.trials} trials by validation {self.trials.objective}"
        )
        if self.nested:
            return f"tuned: each fold by the {score} on its own training and validation part"
        names = [fold.name for fold in self.parts[0].folds]
        noun = "folds" if len(names) > 1 else "fold"
        folds = f"{noun} {', '.join(names)}"
        chosen = choices.get("", {})
        values = [f"{name}={short(value)}" for name, value in chosen.items()]
        note = f"tuned: the {score} on {folds} for all folds: {', '.join(values)}"
        share = self._share_seen()
        if not share:
            return note
        return f"{note}; the search trained or validated on {share:.0%} of the clips tested here"

    def _share_seen(self) -> float:
        """The share of the tested clips that the search trained or validated on."""
        seen: set[str] = set()
        for fold in self.parts[0].folds:
            seen.update(fold.train, fold.valid)
        tested: set[str] = set()
        for run in self.ready.runs:
            tested.update(run.fold.test)
        return len(tested & seen) / len(tested)


def _label(pairing: Pairing) -> str:
    return f"{pairing.backbone.name} on {pairing.task.name}"


def _of_fold(part: Part) -> str:
    return f", fold {part.name}" if part.name else ""


def _space(pairing: Pairing, ready: Ready, settings: Settings) -> Space:
    """The backbone's own space with the user's changes."""
    backbone = pairing.backbone
    setup = ready.system.setup
    return changed(backbone.space(setup), settings.space, backbone.names, setup.options)


def _default(ready: Ready, space: Space) -> dict[str, Any]:
    """The values of the default recipe and options that lie in the space."""
    system = ready.system
    values = flat(system.recipe) | flat(system.setup.options)
    inside = {}
    for name, domain in space.items():
        if domain.holds(values[name]):
            inside[name] = values[name]
    return inside


def _parts(ready: Ready, tuning: Tuning, nested: bool) -> list[Part]:
    if not nested:
        shared = ready.division.folds[: tuning.search_folds]
        return [Part("", shared)]
    folds = dict.fromkeys(run.fold for run in ready.runs)
    return [Part(fold.name, (fold,)) for fold in folds]


def _name(
    pairing: Pairing, ready: Ready, tuning: Tuning, space: Space, parts: Sequence[Part]
) -> str:
    """32 hex digits over all that the proposals of a search and their scores depend on."""
    domains = {name: content(domain) for name, domain in space.items()}
    shape = []
    for part in parts:
        hashes = [ready.division.hashes[fold.name] for fold in part.folds]
        shape.append([part.name, hashes])
    whole = [
        pairing.key,
        domains,
        shape,
        tuning.sampler,
        tuning.pruner,
        tuning.seed,
    ]
    return digest(whole)
