"""The sentences that errors share."""

from pathlib import Path

import pytest

from bench.errors import BenchError, UsageError, and_more, one_line


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


SECRETS = (
    "postgresql://ada:hunter2@db/bench",
    "postgresql://db/bench?user=ada&password=hunter2",
    "https://store/x?X-Amz-Signature=hunter2&X-Amz-Date=1",
    "https://blob/x?sv=1&sig=hunter2",
    "s3://key:hunter2@bucket/prefix",
    "https://hub/x?access_token=hunter2",
    "https://hub/x#access_token=hunter2",
    "postgresql://ada:slash/hunter2@db/bench",
    "host=db password=hunter2 dbname=bench",
)


@pytest.mark.parametrize("url", SECRETS)
def test_no_error_and_no_recorded_reason_names_a_secret(url: str) -> None:
    from bench.runs.workplace import explain

    assert "hunter2" not in str(BenchError(f"the cache {url} does not answer"))
    assert "hunter2" not in str(UsageError(f"{url!r} is no folder: {url}"))
    for error in (ValueError(f"cannot connect to ({url})"), BenchError(url)):
        assert "hunter2" not in "".join(explain(error, private=False))
    for harmless in ("a?page=2&name=x", "http://host:5000/a@b", "epochs=3 and keys=4"):
        assert str(BenchError(harmless)) == harmless


def test_a_shared_cache_out_of_reach_keeps_its_password(tmp_path: Path) -> None:
    from bench.data.cache import Cache

    for url in (
        "ftp://ada:hunter2@localhost:1/x",
        "nosuch://ada:hunter2@host/x?token=hunter2",
    ):
        with pytest.raises(BenchError) as caught:
            Cache.at(url)
        assert "hunter2" not in str(caught.value)
