"""Test predictions of a system as scores, and as the scores without each speaker."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.scoring.predictions import Predictions
from bench.scoring.scores import Scores
from bench.scoring.tally import Rows, Tally, score, stacked, tally


class Sample:
    """Test predictions of a system, one entry per training seed.

    A unit is what is deleted at a time: a known speaker with all clips, or a clip of an unknown
    one. Known speakers and clips of unknown ones are two strata.

    Raises:
        ValueError: There are no predictions, or the seeds differ in their clips.
    """

    def __init__(self, by_seed: Sequence[Predictions]) -> None:
        if not by_seed or not by_seed[0].clips:
            raise ValueError("there are no predictions to judge")
        self.by_seed = by_seed
        first = by_seed[0]
        self.labels = first.labels
        self.clips = _in_order(first.clips)
        for other in by_seed:
            if _in_order(other.clips) != self.clips:
                raise ValueError(
                    "the predictions of the seeds are not of the same clips"
                )
        pairs = zip(first.clips, first.speakers, strict=True)
        self.speaker_of = dict(pairs)

    @classmethod
    def of(cls, by_seed: Sequence[Predictions]) -> "Sample | None":
        """The sample; None where seeds were tested on different clips, because some of their folds
        are missing.
        """
        clips = {_in_order(each.clips) for each in by_seed}
        return cls(by_seed) if len(clips) == 1 else None

    @cached_property
    def speakers(self) -> list[str]:
        """The known ones, in order."""
        speakers = set(self.speaker_of.values())
        speakers.discard(None)
        return sorted(filter(None, speakers))

    @cached_property
    def unknown(self) -> list[str]:
        """The clips whose speaker is not known, in order."""
        clips = []
        for clip, speaker in self.speaker_of.items():
            if speaker is None:
                clips.append(clip)
        return sorted(clips)

    @cached_property
    def truth_of(self) -> dict[str, bytes]:
        """Clip -> its true labels, in a form that can be compared."""
        first = self.by_seed[0]
        rows = [labels.tobytes() for labels in first.truth]
        pairs = zip(first.clips, rows, strict=True)
        return dict(pairs)

    @property
    def strata(self) -> list[slice]:
        """The units of each stratum."""
        known = len(self.speakers)
        unknown = len(self.unknown)
        strata = []
        if known:
            strata.append(slice(known))
        if unknown:
            strata.append(slice(known, None))
        return strata

    @property
    def df(self) -> int:
        """Degrees of freedom: speakers, or clips where no speaker is known, less one."""
        units = self.speakers or self.unknown
        return len(units) - 1

    @cached_property
    def whole(self) -> Tally:
        """(seeds, ...)"""
        return self.by_unit.sum()

    @property
    def lacking(self) -> list[str]:
        """The labels that are true of no clip."""
        support = self.whole.support[0]
        return self._labels(support == 0)

    @property
    def of_one_speaker(self) -> list[str]:
        """The labels of which all clips are of one speaker, or are one clip of an unknown one; none
        where there is one speaker in all.
        """
        support = self.by_unit.support
        of_first_seed = support[:, 0]
        if len(of_first_seed) < 2:
            return []
        occurs = of_first_seed > 0
        units = occurs.sum(0)
        return self._labels(units == 1)

    def value(self, name: str) -> float:
        """The score of all clips, by its name: the mean over seeds."""
        of = score(name, self.labels)
        by_seed = of(
            self.whole,
            self.whole,
        )
        return float(by_seed.mean(-1))

    def without_each(self, name: str) -> Scores:
        """(units,): the score without each unit."""
        return self._deleted(name, self.by_unit)

    def without_each_clip(self, name: str) -> Scores:
        """(clips,): the score without each clip, whoever speaks."""
        return self._deleted(name, self._by_clip)

    def _labels(self, chosen: NDArray[np.bool_]) -> list[str]:
        pairs = zip(self.labels, chosen, strict=True)
        return [label for label, is_chosen in pairs if is_chosen]

    def _deleted(self, name: str, units: Tally) -> Scores:
        of = score(name, self.labels)
        rest = units.without_each()
        by_seed = of(rest, self.whole)
        mean = by_seed.mean(-1)
        return np.asarray(mean)

    @cached_property
    def by_unit(self) -> Tally:
        known = len(self.speakers)
        numbers = _numbers(self.unknown, known)
        speaker_numbers = _numbers(self.speakers)

        for clip, speaker in self.speaker_of.items():
            if speaker is not None:
                numbers[clip] = speaker_numbers[speaker]
        return self._tally(numbers)

    @cached_property
    def _by_clip(self) -> Tally:
        numbers = _numbers(self.speaker_of)
        return self._tally(numbers)

    def _tally(self, unit_of: dict[str, int]) -> Tally:
        """(units, seeds, ...)"""
        units = max(unit_of.values()) + 1
        tallies = []
        for predictions in self.by_seed:
            rows = _rows(predictions, unit_of)
            found = tally(predictions, rows, units)
            tallies.append(found)
        return stacked(tallies)


def same_clips(one: Sample, other: Sample) -> bool:
    """Whether both were tested on the same clips of the same speakers."""
    same_speakers = one.speaker_of == other.speaker_of
    return same_speakers and one.clips == other.clips


def _rows(predictions: Predictions, unit_of: dict[str, int]) -> Rows:
    units = [unit_of[clip] for clip in predictions.clips]
    return np.array(units)


def _in_order(clips: Iterable[str]) -> tuple[str, ...]:
    ordered = sorted(clips)
    return tuple(ordered)


def _numbers(names: Iterable[str], start: int = 0) -> dict[str, int]:
    numbered = enumerate(names, start)
    return {name: number for number, name in numbered}
