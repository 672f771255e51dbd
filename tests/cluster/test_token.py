"""Ray on one machine listens on every interface, and lets nobody in who does not know its token."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers import PATIENCE

OWN = """
import sys
from pathlib import Path
from bench.cluster.connect import connect
from bench.settings import Settings

with connect(Settings(executor="ray", results=Path(sys.argv[1]))) as cluster:
    address = cluster.ray.get_runtime_context().gcs_address
    task = cluster.ray.remote(lambda: 41 + 1)
    print(address, cluster.ray.get(task.remote()), file=sys.stderr, flush=True)
    sys.stdin.readline()
"""
STRANGER = """
import sys
import ray
ray.init(address=sys.argv[1], logging_level="ERROR")
print("let in", ray.nodes())
"""


def test_nobody_without_the_token_reaches_the_processes(results: Path) -> None:
    foreign = {name: value for name, value in os.environ.items() if "RAY" not in name}
    with subprocess.Popen(
        [sys.executable, "-c", OWN, str(results)],
        env=foreign,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as own:
        assert own.stderr
        assert own.stdin
        said = own.stderr.readline().split()
        assert said[1:] == ["42"], said
        stranger = subprocess.run(
            [sys.executable, "-c", STRANGER, said[0]],
            env=foreign,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        own.stdin.write("end\n")
        own.stdin.close()
        assert own.wait(PATIENCE) == 0
    assert stranger.returncode != 0
    assert "let in" not in stranger.stdout
