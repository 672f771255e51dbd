"""Names without imports; unknown, broken and double ones each in a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.errors import UsageError

HEAVY = (
    "torch",
    "transformers",
    "mlflow",
    "sklearn",
    "numpy",
    "pandas",
    "librosa",
    "soundfile",
    "matplotlib",
)

GOOD = """
from bench.contracts.backbone import Backbone
from bench.contracts.recipe import Recipe

class Mine(Backbone):
    summary, reads, citation, licence = "mine", "nothing", "nobody 2026", "MIT"
    def recipe(self, setup): return Recipe()
    def features(self, setup): return {}
    def network(self, setup): raise NotImplementedError
"""


def install(folder: Path, module: str, source: str, points: str) -> None:
    """A third-party distribution: a module and its entry points, as pip would leave them."""
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(points, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._load.cache_clear()
    return tmp_path


def test_the_folder_is_the_registry() -> None:
    names = registry.entries("backbone")
    assert {"wav2vec2", "hubert", "whisper-small", "byol-s", "mfcc-stats"} <= set(names)
    assert not any(name.startswith("-") for name in names)
    assert {"demo", "ravdess", "emodb", "visec", "hotline"} <= set(
        registry.entries("task")
    )


def test_listing_and_usage_errors_import_nothing_heavy() -> None:
    code = (
        "import sys\nfrom bench.cli import app as cli\nsys.argv = ['bench', *sys.argv[1:]]\n"
        "try: cli.main()\nexcept SystemExit as end: print('exit', end.code)\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    for arguments in (
        ["--help"],
        ["list"],
        ["run", "-b", "hubret"],
        ["run", "-b", "hubert", "--set", "epoch=3"],
        ["run", "-b", "hubert", "-t", "demo", "--protocol", "speakers"],
        ["run", "--mode", "prob"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]", (
            arguments,
            done.stdout[-300:],
            done.stderr,
        )


def test_unknown_names_are_told_all_at_once_with_the_nearest_and_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        registry.backbones(["hubret", "all", "wav2vce2", "hubert"])
    text = str(caught.value)
    assert "hubret (did you mean hubert?)" in text
    assert "wav2vce2 (did you mean wav2vec2?)" in text
    assert "mfcc-stats" in text
    assert "CONTRIBUTING" in text
    assert caught.value.exit_code == 2


def test_everything_is_every_built_in_one_once_and_all_the_usual_ones(
    site: Path,
) -> None:
    install(site, "third_a", GOOD, "[ser_bench.backbones]\nmine = third_a:Mine\n")
    names = [b.name for b in registry.backbones(["hubert", "everything"])]
    assert names[0] == "hubert"
    assert len(names) == len(set(names)) == len(registry.entries("backbone")) - 1
    assert "mine" not in names
    usual = [b.name for b in registry.backbones(["all"])]
    assert set(usual) < set(names)
    assert "whisper-base" in usual
    assert "whisper-tiny" not in usual


def test_a_third_party_backbone_is_found_by_its_entry_point(site: Path) -> None:
    install(site, "third_b", GOOD, "[ser_bench.backbones]\nmine = third_b\n")
    assert registry.entries("backbone")["mine"].origin == "third_b 1.0"
    assert registry.backbones(["mine"])[0].name == "mine"


def test_a_broken_plugin_harms_nobody_and_says_why(site: Path) -> None:
    install(
        site,
        "third_c",
        "import no_such_module\n",
        "[ser_bench.backbones]\nsick = third_c:Mine\n",
    )
    assert registry.backbones(["hubert"])
    with pytest.raises(
        UsageError,
        match=r"sick \(third_c 1.0\) cannot be loaded: ModuleNotFoundError.*no_such_module",
    ):
        registry.backbones(["sick"])
    from bench.cli.listing import show

    assert "cannot be loaded" in show("backbones")


def test_one_name_twice_is_an_error_that_names_both(site: Path) -> None:
    install(site, "third_d", GOOD, "[ser_bench.backbones]\nhubert = third_d:Mine\n")
    with pytest.raises(
        UsageError,
        match=r"hubert is defined twice.*backbones\.hubert \(built in\).*third_d:Mine",
    ):
        registry.backbones(["wav2vec2"])


def test_an_unknown_variant_is_told_with_those_there_are() -> None:
    with pytest.raises(
        UsageError, match=r"demo has no variant ptich \(did you mean pitch\?\)"
    ):
        registry.tasks(["demo:ptich"])


def test_a_manifest_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"no manifest at missing\.csv"):
        registry.tasks(["missing.csv"])


def test_wrong_names_of_both_kinds_are_told_at_once() -> None:
    with pytest.raises(
        UsageError,
        match=r"did you mean hubert\?.*did you mean wavlm\?.*also.*did you mean demo\?",
    ):
        registry.check(["all", "hubret", "wvlm"], ["demmo"])


def test_a_manifest_that_cannot_be_read_is_told_before_anything_runs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,lable\na.wav,sad\n", encoding="utf-8")
    with pytest.raises(UsageError, match="label"):
        registry.tasks([str(path), "demo"])


def test_variants_come_along_when_asked_for() -> None:
    asked = ["hubert:released", "hubert", "mfcc-stats"]
    names = [(b.stem, b.variant) for b in registry.backbones(asked, variants=True)]
    assert names[0] == ("hubert", "released")
    assert ("hubert", "") in names
    assert ("mfcc-stats", "") in names
    assert len(names) == len(set(names))
    assert ("hubert", "") not in [
        (b.stem, b.variant)
        for b in registry.backbones(["hubert:released"], variants=True)
    ]


def foreign(folder: Path) -> Path:
    """Somebody else's module with the name of one of our packages."""
    path = folder / "tasks.py"
    path.write_text(
        "raise SystemExit('somebody else was imported')\n", encoding="utf-8"
    )
    return path


def bench_in(
    folder: Path, *words: str, before: str = ""
) -> "subprocess.CompletedProcess[str]":
    """`python -m bench`, started in a folder, which Python then searches first."""
    start = f"import sys, runpy\n{before}\nsys.argv = ['bench', *{words!r}]\n"
    code = f"{start}runpy.run_module('bench', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_somebody_else_s_module_does_not_hide_our_tasks(tmp_path: Path) -> None:
    other = foreign(tmp_path)
    listed = bench_in(tmp_path, "list", "tasks")
    assert listed.returncode == 0, listed.stderr
    assert "ravdess" in listed.stdout
    assert listed.stderr.splitlines() == [
        f"bench: {other.resolve()} is ignored: tasks is the name of a package of ser-bench"
    ]


def test_doctor_names_somebody_else_s_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = foreign(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.namesake("tasks") == other.resolve()
    assert registry.namesake("backbones") is None


def test_somebody_else_s_module_that_is_imported_is_named(tmp_path: Path) -> None:
    other = tmp_path / "tasks.py"
    other.write_text("", encoding="utf-8")
    refused = bench_in(tmp_path, "list", "tasks", before="import tasks")
    assert refused.returncode == 2
    assert f"the name tasks is taken by {other.resolve()}" in refused.stderr
    assert "Traceback" not in refused.stderr
