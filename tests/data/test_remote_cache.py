"""A cache that machines share by URL alone: each test's two caches stand for two machines."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

from bench.data.cache import Cache
from bench.data.remote_cache import Remote
from bench.errors import BenchError, UsageError
from tests.helpers import PATIENCE

SAMPLES = np.linspace(-1, 1, 1000, dtype=np.float32)
PRINT = "f" * 32


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"file://{tmp_path}/shared"
        if request.param == "file"
        else f"memory://{tmp_path.name}/shared"
    )


@pytest.fixture
def machines(url: str, tmp_path: Path) -> tuple[Cache, Cache]:
    return Cache(tmp_path / "a", Remote(url)), Cache(tmp_path / "b", Remote(url))


def names(url: str) -> list[str]:
    system, root = fsspec.url_to_fs(url)
    return sorted(path.rpartition("/")[2] for path in system.find(root))


def test_a_feature_computed_on_one_machine_is_found_on_the_other(
    machines: tuple[Cache, Cache], url: str
) -> None:
    a, b = machines
    assert b.open(PRINT, "c" * 32) is None
    a.put(PRINT, "c" * 32, SAMPLES)
    assert np.array_equal(np.asarray(b.open(PRINT, "c" * 32)), SAMPLES)
    assert Cache(b.root).open(PRINT, "c" * 32) is not None  # it is kept there
    assert names(url) == [f"{'c' * 32}.npy"]  # and nothing unfinished anywhere
    assert not list((b.root / "unfinished").iterdir())


def test_what_both_lack_is_told_without_a_copy_and_the_rest_is_brought_at_once(
    machines: tuple[Cache, Cache],
) -> None:
    a, b = machines
    contents = [f"{n:032x}" for n in range(40)]
    for content in contents[:30]:
        a.put(PRINT, content, SAMPLES)
    b.put("e" * 32, contents[0], SAMPLES)
    assert b.lacking(PRINT, contents) == contents[30:]
    assert not (b.root / "features" / PRINT).exists()
    assert b.lacking(PRINT, contents, fetch=True) == contents[30:]
    assert Cache(b.root).lacking(PRINT, contents) == contents[30:]
    assert b.lacking("d" * 32, contents) == contents


def test_audio_and_features_made_before_there_was_a_shared_cache_are_shared(
    machines: tuple[Cache, Cache],
) -> None:
    a, b = machines
    alone = Cache(a.root)
    content = alone.put_waveform("source", SAMPLES)
    alone.put(PRINT, content, SAMPLES[:7])
    assert b.waveform(content) is None
    for fingerprint in (None, PRINT):
        a.share([content, "0" * 32], fingerprint)
    assert np.array_equal(np.asarray(b.waveform(content)), SAMPLES)
    assert np.array_equal(np.asarray(b.open(PRINT, content)), SAMPLES[:7])
    assert b.content("source") is None  # whose recording is elsewhere


def test_a_damaged_remote_file_is_no_entry_and_is_mended(
    machines: tuple[Cache, Cache], url: str
) -> None:
    a, b = machines
    a.put(PRINT, "c" * 32, SAMPLES)
    system, root = fsspec.url_to_fs(url)
    (path,) = system.find(root)
    whole = system.cat_file(path)
    system.pipe_file(path, whole[:-4])
    assert b.open(PRINT, "c" * 32) is None
    assert b.lacking(PRINT, ["c" * 32], fetch=True) == ["c" * 32]
    b.put(PRINT, "c" * 32, SAMPLES)
    assert system.cat_file(path) == whole


def test_a_damaged_bit_on_one_side_is_mended_from_the_other(
    machines: tuple[Cache, Cache], url: str
) -> None:
    a, b = machines
    content = a.put_waveform("source", SAMPLES)
    a.share([content])
    assert b.waveform(content) is not None
    (path,) = b.root.rglob(f"{content}.npy")
    whole = path.read_bytes()
    damaged = whole[:-1] + b"x"
    path.write_bytes(damaged)
    again = Cache(b.root, Remote(url))
    assert np.array_equal(np.asarray(again.waveform(content)), SAMPLES)

    system, root = fsspec.url_to_fs(url)
    (shared,) = system.find(root)
    system.pipe_file(shared, damaged)
    path.unlink()
    assert Cache(b.root, Remote(url)).waveform(content) is None
    assert not system.find(root)  # so that the first machine shares it again
    a.share([content])
    assert np.array_equal(np.asarray(again.waveform(content)), SAMPLES)


def test_a_folder_is_the_cache_itself(tmp_path: Path, own_home: Path) -> None:
    assert Cache.at(str(tmp_path / "x")) == Cache(tmp_path / "x")
    assert Cache.at(None) == Cache.default()
    assert Cache.at("memory://x") == Cache(own_home / "cache", Remote("memory://x"))


@pytest.mark.parametrize(
    ("url", "says"),
    [("s4://bucket/x", "Protocol not known: s4"), ("dropbox://x", "dropbox")],
)
def test_a_url_that_cannot_be_used_is_one_sentence(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"the cache {url} cannot be used: .*{says}"):
        Cache.at(url)


def test_a_cache_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "a", Remote(f"file://{tmp_path}/file/below"))
    with pytest.raises(
        BenchError, match=r"the shared cache file:.* does not answer: .*Not a directory"
    ):
        cache.put(PRINT, "c" * 32, SAMPLES)
    with pytest.raises(
        BenchError,
        match=r"the shared cache ftp://127.0.0.1:1/x does not answer: .*refused",
    ):
        Cache.at("ftp://127.0.0.1:1/x")


WRITE_FOREVER = """
import sys, numpy as np
from pathlib import Path
from bench.data.cache import Cache
from bench.data.remote_cache import Remote
cache = Cache(Path(sys.argv[1]), Remote(sys.argv[2]))
print("ready", flush=True)
for n in range(10**9):
    cache.put("f" * 32, f"{n:032x}", np.full(2_000_000, n, np.float32))
"""


def test_a_kill_while_uploading_shows_nobody_half_a_file(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    command = [
        sys.executable,
        "-c",
        WRITE_FOREVER,
        str(tmp_path / "a"),
        f"file://{shared}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def half() -> bool:
        return any(0 < f.stat().st_size < 8_000_000 for f in shared.rglob(".*-*"))

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:  # stopped with a file half uploaded, then killed
        os.kill(process.pid, signal.SIGSTOP)
        if half():
            break
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    assert half(), "never caught in the middle of a file"
    whole = [path for path in shared.rglob("*.npy") if not path.name.startswith(".")]
    assert all(path.stat().st_size == 8_000_136 for path in whole)
    other = Cache(tmp_path / "b", Remote(f"file://{shared}"))
    contents = [path.stem for path in whole[:2]]
    assert other.lacking(PRINT, [*contents, "e" * 32], fetch=True) == ["e" * 32]
