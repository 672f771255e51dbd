"""Comparisons for people and for programs."""

from collections.abc import Callable, Sequence
from typing import Any

from bench.comparison.found import Comparison
from bench.comparison.pairs import Pair
from bench.comparison.ranks import Ranks, Wilcoxon
from bench.comparison.systems import System
from bench.scoring.paired import DRAWS
from bench.tables.columns import interval_units, ranked_cell
from bench.tables.formats import Format, as_csv, as_json, draw
from bench.tables.numbers import NOTHING, many, percent, probability, signed
from bench.tables.row import key
from bench.tables.table import Column, Table, cells

SIGNIFICANT = 0.05
LEGEND = (
    "p: Student's t of the paired difference without each speaker; permutation: predictions of "
    "whole speakers swapped; McNemar: clips that one system alone has right (first seed)",
    "each p is Holm's, corrected for all pairs of the table; in brackets, [low, high] is the "
    "uncorrected 95 % interval",
    "could show: the smallest difference that these test clips reveal in 4 of 5 cases",
    "clips: how many more are right, of all that were tested",
)


def render(
    found: Comparison,
    format: Format = "text",
    colour: bool = False,
    width: int | None = None,
) -> str:
    """The comparison in one of the formats of `bench table`; as CSV a line per pair."""
    if format == "json":
        return as_json(record(found))
    if format == "csv":
        return as_csv(pair_records(found))
    return draw(tables(found), format, colour, width)


def tables(found: Comparison) -> list[Table]:
    """For each task its systems and their pairs; over several tasks the ranks."""
    shown = []
    for task, systems in found.systems.items():
        shown.append(_systems(task, systems))
        shown.append(_pairs(found.pairs[task]))
    if found.ranks:
        shown += [_ranks(found.ranks), _wilcoxon(found.ranks)]
    return shown


def record(found: Comparison) -> dict[str, Any]:
    """The comparison as one JSON object; scores and differences are fractions."""
    content: dict[str, Any] = {"pairs": pair_records(found), "ranks": None}
    ranks = found.ranks
    if ranks:
        content["ranks"] = {
            "tasks": list(ranks.tasks),
            "mean": dict(ranks.mean),
            "friedman_p": ranks.friedman,
            "critical_difference": ranks.critical,
            "wilcoxon": [vars(test) for test in ranks.pairs],
        }
    return content


def pair_records(found: Comparison) -> list[dict[str, Any]]:
    records = []
    for task, pairs in found.pairs.items():
        row = found.systems[task][0].row
        for pair in pairs:
            about = {"task": task, "protocol": row.protocol, "mode": row.mode}
            records.append({**about, **_pair_record(pair)})
    return records


def _pair_record(pair: Pair) -> dict[str, Any]:
    found = pair.difference
    low, high = found.bounds if found else (None, None)
    return {
        "one": pair.one,
        "other": pair.other,
        "score": key(pair.score),
        "difference": pair.value,
        "low": low,
        "high": high,
        "p": found.p if found else None,
        "p_holm": pair.corrected,
        "permutation_p": pair.permutation.p,
        "permutation_p_holm": pair.permutation_corrected,
        "permutation_smallest_p": pair.permutation.smallest,
        "permutation_exact": pair.permutation.exact,
        "mcnemar_p": pair.mcnemar.p,
        "mcnemar_p_holm": pair.mcnemar_corrected,
        "one_alone_right": pair.mcnemar.one_alone,
        "other_alone_right": pair.mcnemar.other_alone,
        "detectable": pair.detectable,
        "clips_won": pair.clips_won,
        "clips": pair.clips,
    }


# --- cells ---


def _difference(pair: Pair) -> str:
    value = signed(pair.value)
    found = pair.difference
    if not found:
        return value
    low, high = map(signed, found.bounds)
    return f"{value} [{low}, {high}]"


def _clips(pair: Pair) -> str:
    return f"{pair.clips_won:+.3g} of {pair.clips}"


def _verdict(pair: Pair) -> str:
    if pair.corrected is None:
        return NOTHING
    return "yes" if pair.corrected < SIGNIFICANT else "not shown"


# --- tables ---


def _text(
    header: str, read: Callable[[Any], str], spare: int = 0, number: bool = True
) -> Column[Any]:
    return Column(header, read, number=number, spare=spare, elastic=not number)


def _systems(task: str, systems: Sequence[System]) -> Table:
    first = systems[0].row
    columns = (
        _text("system", lambda system: system.name, number=False),
        _text(f"{first.ranked_by} [95 %]", lambda system: ranked_cell(system.row)),
        _text("WA", lambda system: percent(system.row.scores["WA"])),
        _text("seeds", lambda system: str(system.row.seeds), spare=1),
        _text("interval over", lambda system: interval_units(system.row), spare=2),
    )
    about = [
        task,
        f"protocol {first.protocol}",
        first.mode,
        f"{first.scale} scale",
        many(first.clips, "clip"),
    ]
    title = " · ".join(about)
    body = tuple(cells(columns, system) for system in systems)
    return Table(title, columns, body, (), ())


def _pairs(pairs: Sequence[Pair]) -> Table:
    columns = (
        _text("is", lambda pair: pair.one, number=False),
        _text("over", lambda pair: pair.other, number=False),
        _text(f"{pairs[0].score} by", _difference),
        _text("real", _verdict, number=False),
        _text("p", lambda pair: probability(pair.corrected)),
        _text(
            "permutation", lambda pair: probability(pair.permutation_corrected), spare=2
        ),
        _text("McNemar", lambda pair: probability(pair.mcnemar_corrected), spare=1),
        _text("could show", lambda pair: percent(pair.detectable), spare=4),
        _text("clips", _clips, spare=3),
    )
    body = tuple(cells(columns, pair) for pair in pairs)
    return Table("Differences", columns, body, (), (*LEGEND, _smallest(pairs)))


def _smallest(pairs: Sequence[Pair]) -> str:
    found = pairs[0].permutation
    ways = "every way of swapping"
    if not found.exact:
        ways = f"{DRAWS:,} random ways of swapping"
    smallest = f"{found.smallest:.2g}"
    return f"permutation: {ways}; the smallest p it can give is {smallest}"


def _ranks(ranks: Ranks) -> Table:
    columns = (
        _text("system", lambda entry: entry[0], number=False),
        _text("mean rank", lambda entry: f"{entry[1]:.2f}"),
    )
    body = tuple(cells(columns, entry) for entry in ranks.mean.items())
    said = [f"Nemenyi's critical difference of mean ranks: {ranks.critical:.2f}"]
    if ranks.friedman is not None:
        said.insert(
            0, f"Friedman's test that all are equal: p = {probability(ranks.friedman)}"
        )
    title = f"Over {len(ranks.tasks)} tasks: {', '.join(ranks.tasks)}"
    return Table(title, columns, body, (), tuple(said))


def _wilcoxon(ranks: Ranks) -> Table:
    def corrected(test: Wilcoxon) -> str:
        return probability(test.corrected)

    columns = (
        _text("one", lambda test: test.one, number=False),
        _text("other", lambda test: test.other, number=False),
        _text("p (Wilcoxon, Holm)", corrected),
    )
    body = tuple(cells(columns, test) for test in ranks.pairs)
    return Table("Pairs over tasks", columns, body, (), ())
