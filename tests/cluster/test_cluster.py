"""Runs on a real Ray cluster of two nodes on this machine, which share no cache folder: each node
has its own home.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.cluster import preflight
from bench.cluster.pool import Gpu, Need
from bench.cluster.sizes import Sizes
from bench.errors import BenchError
from bench.settings import Settings
from tests.conftest import Bench
from tests.helpers import PATIENCE, ROOT, open_store, wait_until, write_tones
from tests.runs.test_private import leaks, written
from tests.runs.test_runner import rows
from tests.search.test_tune import trials

PLUGINS = """
import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from backbones.mfcc_stats import MfccStats
from bench.features.signal import Mfcc, Statistics
from bench.contracts.recipe import Recipe

NOTES = Path(os.environ["NOTES"])

def note(what):
    with NOTES.open("a") as file:
        file.write(f"{what}\\n")

@dataclass(frozen=True)
class Counted(Statistics):
    def extract(self, waveforms, device):
        for waveform in waveforms:
            note(f"clip {waveform.tobytes().hex()[:64]} {len(waveform)}")
        return super().extract(waveforms, device)

def wait_for_the_end():
    for _ in range(72_000):  # an hour, in steps that an interrupt ends
        time.sleep(0.05)

class Counts(MfccStats):
    def features(self, setup):
        return {"mfcc": Counted(of=Mfcc())}

    def network(self, setup):
        if os.environ["SER_BENCH_HOME"].endswith("home2"):
            note("held")
            wait_for_the_end()
        return super().network(setup)

class Crashes(MfccStats):
    def network(self, setup):
        note("crash")
        os._exit(1)

class Breaks(MfccStats):
    def network(self, setup):
        note("break")
        raise RuntimeError("in " + __file__)

class Waits(MfccStats):
    def network(self, setup):
        note("wait")
        wait_for_the_end()
"""
NAMES = ("Counts", "Crashes", "Breaks", "Waits")
ENTRIES = "[ser_bench.backbones]\n" + "".join(
    f"{name.lower()} = third_ray:{name}\n" for name in NAMES
)
QUICK_DEATH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 2,
    "health_check_timeout_ms": PATIENCE
    * 1000,  # slow is not dead; a dead node refuses at once
}
# Ray's own bounds, which a busy machine would exceed
PATIENT = {
    "RAY_agent_register_timeout_ms": f"{PATIENCE * 1000}",
    "RAY_gcs_rpc_server_connect_timeout_s": f"{PATIENCE}",
    "RAY_gcs_server_port_wait_time_s": f"{PATIENCE}",
    "RAY_gcs_server_request_timeout_seconds": f"{PATIENCE}",
    "RAY_worker_register_timeout_seconds": f"{PATIENCE}",
}


@dataclass
class Grounds:
    """A cluster, what it shares, and where its plugins leave notes."""

    cluster: Any
    second: Any  # its second node
    folder: Path
    flags: tuple[str, ...]
    environment: dict[str, str]  # of whoever starts a command there

    def notes(self, what: str) -> list[str]:
        file = self.folder / "notes"
        return [
            line
            for line in (file.read_text().splitlines() if file.exists() else [])
            if line.startswith(what)
        ]


def persistent(start: Callable[[], Any]) -> Any:
    """What `start` returns: a node of Ray, which gives itself 30 s and may need more."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return start()
        except Exception as error:
            if "timed out" not in str(error).lower() or time.monotonic() > until:
                raise


@pytest.fixture(scope="module")
def grounds() -> Iterator[Grounds]:
    if find_spec("ray") is None:  # Ray itself is imported once its environment is set
        pytest.skip("Ray is not installed: pip install 'ser-bench[ray]'")
    folder = Path(
        tempfile.mkdtemp(prefix="ray", dir="/tmp")
    )  # a short path, for Ray's sockets
    (folder / "third_ray.py").write_text(PLUGINS, encoding="utf-8")
    info = folder / "third_ray-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: third_ray\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(ENTRIES, encoding="utf-8")
    own = {
        "OMP_NUM_THREADS": "1",
        "NOTES": f"{folder}/notes",
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "RAY_AUTH_MODE": "disabled",
        **PATIENT,
    }
    size: dict[str, Any] = {
        "num_cpus": 1,
        "object_store_memory": 100 * 2**20,
        "include_dashboard": False,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "RAY_TMPDIR", str(folder)
        )  # where Ray notes a cluster's address, in a folder that must be there
        (folder / "ray").mkdir()
        for name, value in {
            **own,
            "RAY_USAGE_STATS_ENABLED": "0",
            "SER_BENCH_HOME": f"{folder}/home1",
        }.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster  # reads the environment

        head = {
            **size,
            "_system_config": QUICK_DEATH,
            "temp_dir": f"{folder}/ray",
            "wait": False,
        }
        cluster = persistent(lambda: Cluster(initialize_head=True, head_node_args=head))
        patch.setenv("SER_BENCH_HOME", f"{folder}/home2")
        second = persistent(lambda: cluster.add_node(**size, wait=False))
        wait_until(
            lambda: len(cluster.global_state._live_node_ids()) == 2, "two nodes", 0.2
        )
    flags = (
        "--executor",
        "ray",
        "--ray-address",
        cluster.address,
        "--cache",
        f"file://{folder}/shared",
    )
    yield Grounds(cluster, second, folder, flags, own)
    second.kill_all_processes(
        check_alive=False, allow_graceful=False
    )  # half of it is dead: nothing to wait for
    cluster.worker_nodes.discard(second)
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def there(grounds: Grounds, monkeypatch: pytest.MonkeyPatch) -> Grounds:
    """The cluster, with this process set up as its nodes are."""
    import torch

    for name, value in grounds.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(grounds.folder))
    registry._load.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shutil.rmtree(grounds.folder / "shared", ignore_errors=True)
    (grounds.folder / "notes").unlink(missing_ok=True)
    yield grounds
    torch.set_num_threads(threads)


def predictions(results: Path) -> dict[str, Any]:
    """By fingerprint."""
    runs = [
        run for record in open_store(None, results).records() for run in record.runs
    ]
    assert all(run.predictions for run in runs), [run.reason for run in runs]
    return {run.fingerprint: run.predictions() for run in runs if run.predictions}


def table(
    bench: Bench, capsys: pytest.CaptureFixture[str], results: Path
) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert bench("table", "--results", results, "--format", "json") == 0
    timing = ("train_seconds", "peak_memory_mb")
    return sorted(
        ({k: v for k, v in row.items() if k not in timing} for row in rows(capsys)),
        key=str,
    )


def test_a_worker_that_always_dies_costs_its_own_run_alone_and_no_name_of_a_private_task_is_left(
    there: Grounds,
    bench: Bench,
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = (
        "run",
        "-b",
        "crashes,breaks,mfcc-stats",
        "-t",
        _private(tmp_path / "klinik"),
        "--folds",
        "1",
    )
    assert (
        bench(
            *arguments,
            "--set",
            "epochs=4",
            "--results",
            results,
            *there.flags,
            "--format",
            "json",
        )
        == 1
    )
    told = capsys.readouterr()
    assert told.out.startswith("[")  # Ray's own tales are kept out of the table
    assert told.err.count("its worker process died: started again, attempt 2 of 3") == 1
    assert (
        told.err.count("1, seed 0: failed: its worker process died, 3 times in 3") == 1
    )
    assert "1 recorded now, 0 recorded before, 2 failed" in told.err
    assert len(there.notes("crash")) == 3
    assert len(there.notes("break")) == 1  # what breaks by itself is not tried again
    found = {
        r.backbone: [(run.status, run.reason[:12]) for run in r.runs]
        for r in open_store(None, results).records()
    }
    assert found == {
        "mfcc-stats": [("ok", "")],
        "crashes": [("failed", "its worker p")],
        "breaks": [("failed", "RuntimeError")],
    }
    logs = there.folder / "ray"
    assert any(file.name.startswith("worker-") for file in logs.rglob("*"))
    assert leaks(told.out + told.err) == []
    assert (
        written(results, logs, there.folder / "shared", *there.folder.glob("home*"))
        == []
    )


def _private(folder: Path) -> Path:
    """A private manifest of planted names."""
    lines = []
    for path in sorted(write_tones(folder).glob("*.wav")):
        label, speaker, number = path.stem.split("_")
        renamed = path.rename(path.with_name(f"Zhang-Wei_{speaker}{number}{label}.wav"))
        lines.append(f"{renamed.name},verzweifelt-{label},Zhang-Wei-{speaker}")
    sheet = folder / "sitzung.csv"
    sheet.write_text("path,label,speaker\n" + "\n".join(lines) + "\n", encoding="utf-8")
    sheet.with_suffix(".toml").write_text("private = true\n", encoding="utf-8")
    return sheet


def test_a_search_spread_over_the_cluster_keeps_its_budget(
    there: Grounds, bench: Bench, manifest: Path, results: Path
) -> None:
    arguments = (
        "tune",
        "-b",
        "byol-s",
        "-t",
        manifest,
        "--scale",
        "tiny",
        "--trials",
        "6",
        "--set",
        "epochs=3",
    )
    assert bench(*arguments, "--search-only", "--results", results, *there.flags) == 0
    told = trials(results)
    assert sorted(int(run.data.tags["ser.trial"]) for run in told) == [0, 1, 2, 3, 4, 5]
    assert {run.info.status for run in told} == {"FINISHED"}
    (search,) = open_store(None, results).searches()
    assert search.parts[0].complete + search.parts[0].pruned == 6
    assert list(search.choices) == [""]
    assert list((results / "artifacts").rglob("search.json"))
    assert not list(Path.cwd().rglob("mlruns"))


def test_ctrl_c_leaves_nothing_half_recorded_and_the_next_command_goes_on(
    there: Grounds,
    bench: Bench,
    manifest: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = (
        "-t",
        str(manifest),
        "--set",
        "epochs=4",
        "--results",
        str(results),
        *there.flags,
    )
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "-b",
        "mfcc-stats,waits",
        "--folds",
        "1",
        *common,
    ]
    process = subprocess.Popen(
        command,
        cwd=results,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    first = process.stderr.readline()
    assert first.startswith("mfcc-stats on tones, 1, seed 0: UA")
    wait_until(lambda: there.notes("wait"), "a run under way", pause=0.1)
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
    assert process.wait(PATIENCE) == 130, told
    assert "the same command continues from there" in told
    assert "Traceback" not in told
    store = open_store(None, results)
    (experiment,) = store.client.search_experiments(filter_string="name = 'tones'")
    runs = store.client.search_runs(
        [experiment.experiment_id], "tags.`ser.kind` = 'run'"
    )
    assert [run.info.status for run in runs] == [
        "FINISHED"
    ]  # the interrupted one was taken out
    parents = store.client.search_runs(
        [experiment.experiment_id], "tags.`ser.kind` = 'pairing'"
    )
    ended = [run.info.status for run in parents]
    assert "KILLED" in ended
    assert "RUNNING" not in ended
    assert bench("run", "-b", "mfcc-stats", "--folds", "2", *common) == 0
    assert "1 recorded now, 1 recorded before" in capsys.readouterr().err


def test_without_ray_an_address_or_a_fitting_request_one_sentence_says_so(
    bench: Bench,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip(
        "ray", reason="Ray is not installed: pip install 'ser-bench[ray]'"
    )
    # Ray itself would try an address that does not answer for minutes
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was asked"))
    arguments = ("run", "-b", "mfcc-stats", "-t", manifest, "--executor", "ray")
    for flags, code, says in (
        (
            ("--ray-address", "127.0.0.1:1"),
            1,
            "no Ray cluster answers at 127.0.0.1:1 (Connection refused)",
        ),
        (
            ("--ray-address", "ray://127.0.0.1:10001"),
            2,
            "ray-address must be HOST:PORT or auto",
        ),
        (
            ("--ray-address", "head"),
            2,
            "ray-address must be HOST:PORT or auto",
        ),
        (("--cpus-per-run", "0"), 2, "cpus-per-run must be at least 1"),
    ):
        assert bench(*arguments, *flags) == code
        told = capsys.readouterr().err
        assert says in told
        assert "Traceback" not in told
    monkeypatch.setitem(sys.modules, "ray", None)
    assert bench(*arguments) == 2
    assert "pip install 'ser-bench[ray]'" in capsys.readouterr().err


def test_a_cluster_that_can_never_do_it_says_so_before_anything_is_run(
    there: Grounds,
    bench: Bench,
    manifest: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = (
        "run",
        "-b",
        "mfcc-stats",
        "-t",
        manifest,
        "--results",
        results,
        *there.flags,
    )
    for flags, says in (
        (
            ("--cpus-per-run", "64", "--memory-per-run", "9999"),
            "no node of the cluster has 64 CPUs and 9999 MiB: ask for less with --cpus-per-run",
        ),
        (("--device", "cuda"), "no node of the cluster has a GPU"),
        (("--device", "cuda:1"), "Ray chooses which GPU"),
    ):
        assert bench(*arguments, *flags) == 2
        assert says in capsys.readouterr().err
    assert not open_store(None, results).recorded("tones")


def sizes(gpu: Gpu | None, nodes: dict[str, float], **settings: Any) -> Sizes:
    cluster = SimpleNamespace(
        gpu=gpu, settings=Settings(**settings), total=nodes.get, most=nodes.get
    )
    return Sizes(cluster)  # type: ignore[arg-type]


def test_measured_runs_share_a_gpu_and_unmeasured_ones_do_not() -> None:
    nodes = {"CPU": 32.0, "GPU": 4.0, "memory": 100_000.0}
    found = sizes(Gpu(80_000, True), nodes)
    assert found.need(None) == Need(cpus=4, gpus=1.0)
    assert found.need(10_000) == Need(
        cpus=1, gpus=0.1666
    )  # 12,600 MiB with what a process takes: six of them
    assert found.need(20_000) == Need(cpus=1, gpus=0.3333)
    assert found.need(70_000) == Need(cpus=4, gpus=1.0)
    assert [found.slots(found.need(m)) for m in (None, 10_000, 20_000)] == [4, 24, 12]
    assert sizes(Gpu(80_000, True), nodes, gpus_per_run=0.5, cpus_per_run=3).need(
        None
    ) == Need(3, 0.5)


def test_runs_on_cpus_are_promised_what_a_run_like_them_took() -> None:
    nodes = {"CPU": 8.0, "memory": 16_000.0}
    found = sizes(None, nodes, cpus_per_run=2)
    assert found.need(None) == Need(2, 0.0, 0)
    assert found.need(1_000) == Need(2, 0.0, 1_200)
    assert found.need(15_000) == Need(2, 0.0, 16_000)  # never more than a node has
    assert found.slots(Need(2)) == 4
    assert sizes(None, nodes, cpus_per_run=1, memory_per_run=500).need(9_000) == Need(
        1, 0.0, 500
    )


def test_machines_without_a_common_disk_need_a_server_and_an_object_store(
    tmp_path: Path,
) -> None:
    """Two hosts, one of which sees none of the folders: that host is played by a path that is
    nowhere.
    """

    def on(
        nodes: list[Any], function: Any, arguments: tuple[Any, ...], gpus: float = 0
    ) -> list[Any]:
        marks, uri = arguments
        return [
            function(marks, uri),
            function([tmp_path / "elsewhere" for _ in marks], uri),
        ]

    hosts = [{"NodeManagerHostname": name} for name in ("a", "b")]
    cluster: Any = SimpleNamespace(nodes=hosts, several=True, on=on)
    with pytest.raises(
        BenchError,
        match=r"the node b does not see .*results: .*--tracking-uri .*--cache",
    ):
        preflight.check(cluster, Settings(results=tmp_path / "results"))
    with pytest.raises(BenchError, match=r"the node b does not see .*cache"):
        preflight.check(
            cluster, Settings(results=tmp_path, tracking_uri="postgresql://x/y")
        )
    preflight.check(
        cluster, Settings(tracking_uri="postgresql://x/y", cache="memory://cache")
    )
    with pytest.raises(
        BenchError,
        match=r"on the node a, the tracking store http://127.0.0.1:1 does not answer",
    ):
        preflight.check(
            cluster, Settings(tracking_uri="http://127.0.0.1:1", cache="memory://cache")
        )
    assert not list(tmp_path.rglob(".seen-*"))


def test_a_node_killed_midway_costs_its_runs_alone_and_the_table_is_that_of_one_machine(
    there: Grounds,
    bench: Bench,
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raylet = there.second.all_processes["raylet"][0].process
    killer = threading.Thread(target=_kill_at_work, args=(raylet, there), daemon=True)
    killer.start()
    grid = (
        "run",
        "-b",
        "counts,byol-s",
        "-t",
        "demo",
        "--scale",
        "tiny",
        "--set",
        "epochs=3",
    )
    alone = shutil.copytree(results, tmp_path / "alone")
    assert bench(*grid, "--results", results, *there.flags) == 0
    killer.join()
    told = capsys.readouterr().err
    assert raylet.returncode == -signal.SIGKILL
    assert "started again, attempt 2 of 3" in told
    assert "6 recorded now" in told
    counted = Counter(there.notes("clip"))
    assert len(counted) == 384
    assert set(counted.values()) == {1}
    assert bench(*grid, "--results", alone) == 0
    spread, single = predictions(results), predictions(alone)
    assert len(spread) == 6
    assert spread.keys() == single.keys()
    for mark, found in spread.items():
        assert found.clips == single[mark].clips
        assert np.array_equal(found.probabilities, single[mark].probabilities)
    assert table(bench, capsys, results) == table(bench, capsys, alone)


def _kill_at_work(raylet: "subprocess.Popen[bytes]", grounds: Grounds) -> None:
    """Kill a node as soon as one of its workers does a run, which waits for that."""
    wait_until(lambda: grounds.notes("held"), "a run on the second node")
    raylet.kill()
    raylet.wait()
