"""The search of a pairing: which recipe serves each fold best, by its validation part.

Nested, each fold has a study of its own, on its own training and validation part, so that no fold's
test speakers have had a say in its recipe (Varma & Simon 2006, BMC Bioinformatics 7:91). Else one
study, scored on the validation parts of the first folds, serves all of them, and the table says how
many of the tested clips took part in it.
"""

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.contracts.space import changed
from bench.fingerprint import digest
from bench.options import flat, short
from bench.runs.pairing import Pairing, Ready
from bench.runs.records import Tuned
from bench.runs.store import Store
from bench.runs.workplace import Place, Say
from bench.search.optuna_study import Done, Study, StudyError, best
from bench.search.trials import Part, Trials
from bench.settings import Settings, Tuning

# trials that train side by side, where they can: of each ten the sampler learns for the next
AT_ONCE = 10
POLL = 1.0  # s between looks at what other workers have in hand


def tune(pairing: Pairing, settings: Settings, tuning: Tuning, place: Place, say: Say) -> None:
    """Run the search of a pairing to its end, beside whoever else is at it, and record it.

    Raises StudyError if its database does not answer, or no trial came to its end.
    """
    assert pairing.ready
    _Search(pairing, pairing.ready, settings, tuning, place, say).run()


def chosen(store: Store) -> Callable[[str, str], Tuned | None]:
    """How `bench.runs.plan` finds what searches chose."""

    def find(task: str, key: str) -> Tuned | None:
        found = store.search(task, key)
        return (
            Tuned(found["study"], found["trials"], found["choices"], tuple(found["notes"]))
            if found
            else None
        )

    return find


class _Search:
    """All studies of one pairing."""

    def __init__(
        self,
        pairing: Pairing,
        ready: Ready,
        settings: Settings,
        tuning: Tuning,
        place: Place,
        say: Say,
    ) -> None:
        self.pairing, self.ready, self.tuning, self.place, self.say = (
            pairing,
            ready,
            tuning,
            place,
            say,
        )
        backbone, setup = pairing.backbone, ready.system.setup
        self.space = changed(backbone.space(setup), settings.space, backbone.names, setup.options)
        usual = {**flat(ready.system.recipe), **flat(setup.options)}
        self.first = {
            name: usual[name] for name, domain in self.space.items() if domain.holds(usual[name])
        }
        self.nested = setup.mode == "probe" if tuning.nested is None else tuning.nested
        self.parts = self._parts()
        shape = [
            [part.name, [ready.hashes[fold.name] for fold in part.folds]] for part in self.parts
        ]
        domains = {name: dataclasses.asdict(domain) for name, domain in self.space.items()}
        self.name = digest(
            [pairing.key, domains, shape, tuning.sampler, tuning.pruner, tuning.seed]
        )
        self.label = f"{backbone.name} on {pairing.task.name}"
        about = f"{self.label}, {setup.mode}, {ready.protocol}"
        self.parent = place.store.open_search(pairing.task.name, self.name, pairing.key, about)
        self.trials = Trials(
            pairing, ready, self.parts, self.space, place, self.name, self.parent, tuning.seed
        )
        self.found: list[dict[str, Any]] = []  # of each part that was begun

    def run(self) -> None:
        folder = self.place.folder / "tuning" / re.sub(r"\W+", "-", f"{self.label} {self.name[:8]}")
        for part in self.parts:
            study = self._study(part)
            self._settle(study, part)
            self.found[-1]["importances"] = study.importances()
            study.plots(
                folder / part.name,
                f"{self.label}{_fold(part)}",
                f"validation {self.trials.objective}",
            )
        self.place.store.keep_search(self.parent, self._summary(), folder)

    def _parts(self) -> list[Part]:
        if self.nested:
            return [
                Part(fold.name, (fold,))
                for fold in dict.fromkeys(run.fold for run in self.ready.runs)
            ]
        return [Part("", self.ready.folds[: self.tuning.search_folds])]

    def _study(self, part: Part) -> Study:
        """The part's study, whose first trial is the usual recipe."""
        url = self.tuning.storage or f"sqlite:///{(self.place.folder / 'optuna.db').resolve()}"
        return Study(
            url,
            " ".join([self.label, part.name, self.name[:12]]),
            self.space,
            self.first,
            self.tuning,
        )

    def _settle(self, study: Study, part: Part) -> None:
        """Work until every trial of the study has come to its end, here or elsewhere."""
        self.found.append(_part_summary(part, study.done(), self.first))
        while not study.settled():
            if trials := study.claim(AT_ONCE if self.trials.together else 1):
                with study.alive(trials):
                    self.trials.run(trials, part)
                self.found[-1] = _part_summary(part, study.done(), self.first)
                self.place.store.keep_search(self.parent, self._summary())
            else:
                time.sleep(POLL)
        done = study.done()
        self.found[-1] = _part_summary(part, done, self.first)
        try:
            winner = best(done)
        except StudyError as error:
            raise StudyError(f"{self.label}: {error}; narrow [space] in bench.toml") from error
        usual = self.found[-1]["default"]
        beside = "" if usual is None else f", by default {usual:.3f}"
        about = f"best of {len(done)} trials: validation {self.trials.objective} {winner.score:.3f}{beside}"
        self.say(f"{self.label}{_fold(part)}: {about}")

    def _summary(self) -> dict[str, Any]:
        record, choices = (
            self.pairing.record,
            {p["fold"]: p["best"]["values"] for p in self.found if p["best"]},
        )
        return {
            "study": digest([self.name, choices]),
            "name": self.name,
            **{
                name: getattr(record, name)
                for name in ("task", "backbone", "mode", "protocol", "scale")
            },
            "settings": dict(record.settings),
            "trials": self.tuning.trials,
            "nested": self.nested,
            "objective": self.trials.objective,
            "space": {name: dataclasses.asdict(domain) for name, domain in self.space.items()},
            "parts_expected": len(self.parts),
            "parts": self.found,
            "choices": choices,
            "notes": [self._note(choices)],
        }

    def _note(self, choices: Mapping[str, Mapping[str, Any]]) -> str:
        """What a table says of its tuned rows."""
        score = f"best of {self.tuning.trials} trials by validation {self.trials.objective}"
        if self.nested:
            return f"tuned: each fold by the {score} on its own training and validation part"
        names = [fold.name for fold in self.parts[0].folds]
        folds = f"fold{'s' * (len(names) > 1)} {', '.join(names)}"
        values = ", ".join(f"{name}={short(value)}" for name, value in choices.get("", {}).items())
        seen = {clip for fold in self.parts[0].folds for clip in (*fold.train, *fold.valid)}
        tested = {clip for run in self.ready.runs for clip in run.fold.test}
        said = f"tuned: the {score} on {folds} for all folds: {values}"
        share = len(tested & seen) / len(tested)
        return (
            f"{said}; the search trained or validated on {share:.0%} of the clips tested here"
            if share
            else said
        )


def _part_summary(part: Part, done: Sequence[Done], first: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a study's trials; `default`: the score of the usual recipe, where it lies
    within the space.
    """
    complete = [trial for trial in done if trial.score is not None]
    usual = next(
        (trial.score for trial in complete if trial.number == 0 and trial.values == first), None
    )
    return {
        "fold": part.name,
        "folds": [fold.name for fold in part.folds],
        **{
            state: sum(trial.state == state for trial in done)
            for state in ("complete", "pruned", "failed")
        },
        "seconds": sum(trial.seconds for trial in done),
        "default": usual,
        "best": dataclasses.asdict(best(done)) if complete else None,
    }


def _fold(part: Part) -> str:
    return f", fold {part.name}" if part.name else ""
