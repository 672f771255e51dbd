"""What searches found, as text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from bench.options import short

if TYPE_CHECKING:
    pass


ENDS = ("complete", "pruned", "failed")  # of a trial


def show_searches(searches: "Sequence[Mapping[str, Any]]") -> str:
    """One line per study: its budget, what it found and what of the values mattered; below, the
    values chosen.
    """
    rows, chosen = [], []
    for search in searches:
        name = [search["task"], search["backbone"], search["mode"], search["protocol"]]
        for part in search["parts"]:
            best, usual = part["best"], part["default"]
            ended = f"{sum(part[state] for state in ENDS)} of {search['trials']}"
            states = ", ".join(f"{part[state]} {state}" for state in ENDS if part[state])
            gain = f"{best['score'] - usual:+.3f}" if best and usual is not None else ""
            scores = [
                "" if usual is None else f"{usual:.3f}",
                f"{best['score']:.3f}" if best else "",
                gain,
            ]
            rows.append(
                [*name, part["fold"] or "all", ended, states, f"{part['seconds']:.0f} s", *scores]
            )
            if best:
                chosen.append(
                    _choice(" ".join([*name[:2], part["fold"]]).strip(), best["values"], part)
                )
    head = [
        "task",
        "backbone",
        "mode",
        "protocol",
        "fold",
        "trials",
        "ended",
        "budget used",
        "default",
        "best",
        "gain",
    ]
    about = f"scores: {searches[0]['objective']} of validation, never of test clips"
    return "\n".join([tabulate(rows, head, disable_numparse=True), "", about, "", *chosen])


def _choice(about: str, values: "Mapping[str, Any]", part: "Mapping[str, Any]") -> str:
    """The chosen values, those that mattered most first, each with its share in the score's
    variation.
    """
    shares = part.get("importances", {})
    order = sorted(values, key=lambda name: -shares.get(name, 0.0))
    told = [
        f"{n} = {short(values[n])}{f' ({shares[n]:.0%} of the variation)' if n in shares else ''}"
        for n in order
    ]
    return f"{about}: {', '.join(told)}"
