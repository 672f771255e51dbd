"""The sentences that errors share."""

import pytest

from bench.errors import and_more, one_line


@pytest.mark.parametrize(
    ("names", "text"),
    [("", ""), ("ab", "a, b"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more")],
)
def test_long_lists_are_counted(names: str, text: str) -> None:
    assert and_more(names, shown=3) == text


def test_an_exception_is_one_line() -> None:
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(ValueError("too long"), limit=3) == "too"
    assert one_line(ValueError()) == "ValueError"
