"""How probable an answer is: what is asked of the server over a real socket, and what is made of its answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llm.errors import LanguageModelError, ServerFailed
from llm.providers.llamacpp_scores import Score, can_score, score
from llm.types import Message, ModelId

MODEL = ModelId("llamacpp")
MESSAGES = [Message("system", "Be a coach."), Message("user", "How?")]


class Server(ThreadingHTTPServer):
    """Splits at blanks into tokens 10, 11, …; each has ln p -0.5. `pieces` and `status` are of a test's choice."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.pieces: list[Any] | None = None
        self.status = 200


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_args: Any) -> None:
        return

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, self.headers.get("Authorization", "")))
        if self.path == "/tokenize":
            pieces = self.server.pieces or body["content"].split(" ")
            data: Any = {"tokens": [{"id": 10 + at, "piece": piece} for at, piece in enumerate(pieces)]}
        else:
            ids = [int(part[2:-2]) for part in body["grammar"].removeprefix("root ::= ").split()]
            entries = [{"id": number, "logprob": -0.5} for number in [*ids, 2]]
            data = {"choices": [{"logprobs": {"content": entries}}]}
        text = json.dumps(data).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    settings.LLAMACPP_SERVER = {"url": f"http://127.0.0.1:{made.server_port}", "key": "k", "model": "m"}
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_an_answer_is_written_token_by_token_and_its_end_does_not_count(server: Server) -> None:
    assert can_score(MODEL)
    assert score(MODEL, MESSAGES, "Begin with sleep.") == Score(nats=1.5, tokens=3)
    (first, asked, key), (second, body, _key) = server.asked
    assert (first, second, key) == ("/tokenize", "/v1/chat/completions", "Bearer k")
    assert asked["content"] == "Begin with sleep."
    assert body["grammar"] == "root ::= <[10]> <[11]> <[12]>"
    assert body["messages"] == [{"role": "system", "content": "Be a coach."}, {"role": "user", "content": "How?"}]
    assert (body["max_tokens"], body["temperature"], body["logprobs"]) == (4, 0.0, True)


def test_tokens_that_cut_a_character_cannot_be_scored(server: Server) -> None:
    server.pieces = [[234, 176], [128], " ok"]
    assert score(MODEL, MESSAGES, "가 ok") is None
    assert len(server.asked) == 1


def test_a_server_that_fails_is_said(server: Server) -> None:
    server.status = 500
    with pytest.raises(ServerFailed):
        score(MODEL, MESSAGES, "Begin.")


def test_without_a_server_nothing_can_be_scored() -> None:
    assert not can_score(MODEL)
    assert not can_score(ModelId("openai", "gpt-4o-mini"))
    assert not can_score(ModelId("llamacpp", "lora/gone"))
    with pytest.raises(LanguageModelError):
        score(MODEL, MESSAGES, "Begin.")
