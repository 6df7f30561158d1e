"""Which embedder COACH_EMBEDDER means, and the ones that live behind a server (a real one, of our own)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from knowledge.embedding import registry
from knowledge.embedding.errors import EmbedderUnavailable
from knowledge.embedding.remote import estimate_tokens
from tests.servers import free_port


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("word2vec", "must be one of e5-small, minilm, sentence-transformers:NAME"),
        ("openai", "openai:NAME"),
        ("openai:", "openai:NAME"),
        ("e5-small:x", "e5-small"),
    ],
)
def test_a_wrong_name_is_said_in_one_sentence(id_: str, said: str) -> None:
    assert said in registry.check(id_)
    with pytest.raises(EmbedderUnavailable, match="COACH_EMBEDDER must"):
        registry.embedder(id_)


@pytest.mark.parametrize("id_", ["e5-small", "minilm", "sentence-transformers:a/b", "ollama:x:latest", "openai:m"])
def test_known_names(id_: str) -> None:
    assert registry.check(id_) == ""


def test_one_object_per_process(e5: Any) -> None:
    assert registry.embedder("e5-small") is e5


def test_where_texts_go(settings: Any) -> None:
    settings.OPENAI_BASE_URL = ""
    assert registry.is_cloud("openai:m")
    settings.OPENAI_BASE_URL = "http://192.168.1.9:8080/v1"
    assert not registry.is_cloud("openai:m")
    assert not registry.is_cloud("e5-small")
    settings.OLLAMA_BASE_URL = "https://ollama.example.org"
    assert registry.is_cloud("ollama:m")


def test_estimated_tokens() -> None:
    assert 4 <= estimate_tokens("four words stand here") <= 12
    assert estimate_tokens("코칭은 대화입니다") >= 7


# --- servers -------------------------------------------------------------------------------------


class _Answers(BaseHTTPRequestHandler):
    """Embeddings as OpenAI's and Ollama's servers send them: (number of characters, 1, 0)."""

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = sent["input"] if isinstance(sent["input"], list) else [sent["input"]]
        self.server.seen.append((self.path, sent))  # type: ignore[attr-defined]
        vectors = [[float(len(text)), 1.0, 0.0] for text in texts]
        if sent["model"] == "missing":
            status, body = 404, {"error": {"message": "no such model"}}
        elif self.path.endswith("/api/embed"):
            status, body = 200, {"model": sent["model"], "embeddings": vectors}  # type: ignore[dict-item]
        else:
            data = [{"object": "embedding", "index": at, "embedding": v} for at, v in enumerate(vectors)]
            status, body = 200, {"object": "list", "data": data, "model": sent["model"]}  # type: ignore[dict-item]
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    found = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    found.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=found.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{found.server_address[1]}"
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY, settings.OLLAMA_BASE_URL = f"{url}/v1", "key", url
    monkeypatch.setattr(registry, "_loaded", {})
    yield found
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize("id_", ["openai:small", "ollama:small"])
def test_an_embedding_server(server: Any, id_: str) -> None:
    embedder = registry.embedder(id_)
    assert (embedder.id, embedder.dimensions) == (id_, 3)
    vectors = embedder.embed_passages(["a", "four"])
    assert vectors.shape == (2, 3)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    assert np.allclose(embedder.embed_query("four"), vectors[1])
    assert embedder.embed_passages([]).shape == (0, 3)
    assert all(isinstance(text, str) for _, sent in server.seen for text in np.atleast_1d(sent["input"]).tolist())


@pytest.mark.parametrize("id_", ["openai:missing", "ollama:missing"])
def test_a_model_that_is_not_there(server: Any, id_: str) -> None:
    with pytest.raises(EmbedderUnavailable, match=id_):
        registry.embedder(id_)


@pytest.mark.parametrize("id_", ["openai:m", "ollama:m"])
def test_a_server_that_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch, id_: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY, settings.OLLAMA_BASE_URL = f"{url}/v1", "key", url
    monkeypatch.setattr(registry, "_loaded", {})
    with pytest.raises(EmbedderUnavailable):
        registry.embedder(id_)


def test_openai_needs_a_key(settings: Any) -> None:
    settings.OPENAI_BASE_URL = settings.OPENAI_API_KEY = ""
    with pytest.raises(EmbedderUnavailable, match="OPENAI_API_KEY"):
        registry.embedder("openai:m")


def test_a_folder_that_holds_no_model(tmp_path: Any) -> None:
    with pytest.raises(EmbedderUnavailable):
        registry.embedder(f"sentence-transformers:{tmp_path}")


def test_minilm_from_its_wheel() -> None:
    embedder = registry.embedder("minilm")
    vectors = embedder.embed_passages(["A cat sits on the mat.", "Quarterly tax report"])
    assert vectors.shape == (2, embedder.dimensions) == (2, 384)
    query = embedder.embed_query("Where is the cat?")
    assert float(vectors[0] @ query) > float(vectors[1] @ query)
    assert embedder.count_tokens("A cat sits on the mat.") == 9
