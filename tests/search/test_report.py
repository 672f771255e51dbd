"""Searches as text: every line fits its width, the figures stay."""

from dataclasses import replace

import pytest

from bench.search.report import show_searches
from tests.runs.test_search_record import SEARCH


@pytest.mark.parametrize("width", [80, 100, 120])
def test_lines_fit_the_width_and_keep_the_figures(width: int) -> None:
    text = show_searches(
        [replace(SEARCH, task="a-task-with-a-long-name"), SEARCH], width
    )
    assert max(map(len, text.splitlines())) <= width
    for figure in ("5 of 5", "0 of 5", "0.500", "0.750", "learning_rate"):
        assert figure in text


def test_all_columns_stand_where_there_is_room() -> None:
    header = show_searches([SEARCH], 120).splitlines()[0].split()
    columns = "task backbone mode protocol fold trials ended time default best gain"
    assert header == columns.split()
