"""Which corpus a manifest describes, without decoding any audio."""

from pathlib import Path

from bench.data.manifest_file import Manifest
from bench.data.privacy import pseudonym
from bench.fingerprint import digest

SAMPLE = (
    1024  # bytes from the middle of a file, which tell recordings of one size apart
)
SEPARATOR = "."


def manifest_digest(manifest: Manifest) -> str:
    """Hex digits over what the rows say, in any order, and over a few bytes of every file; the
    latter are left out where a file is absent. Keyed where the manifest is private.
    """
    entries = []
    for row in manifest.rows:
        labels = sorted(row.labels)
        entry = [row.recording, labels, row.speaker, row.split, row.language]
        entries.append(entry)
    ordered = sorted(entries, key=digest)
    parts = [digest(ordered), _files(manifest)]
    if manifest.companion.private:
        parts = [pseudonym(part, "manifest") if part else "" for part in parts]
    return SEPARATOR.join(parts)


def same_corpus(one: str, other: str) -> bool:
    """Whether two digests are of one corpus: the same rows and, where both are known, files."""
    rows, _, files = one.partition(SEPARATOR)
    other_rows, _, other_files = other.partition(SEPARATOR)
    if rows != other_rows:
        return False
    return files == other_files or not (files and other_files)


def _files(manifest: Manifest) -> str:
    """32 hex digits over the sizes and some bytes of all files; empty if one is absent."""
    folder = manifest.path.parent
    paths = sorted({row.path for row in manifest.rows})
    try:
        samples = [_sample(folder / path) for path in paths]
    except OSError:
        return ""
    return digest(samples)


def _sample(path: Path) -> list[object]:
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(size // 2)
        middle = file.read(SAMPLE)
    return [size, middle.hex()]
