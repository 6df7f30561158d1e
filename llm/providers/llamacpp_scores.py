"""How probable a given answer is to an embedded llama.cpp server's model: for held-out loss.

llama.cpp's server gives no probabilities of a prompt, so it is made to write the answer token by token: a grammar that
allows exactly the answer's own tokens (`<[17]>`), while `logprobs` are those of the free distribution, before the
grammar. Measured against one request a token with a bias (which gives the same to the last digit): half the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from llm.embedded import EmbeddedServer, served_by
from llm.types import Message, ModelId

from .faults import CONNECT_SECONDS, broken, from_status, unreachable

SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Score:
    """Of one answer: the sum of -ln p of its tokens, and how many there were."""

    nats: float
    tokens: int


def can_score(model: ModelId) -> bool:
    """Whether a server of this installation runs the model and says how probable tokens are."""
    return model.provider == "llamacpp" and served_by(model) is not None


def score(model: ModelId, messages: Sequence[Message], answer: str) -> Score | None:
    """None when its tokens cut the answer's characters (small vocabularies do that to Hangul): no grammar has those.

    Blocks for about the time that writing the answer takes. Raises errors of llm/errors.py.
    """
    server = served_by(model)
    if server is None:
        raise unreachable(model, "")
    try:
        with _client(server) as client:
            return _score(client, model, messages, answer)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise unreachable(model, server.url) from error
    except httpx.HTTPError as error:
        raise broken(model, error) from error


def _client(server: EmbeddedServer) -> httpx.Client:
    headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    timeout = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(base_url=server.url, headers=headers, timeout=timeout, trust_env=False)


def _score(client: httpx.Client, model: ModelId, messages: Sequence[Message], answer: str) -> Score | None:
    asked = {"content": answer, "add_special": False, "parse_special": False, "with_pieces": True}
    pieces = _post(client, model, "/tokenize", asked)["tokens"]
    if not pieces or any(not isinstance(piece["piece"], str) for piece in pieces):
        return None  # a piece of bytes is no whole character
    ids = [int(piece["id"]) for piece in pieces]
    body = {
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "grammar": "root ::= " + " ".join(f"<[{number}]>" for number in ids),
        "max_tokens": len(ids) + 1,
        "temperature": 0.0,
        "repeat_penalty": 1.0,
        "logprobs": True,
        "top_logprobs": 1,
        "cache_prompt": True,
    }
    written = _post(client, model, "/v1/chat/completions", body)
    try:
        entries = written["choices"][0]["logprobs"]["content"]
        if [int(entry["id"]) for entry in entries[: len(ids)]] != ids:
            return None
        return Score(-sum(float(entry["logprob"]) for entry in entries[: len(ids)]), len(ids))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise broken(model, error) from error


def _post(client: httpx.Client, model: ModelId, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(path, json=body)
    if answer.status_code != 200:
        raise from_status(model, answer.status_code, answer.text, answer.headers)
    try:
        return answer.json()
    except ValueError as error:
        raise broken(model, error) from error
