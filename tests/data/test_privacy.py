"""Pseudonyms: stable on one machine, meaningless elsewhere, under a key of the owner alone."""

import multiprocessing
import re
import stat
from pathlib import Path

import pytest

from bench.data.privacy import _key, pseudonym
from bench.errors import CorpusError


def test_a_pseudonym_is_stable_and_says_nothing(own_home: Path) -> None:
    first = pseudonym("calls/anna.wav", "clip")
    _key.cache_clear()  # as in another process
    assert pseudonym("calls/anna.wav", "clip") == first
    assert re.fullmatch(r"[0-9a-f]{16}", first)


def test_kinds_and_texts_do_not_correlate() -> None:
    names = {
        pseudonym(text, kind)
        for text in ("anna", "bert")
        for kind in ("clip", "speaker")
    }
    assert len(names) == 4


def test_another_key_gives_other_names(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = pseudonym("anna", "speaker")
    monkeypatch.setenv("SER_BENCH_HOME", str(tmp_path))
    assert pseudonym("anna", "speaker") != here


def test_only_its_owner_reads_the_key(own_home: Path) -> None:
    pseudonym("anna", "speaker")
    assert stat.S_IMODE((own_home / "privacy.key").stat().st_mode) == 0o600
    assert len((own_home / "privacy.key").read_bytes()) == 32


def test_a_damaged_key_is_told(own_home: Path) -> None:
    (own_home / "privacy.key").write_bytes(b"short")
    with pytest.raises(CorpusError, match=r"privacy\.key is damaged: restore it"):
        pseudonym("anna", "speaker")


def _pseudonym(_: int) -> str:
    return pseudonym("anna", "speaker")


def test_processes_that_start_together_agree(own_home: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(_pseudonym, range(16), chunksize=1))) == 1
    assert not list(own_home.glob(".privacy*"))
