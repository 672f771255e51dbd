"""What the package says of itself: metadata, citation file, and links that work elsewhere."""

import re
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
import yaml

from bench.version import __version__
from tests.helpers import ROOT

BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built as an installer builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / built.stdout.split()[-1]


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    inside = f"ser_bench-{__version__}.dist-info/METADATA"
    with zipfile.ZipFile(wheel) as archive:
        return message_from_string(archive.read(inside).decode())


def test_the_wheel_holds_the_published_figures(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name for name in archive.namelist() if name.startswith("tasks/published/")
        }
    files = {
        f"tasks/published/{path.name}"
        for path in (ROOT / "tasks/published").glob("*.toml")
    }
    assert files
    assert packed == files


def test_the_package_page_has_no_relative_link(metadata: Message) -> None:
    links = re.findall(r"\]\(([^)]+)\)", str(metadata.get_payload()))
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_links_lead_where_the_project_says_it_lives(metadata: Message) -> None:
    urls = dict(text.split(", ", 1) for text in metadata.get_all("Project-URL", []))
    own = re.findall(r"\]\((https://github[^)]+)\)", str(metadata.get_payload()))
    assert set(urls) >= {"Homepage", "Documentation", "Changelog", "Issues"}
    assert own
    assert all(link.startswith(urls["Homepage"]) for link in own)


def test_files_that_the_readme_links_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_authors_and_classifiers_are_given(metadata: Message) -> None:
    assert metadata["Author"] == "The ser-bench authors"
    assert "Intended Audience :: Science/Research" in metadata.get_all("Classifier", [])
    assert metadata["License-Expression"] == "MIT"


def test_the_citation_file_names_this_version_and_every_system() -> None:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert content["version"] == __version__
    assert content["cff-version"] == "1.2.0"
    cited = " ".join(str(entry) for entry in content["references"])
    systems = (
        "pitch-fusion",
        "feature-fusion",
        "multistream",
        "strl",
        "wav2vec2",
        "hubert",
        "byol-s",
    )
    assert [name for name in systems if name not in cited] == []
