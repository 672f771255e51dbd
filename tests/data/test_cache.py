"""The cache: found by content, complete or absent, whoever writes at the same time or dies while
writing.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.data.array_file import CHECKSUM
from bench.data.cache import Cache
from bench.errors import BenchError, UsageError
from tests.helpers import PATIENCE

SAMPLES = np.linspace(-1, 1, 1000, dtype=np.float32)
PRINT = "f" * 32


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_the_default_is_in_the_home_of_the_harness(own_home: Path) -> None:
    assert own_home in Cache.default().root.parents


def test_waveforms_are_kept_once_per_content(cache: Cache) -> None:
    assert cache.content("s1") is None
    content = cache.put_waveform("s1", SAMPLES)
    assert cache.put_waveform("s2", SAMPLES.copy()) == content
    assert cache.content("s1") == cache.content("s2") == content
    found = cache.waveform(content)
    assert found is not None
    assert np.array_equal(found, SAMPLES)
    assert not found.flags.writeable
    assert {u.kind: u.files for u in cache.size()} == {
        "sources": 2,
        "audio": 1,
        "unfinished": 0,
    }


def test_one_sample_makes_another_content(cache: Cache) -> None:
    changed = SAMPLES.copy()
    changed[500] = np.nextafter(changed[500], 2)
    assert cache.put_waveform("s1", SAMPLES) != cache.put_waveform("s2", changed)


def test_features_are_found_by_fingerprint_and_content(cache: Cache) -> None:
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    cache.put(PRINT, "c" * 32, array.T)
    found = cache.open(PRINT, "c" * 32)
    assert found is not None
    assert np.array_equal(found, array.T)
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1
    assert cache.open("e" * 32, "c" * 32) is None
    assert cache.open(PRINT, "d" * 32) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "longer", "header", "text"])
def test_a_damaged_entry_is_no_entry(cache: Cache, damage: str) -> None:
    cache.put(PRINT, "c" * 32, SAMPLES)
    content = cache.put_waveform("s", SAMPLES)
    for path in cache.root.rglob("*.npy"):
        whole = path.read_bytes()
        bad = {
            "cut": whole[:-4],
            "empty": b"",
            "longer": whole + b"x",
            "header": whole[:20],
            "text": b"nonsense" * 99,
        }
        path.write_bytes(bad[damage])
    assert cache.open(PRINT, "c" * 32) is None
    assert cache.waveform(content) is None
    assert cache.content("s") is None
    cache.put(PRINT, "c" * 32, SAMPLES)
    assert cache.put_waveform("s", SAMPLES) == content == cache.content("s")
    assert np.array_equal(np.asarray(cache.open(PRINT, "c" * 32)), SAMPLES)


def flip(path: Path, place: int = -20) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def another_command(cache: Cache) -> Cache:
    """The cache as a new process finds it."""
    return Cache(cache.root)


@pytest.mark.parametrize("place", [-1, -20, 2000])
def test_one_damaged_bit_is_found_when_first_read_and_made_again(
    cache: Cache, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.put(PRINT, "c" * 32, SAMPLES)
    cache.put(PRINT, "d" * 32, SAMPLES)
    (path,) = cache.root.rglob(f"{'c' * 32}.npy")
    flip(path, place)
    other = another_command(cache)
    assert other.open(PRINT, "c" * 32) is None
    assert "npy in the cache at" in capsys.readouterr().err
    assert other.lacking(PRINT, ["c" * 32, "d" * 32], fetch=True) == ["c" * 32]
    other.put(PRINT, "c" * 32, SAMPLES)
    assert np.array_equal(np.asarray(other.open(PRINT, "c" * 32)), SAMPLES)
    flip(path, place)
    found = another_command(cache).lacking(PRINT, ["c" * 32, "d" * 32], fetch=True)
    assert found == ["c" * 32]
    assert not path.exists()


def test_damaged_audio_is_known_by_its_name(cache: Cache) -> None:
    content = cache.put_waveform("s", SAMPLES)
    (path,) = cache.root.rglob(f"{content}.npy")
    flip(path)
    other = another_command(cache)
    assert other.waveform(content) is None
    assert other.content("s") is None
    assert other.put_waveform("s", SAMPLES) == content
    assert np.array_equal(np.asarray(other.waveform(content)), SAMPLES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.5])
def test_entries_of_earlier_versions_stay_valid_while_they_are_finite(
    cache: Cache, value: float
) -> None:
    cache.put(PRINT, "c" * 32, SAMPLES)
    (path,) = cache.root.rglob("*.npy")
    earlier = SAMPLES.copy()
    earlier[500] = value
    np.save(path, earlier)
    found = another_command(cache).open(PRINT, "c" * 32)
    assert (found is not None) == np.isfinite(value)


def test_any_reader_of_numpy_s_format_reads_an_entry(cache: Cache) -> None:
    cache.put(PRINT, "c" * 32, SAMPLES)
    (path,) = cache.root.rglob("*.npy")
    assert np.array_equal(np.load(path), SAMPLES)


def test_size_and_clear(cache: Cache) -> None:
    assert cache.size() == []
    cache.put_waveform("s", SAMPLES)
    cache.put(PRINT, "c" * 32, SAMPLES)
    cache.put("e" * 32, "c" * 32, SAMPLES)
    keep = cache.root / "key"
    keep.write_text("not ours")
    sizes = {u.kind: u.bytes for u in cache.size()}
    assert sizes["audio"] == 4000 + 128
    assert sizes[f"features/{PRINT}"] == 4000 + 128 + CHECKSUM
    with pytest.raises(UsageError, match=r"did you mean audio\?"):
        cache.clear("audo")
    cache.clear(f"features/{PRINT}")
    assert cache.open(PRINT, "c" * 32) is None
    assert cache.open("e" * 32, "c" * 32) is not None
    cache.clear("features")
    assert {u.kind for u in cache.size()} == {"sources", "audio", "unfinished"}
    cache.clear()
    cache.clear("audio")
    assert cache.size() == []
    assert keep.exists()


def test_a_cache_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        BenchError, match=r"cannot write the cache at .*file.*SER_BENCH_HOME"
    ):
        Cache(tmp_path / "file").put(PRINT, "c" * 32, SAMPLES)


FILL = """
import sys, numpy as np
from pathlib import Path
from bench.data.cache import Cache
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(60):
    samples = np.full(5000, n / 64, np.float32)
    content = cache.put_waveform(f"{n:032x}", samples)
    cache.put("f" * 32, content, samples[:, None])
    found = cache.open("f" * 32, content)
    assert found is not None and np.array_equal(found, samples[:, None])
"""


def start(program: str, cache: Cache) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, str(cache.root)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_several_processes_fill_the_same_entries_at_once(cache: Cache) -> None:
    processes = [start(FILL, cache) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.communicate("go\n", timeout=PATIENCE)[1] == ""
        assert process.returncode == 0
    assert {u.kind: u.files for u in cache.size()} == {
        "sources": 60,
        "audio": 60,
        "unfinished": 0,
        f"features/{PRINT}": 60,
    }


WRITE_FOREVER = """
import sys, numpy as np
from pathlib import Path
from bench.data.cache import Cache
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
for n in range(10**9):
    cache.put("f" * 32, f"{n:032x}", np.full(2_000_000, n, np.float32))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_a_kill_while_writing_leaves_nothing_that_can_be_read_wrong(
    cache: Cache,
) -> None:
    process = start(WRITE_FOREVER, cache)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    unfinished = cache.root / "unfinished"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:  # stopped with a file half written, then killed
        os.kill(process.pid, signal.SIGSTOP)
        if any(0 < f.stat().st_size < 8_000_000 for f in unfinished.glob("*")):
            break
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert any(0 < f.stat().st_size < 8_000_000 for f in unfinished.glob("*")), (
        "never caught in the middle of a file"
    )
    entries = list((cache.root / "features").rglob("*.npy"))
    for path in entries:
        array = cache.open(PRINT, path.stem)
        assert array is not None
        assert (array == int(path.stem, 16)).all()
    cache.put(PRINT, f"{len(entries):032x}", SAMPLES)
    assert cache.open(PRINT, f"{len(entries):032x}") is not None
    cache.clear("unfinished")
    assert not unfinished.exists()
