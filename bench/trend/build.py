"""From what a user asks for to a trend."""

from bench.runs.lookup import Recorded
from bench.trend.analysis import analyse
from bench.trend.calls import read
from bench.trend.matching import Scored, complete, score
from bench.trend.request import Request
from bench.trend.source import NEGATIVE, Tested, tested
from bench.trend.trend import Trend


def of_run(request: Request, recorded: Recorded) -> Trend:
    """The trend of calls whose segments a recorded run was tested on."""
    assert request.calls, "a checked request"
    run = tested(recorded, request.label, request.private)
    calls = read(request.calls, run.private)
    scored = score(calls, run, request.skip_missing)
    return _trend(request, scored, run.label, run)


def of_table(request: Request) -> Trend:
    """The trend of calls whose probabilities are in their table. No store, and no network, is
    needed.
    """
    assert request.probabilities, "a checked request"
    label = request.label or NEGATIVE
    private = request.private
    calls = read(request.probabilities, private, label)
    scored = complete(calls, request.skip_missing, private)
    return _trend(request, scored, label, None)


def _trend(request: Request, scored: Scored, label: str, run: Tested | None) -> Trend:
    analysis = analyse(scored.calls, request.minutes, request.binarised)
    private = request.private
    if run:
        private = run.private
    return Trend(analysis, scored, label, run, private)
