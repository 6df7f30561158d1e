from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from launcher import health
from tests.servers import free_port, valkey_server


class Answers:
    """Status and body by path; what was asked is kept."""

    def __init__(self) -> None:
        self.by_path: dict[str, tuple[int, object]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@pytest.fixture
def server() -> Iterator[Answers]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append((self.path, self.headers.get("Authorization")))
            status, body = answers.by_path.get(self.path, (404, {}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answers.url = f"http://127.0.0.1:{found.server_address[1]}"
    yield answers
    found.shutdown()
    thread.join()
    found.server_close()


def test_valkey_is_ready_when_it_answers_ping(folder: Path) -> None:
    path = folder / "valkey.sock"
    assert not health.valkey_ready(str(path))

    with valkey_server(folder / "valkey", path) as url:
        assert health.valkey_ready(str(path))
        assert health.reachable(url)

    assert not health.reachable(url)


def test_reachable_takes_the_default_port_of_its_scheme(server: Answers) -> None:
    assert health.reachable(server.url.replace("http", "redis", 1))
    assert not health.reachable(f"redis://127.0.0.1:{free_port()}/0")


def test_chroma_and_the_model_server_are_asked_for_their_health(server: Answers) -> None:
    assert not health.chroma_ready(server.url)
    server.by_path = {"/api/v2/heartbeat": (200, {}), "/health": (503, {"error": "loading"})}
    assert health.chroma_ready(server.url + "/")
    assert not health.model_ready(server.url, "secret")

    server.by_path["/health"] = (200, {"status": "ok"})

    assert health.model_ready(server.url, "secret")
    assert server.asked[-1] == ("/health", "Bearer secret")


def test_readyz_names_what_is_missing(server: Answers) -> None:
    checks = {"database": "ok", "redis": "ok", "chroma": "ConnectError", "runner": "LookupError"}
    server.by_path["/readyz"] = (503, {"ready": False, "checks": checks})
    assert health.missing_dependencies(server.url) == ["chroma", "runner"]

    server.by_path["/readyz"] = (500, b"oops")
    assert health.missing_dependencies(server.url) == ["web"]

    server.by_path["/readyz"] = (200, {"ready": True, "checks": {"database": "ok"}})
    assert health.missing_dependencies(server.url) == []

    assert health.missing_dependencies(f"http://127.0.0.1:{free_port()}") is None
