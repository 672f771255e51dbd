"""Decoding: every format and rate to 16 kHz mono, and every way in which a recording can be
unusable.
"""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.contracts.clip import Recording
from bench.data.audio import AudioError, decode, source_key

RATE = 16_000
JUDGED = {
    "WAV",
    "WAVEX",
    "RF64",
    "W64",
    "AIFF",
    "AU",
    "NIST",
    "CAF",
    "HTK",
    "FLAC",
    "OGG",
    "MP3",
}


def tone(rate: int = RATE, seconds: float = 1.5, channels: int = 1) -> np.ndarray:
    """(samples, channels): a rising sine, far below every Nyquist rate, with soft ends."""
    time = np.arange(round(rate * seconds)) / rate
    wave = (
        0.4
        * np.sin(2 * np.pi * (200 + 100 * time) * time)
        * np.sin(np.pi * time / seconds)
    )
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = RATE, **how: object) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **how)
    return buffer.getvalue()


def wav(samples: np.ndarray | None = None, subtype: str = "PCM_16") -> bytes:
    return encoded(
        tone(seconds=3) if samples is None else samples, format="WAV", subtype=subtype
    )


def with_data_size(data: bytes, size: int) -> bytes:
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


def reason(recording: Recording | bytes) -> str:
    if isinstance(recording, bytes):
        recording = Recording(data=recording)
    with pytest.raises(AudioError) as raised:
        decode(recording)
    assert raised.value.reason == str(raised.value)
    return raised.value.reason


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("rate", "format", "subtype", "tolerance"),
    [
        (16_000, "WAV", "PCM_16", 1e-4),
        (44_100, "WAV", "PCM_24", 1e-3),
        (8_000, "WAV", "PCM_16", 1e-3),
        (48_000, "WAV", "FLOAT", 1e-3),
        (8_000, "WAV", "ULAW", 0.02),
        (48_000, "WAVEX", "PCM_16", 1e-3),
        (44_100, "FLAC", "PCM_16", 1e-3),
        (16_000, "FLAC", "PCM_24", 1e-4),
        (44_100, "OGG", "VORBIS", 0.05),
        (48_000, "OGG", "OPUS", 0.05),
        (44_100, "MP3", "MPEG_LAYER_III", 0.05),
        (16_000, "MP3", "MPEG_LAYER_III", 0.05),
    ],
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_every_format_decodes_to_the_same_waveform(
    tmp_path: Path,
    rate: int,
    format: str,
    subtype: str,
    tolerance: float,
    channels: int,
    in_memory: bool,
) -> None:
    data = encoded(tone(rate, channels=channels), rate, format=format, subtype=subtype)
    path = tmp_path / "a ü.bin"
    path.write_bytes(data)
    found = decode(Recording(data=data) if in_memory else Recording(path=path))
    expected = tone()[:, 0]
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < tolerance


def test_channels_are_averaged() -> None:
    left, right = tone()[:, 0], np.zeros(len(tone()), np.float32)
    found = decode(Recording(data=wav(np.stack([left, right], 1), "FLOAT")))
    assert np.allclose(found, left / 2, atol=1e-7)


@pytest.mark.parametrize(
    ("format", "subtype", "rate"),
    [
        ("WAV", "PCM_16", 16_000),
        ("FLAC", "PCM_16", 16_000),
        ("OGG", "VORBIS", 16_000),
        ("MP3", "MPEG_LAYER_III", 16_000),
    ],
)
def test_a_segment_is_that_part_of_the_whole(
    format: str, subtype: str, rate: int
) -> None:
    noisy = tone(seconds=3) + 0.05 * np.random.default_rng(0).standard_normal(
        (48_000, 1)
    ).astype(np.float32)
    data = encoded(noisy, rate, format=format, subtype=subtype)
    whole = decode(Recording(data=data))
    assert np.allclose(
        decode(Recording(data=data, start=1.25, end=2.5)),
        whole[20_000:40_000],
        atol=1e-6,
    )
    assert np.allclose(
        decode(Recording(data=data, start=1.25)), whole[20_000:], atol=1e-6
    )
    assert np.allclose(decode(Recording(data=data, end=0.5)), whole[:8_000], atol=1e-6)
    assert (
        len(decode(Recording(data=data, start=2.0, end=3.005))) == 16_000
    )  # times rounded to centiseconds


@pytest.mark.parametrize(
    ("start", "end"),
    [(2.0, 4.0), (3.0, None), (5.0, 6.0), (-1.0, 1.0), (2.0, 2.0), (2.0, 1.0)],
)
def test_a_segment_outside_the_file(start: float, end: float | None) -> None:
    assert "is not within the file's 3.00 s" in reason(
        Recording(data=wav(), start=start, end=end)
    )


def test_missing_empty_and_unreadable(tmp_path: Path) -> None:
    assert reason(Recording(path=tmp_path / "no.wav")) == "missing file"
    assert reason(Recording(path=tmp_path)) == "unreadable: not a file"
    (tmp_path / "empty.wav").touch()
    assert reason(Recording(path=tmp_path / "empty.wav")) == "empty file"
    assert reason(b"") == "empty file"
    for name in ("secret.wav", "secret.raw"):
        (tmp_path / name).write_text("this is not audio " * 50)
        found = reason(Recording(path=tmp_path / name))
        assert found.startswith("unreadable: ")
        assert "secret" not in found


@pytest.mark.parametrize("samples", [np.zeros((0, 1)), np.zeros((0, 2))])
def test_no_samples(samples: np.ndarray) -> None:
    assert reason(wav(samples)) == "no samples"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_samples(value: float) -> None:
    samples = tone()
    samples[77] = value
    assert reason(wav(samples, "FLOAT")) == "non-finite samples"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"])
def test_a_wav_cut_short(subtype: str) -> None:
    data = wav(subtype=subtype)
    start = data.index(b"data") + 8
    found = reason(data[: start + (len(data) - start) * 2 // 5])
    assert found.startswith("truncated: 1.2"), found
    assert found.endswith("s of 3.00 s") or subtype == "IMA_ADPCM", found


def test_a_wav_cut_after_its_header() -> None:
    assert reason(wav()[:44]) == "truncated: 0.00 s of 3.00 s"
    assert reason(wav()[:-3]) == "truncated: 3.00 s of 3.00 s"
    assert reason(wav()[:10]).startswith("unreadable: ")


def test_chunks_before_and_after_the_data_of_a_wav() -> None:
    data = wav()
    odd = b"junk" + struct.pack("<I", 7) + b"1234567\0"
    at = data.index(b"data")
    padded = (
        data[:at] + odd + b"LIST" + struct.pack("<I", 4) + b"data" + data[at:] + odd
    )
    assert np.array_equal(decode(Recording(data=padded)), decode(Recording(data=data)))
    assert reason(padded[: at + 28 + 8 + 38_400]) == "truncated: 1.20 s of 3.00 s"


def test_a_streamed_wav_has_no_length_to_be_held_to() -> None:
    data = wav()
    for size in (0xFFFFFFFF, 0x7FFFF000):
        assert len(decode(Recording(data=with_data_size(data, size)))) == 48_000
    assert (
        reason(with_data_size(data, 0)) == "no samples"
    )  # all that the decoder makes of it


@pytest.mark.parametrize("excess", [1, 2, 44])
def test_a_header_that_states_a_little_too_much_is_whole(excess: int) -> None:
    data = wav()
    found = decode(Recording(data=with_data_size(data, len(data) - 44 + excess)))
    assert np.array_equal(found, decode(Recording(data=data)))


def test_a_header_that_states_half_of_what_is_there() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000, 1))
    half = with_data_size(wav(noise), 48_000)
    assert reason(half) == "unreadable: the header states 1.50 s of 3.00 s"


# RAW has no header, and the library writes SD2's into a file of the working directory
@pytest.mark.parametrize(
    "format", sorted(soundfile.available_formats().keys() - {"RAW", "SD2"})
)
def test_half_a_file_of_any_format_is_refused(format: str) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((16_000, 1))
    rate = 8_000 if format == "WVE" else RATE
    data = encoded(noise, rate, format=format)
    assert reason(data[: len(data) // 2]).startswith(("truncated", "unreadable"))
    if format in JUDGED:
        assert reason(data[:-100]).startswith(("truncated", "unreadable"))
        assert len(decode(Recording(data=data))) == 16_000
    else:
        assert reason(data).startswith(f"unreadable: {format} files cannot be checked")


@pytest.mark.parametrize(
    ("format", "subtype"),
    [("WAV", "GSM610"), ("W64", "GSM610"), ("WAV", "G721_32"), ("AU", "G723_24")],
)
def test_a_codec_that_cannot_seek(format: str, subtype: str) -> None:
    data = encoded(tone(8_000, 3), 8_000, format=format, subtype=subtype)
    whole = decode(Recording(data=data))
    assert np.abs(whole[:48_000] - tone(seconds=3)[:, 0]).max() < 0.2
    part = decode(Recording(data=data, start=1.0, end=2.0))
    assert np.abs(part - whole[16_000:32_000])[100:-100].max() < 1e-3
    assert reason(data[: len(data) // 2]).startswith("truncated: 1.")


@pytest.mark.parametrize("share", [0.6, 0.8, 0.999])
@pytest.mark.parametrize(
    ("format", "subtype", "rate"),
    [
        ("FLAC", "PCM_16", 16_000),
        ("OGG", "VORBIS", 16_000),
        ("OGG", "OPUS", 48_000),
        ("MP3", "MPEG_LAYER_III", 16_000),
    ],
)
def test_a_compressed_file_cut_short(
    tmp_path: Path, format: str, subtype: str, rate: int, share: float
) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((3 * rate, 1)).astype(
        np.float32
    )
    data = encoded(noise, rate, format=format, subtype=subtype)
    path = tmp_path / "a"
    path.write_bytes(data[: int(len(data) * share)])
    assert reason(Recording(path=path)).startswith("truncated")
    assert reason(Recording(path=path, end=2.9)).startswith("truncated")


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_flac_cut_in_its_header_says_so_quietly() -> None:
    assert reason(encoded(tone(), format="FLAC")[:44]).startswith(
        ("truncated", "unreadable")
    )


def without_index(mp3: bytes) -> bytes:
    """An MP3 as a stream has it: its first frame, an index, dropped."""
    at = max(mp3.find(b"Xing"), mp3.find(b"Info"))
    return mp3[mp3.index(mp3[:2], at) :]


def mp3(mode: str) -> bytes:
    return encoded(
        tone(seconds=3),
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode=mode,
        compression_level=0.5,
    )


def test_an_mp3_without_an_index() -> None:
    constant = without_index(mp3("CONSTANT"))
    assert 48_000 <= len(decode(Recording(data=constant))) <= 52_000
    assert reason(constant[:-100]).startswith(
        "truncated: the last frame breaks off after "
    )
    # the decoder would give 1.3 s of it and report no error
    assert (
        reason(without_index(mp3("VARIABLE")))
        == "unreadable: an MP3 of variable bit rate without an index"
    )


def test_an_mp3_with_tags() -> None:
    id3v2 = b"ID3\x04\0\0\0\0\x02\x00" + b"\0" * 256
    assert (
        len(decode(Recording(data=id3v2 + mp3("VARIABLE") + b"TAG" + b"\0" * 125)))
        == 48_000
    )
    assert reason(id3v2 + mp3("VARIABLE")[:-700]).startswith("truncated: ")


def test_an_id3_tag_that_claims_audio() -> None:
    data = mp3("CONSTANT")
    claimed = data.index(data[:2], len(data) * 3 // 4)  # to the start of a frame
    size = bytes([claimed >> 14 & 127, claimed >> 7 & 127, claimed & 127])
    reading = reason(b"ID3\x04\0\0\0" + size + data)
    assert reading == "unreadable: its ID3 tag claims bytes that are audio"


def test_the_source_key_follows_bytes_and_segment_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav())
    key = source_key(Recording(path=path))
    os.utime(path, (1, 1))
    assert source_key(Recording(path=path)) == key
    renamed = path.rename(tmp_path / "b.wav")
    assert (
        source_key(Recording(path=renamed)) == key == source_key(Recording(data=wav()))
    )
    segments = {
        source_key(Recording(path=renamed, start=s, end=e))
        for s, e in [(None, 1), (1, None), (0, 1), (1, 2)]
    }
    assert len(segments | {key}) == 5
    other = bytearray(wav())
    other[-1] ^= 1
    renamed.write_bytes(other)
    assert source_key(Recording(path=renamed)) != key
    with pytest.raises(AudioError, match="missing file"):
        source_key(Recording(path=path))
