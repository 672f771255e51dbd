"""The hand-worked example, and what the tests of trends share."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.trend.analysis import FULL

Bench = Callable[..., int]

# The hand-worked example: call -> group, scale, and per segment its start (min) and probability.
EXAMPLE: dict[str, tuple[str, int, list[tuple[float, float]]]] = {
    "a1": ("risk", 3, [(0, 0.9), (10, 0.4), (29.9, 0.6), (30, 0.5)]),
    "a2": ("risk", 5, [(0, 0.8), (31, 0.6)]),
    "a3": ("risk", 1, [(5, 0.7)]),
    "b1": ("other", 2, [(0, 0.1), (1, 0.3), (2, 0.2)]),
    "b2": ("other", 4, [(0, 0.5), (1, 0.0), (2, 0.1)]),
    "b3": ("other", 0, [(0, 0.2), (40, 0.4)]),
}
NSS = {
    FULL: {"risk": [3, 2, 1], "other": [0, 1, 0]},
    "first 30 min": {"risk": [2, 1, 1], "other": [0, 1, 0]},
}
# 0.8 / 3 is |.4 - .9| + |.6 - .4| + |.5 - .6| over three steps; a3 has one segment
ECR: dict[str, dict[str, list[float | None]]] = {
    FULL: {"risk": [0.8 / 3, 0.2, None], "other": [0.15, 0.3, 0.2]},
    "first 30 min": {"risk": [0.35, None, None], "other": [0.15, 0.3, None]},
}


def write(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def example_rows() -> Iterator[tuple[object, ...]]:
    for call, (group, scale, segments) in EXAMPLE.items():
        for number, (minute, p) in enumerate(segments):
            yield (
                call,
                f"{call}-{number}",
                60 * minute,
                60 * minute + 5,
                group,
                scale,
                p,
            )


def printed(
    bench: Bench, capsys: pytest.CaptureFixture[str], *arguments: object
) -> Any:
    assert bench("trend", *arguments, "--format", "json") == 0
    return json.loads(capsys.readouterr().out)
