"""`openai:NAME`: the openai-whisper package's own checkpoints, from its folder or a server."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.contracts import hub_client
from bench.contracts.openai_whisper import released
from bench.contracts.weights import Weights, resolve
from bench.encoders.hub import local_folder
from bench.encoders.openai_download import local_file
from bench.encoders.whisper import WhisperMeans
from bench.encoders.whisper_checkpoint import SIZES, load, read_dims
from bench.errors import WeightsError
from tests.helpers import write_openai_checkpoint


@dataclass
class Server:
    """What the server sends, and what it was asked for."""

    url: str = ""
    content: bytes = b""
    paths: list[str] = field(default_factory=list)


class Hangup:
    """A port that ends each of its `count` connections at once."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.socket.close()

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self.socket.accept()
                self.count += 1
                connection.close()
        except OSError:  # closed
            return


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small network in the package's format."""
    path, _ = write_openai_checkpoint(tmp_path_factory.mktemp("openai") / "small.pt")
    return path.read_bytes()


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            self.wfile.write(state.content)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{listening.server_port}"
    yield state
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def place(
    checkpoint: bytes, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where `openai:small`, whose published checkpoint is here the small network, is expected."""
    import whisper
    from huggingface_hub import constants

    server.content = checkpoint
    url = f"{server.url}/main/whisper/models/{hashlib.sha256(checkpoint).hexdigest()}/small.pt"
    monkeypatch.setitem(whisper._MODELS, "small", url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_client, "_failures", {})
    return tmp_path / "whisper" / "small.pt"


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


def refused(source: str = "openai:small") -> str:
    with pytest.raises(WeightsError) as error:
        local_file(source)
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


@pytest.mark.parametrize("size", SIZES)
def test_every_size_has_a_published_checkpoint(
    size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    weights = resolve(f"openai:{size}", None)
    assert weights == Weights(f"openai:{size}", released(f"openai:{size}").sha256)
    text = refused(f"openai:{size}")
    for part in (
        str(tmp_path / "whisper" / f"{size}.pt"),
        weights.digest,
        "HF_HUB_OFFLINE is set",
    ):
        assert part in text


def test_an_unknown_name_is_one_sentence() -> None:
    with pytest.raises(
        WeightsError, match=r"'smal' \(did you mean small\?\); available: "
    ) as e:
        resolve("openai:smal", None)
    assert str(e.value).endswith(".")


def test_a_file_in_its_place_is_loaded_and_nothing_asked(
    place: Path, checkpoint: bytes, server: Server
) -> None:
    write(place, checkpoint)
    weights = resolve("openai:small", None)
    dims = read_dims(weights)
    assert (dims.width, dims.encoder_layers) == (32, 2)
    by_path = resolve(str(place), None)
    ours, theirs = load("encoder", weights, dims), load("encoder", by_path, dims)
    for name, tensor in ours.state_dict().items():
        assert tensor.equal(theirs.state_dict()[name])
    assert server.paths == []


def test_the_same_file_by_name_and_by_path_shares_features(
    place: Path, checkpoint: bytes
) -> None:
    write(place, checkpoint)
    by_name, by_path = resolve("openai:small", None), resolve(str(place), None)
    assert by_name.digest == by_path.digest
    dims = read_dims(by_name)
    assert (
        WhisperMeans(by_name, dims).fingerprint
        == WhisperMeans(by_path, dims).fingerprint
    )


def test_another_file_in_its_place_is_refused_and_kept(
    place: Path, server: Server
) -> None:
    write(place, b"another")
    text = refused()
    for part in (
        str(place),
        "openai:small",
        hashlib.sha256(b"another").hexdigest(),
        "remove it",
    ):
        assert part in text
    assert place.read_bytes() == b"another"
    assert server.paths == []


def test_it_is_downloaded_once(
    place: Path, checkpoint: bytes, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert local_file("openai:small") == local_file("openai:small") == place
    assert place.read_bytes() == checkpoint
    assert len(server.paths) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("sent", [b"another", b""])
def test_a_download_of_other_content_is_refused_and_removed(
    place: Path, server: Server, sent: bytes
) -> None:
    server.content = sent
    assert hashlib.sha256(sent).hexdigest() in refused()
    assert list(place.parent.iterdir()) == []


def test_a_server_out_of_reach_is_asked_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import whisper

    with closing(Hangup()) as away:
        monkeypatch.setitem(
            whisper._MODELS, "small", f"{away.url}/main/models/0/small.pt"
        )
        for _ in range(2):
            text = refused()
            assert f"({away.url} does not answer: " in text
            assert str(place) in text
        assert away.count == 1


def test_other_backbones_refuse_it(place: Path, server: Server) -> None:
    with pytest.raises(WeightsError, match="only the Whisper backbones read"):
        local_folder(resolve("openai:small", None))
    assert server.paths == []
