"""A fake OpenAI-compatible server that streams a known text at a known pace, for benchmarks and tests.

    python -m bench.fake_model --port 0        prints the port it listens on

The model's name sets the pace, so the server keeps no state between requests:

    bench                       120 tokens, the first after 50 ms, then one each 5 ms
    pace-FIRST-GAP-TOKENS       milliseconds and how many, e.g. pace-50-40-200
    fail-STATUS                 answers with that HTTP status
    break-FIRST-GAP-TOKENS      as pace, but the connection is cut after half of the tokens
    markup-FIRST-GAP-TOKENS     as pace, but the text tries to be a page instead of words

`GET /stats` tells how many answers were begun, are running now, were finished, and were left by the client.
Everything that does not change is made into bytes once: 4,000 tokens a second cost a few percent of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import uvloop

DEFAULT_PACE = "pace-50-5-120"
_SENTENCE = (
    "A small step today is worth more than a large plan for next year [1].",
    "Write down what you want to change and why it matters to you.",
    "Choose one hour this week and keep it free for that step [2].",
    "Tell somebody about it, because a promise that was heard is easier to keep.",
    "What would make the first ten minutes easy for you?",
)
_MARKUP = (
    "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script> and **bold** words.",
    "[a link](javascript:document.title='broken') and ![a picture](http://192.0.2.1/p.png) with <b>tags</b> [1].",
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
_REQUEST_LINE = re.compile(rb"^([A-Z]+) (\S+) HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to the first token and between tokens; how many tokens; `pace`, `break` or `markup`."""

    first: float
    gap: float
    tokens: int
    kind: str = "pace"


@cache
def pace_of(model: str) -> Pace:
    known = model.startswith(("pace-", "break-", "markup-"))
    kind, first, gap, tokens = (model if known else DEFAULT_PACE).split("-")
    return Pace(int(first) / 1000, int(gap) / 1000, int(tokens), kind)


@cache
def pieces(count: int, kind: str = "pace") -> tuple[str, ...]:
    """The `count` tokens of every answer; sentences with citations, each with its number in front."""
    words: list[str] = []
    number, sentences = 0, _MARKUP if kind == "markup" else _SENTENCE
    while len(words) < count:
        sentence = f"({number + 1}) {sentences[number % len(sentences)]}"
        words += [f"{word} " for word in sentence.split()]
        number += 1
    return tuple(words[:count])


def answer_text(model: str = "bench") -> str:
    """The whole answer of `model`, as it is streamed."""
    pace = pace_of(model)
    return "".join(pieces(pace.tokens, pace.kind))


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def _event(data: dict[str, object]) -> bytes:
    return _chunk(b"data: " + json.dumps(data).encode() + b"\n\n")


def _delta(delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "fake",
        "choices": [choice],
    }


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 500, "completion_tokens": tokens, "total_tokens": 500 + tokens}


@cache
def token_events(count: int, kind: str) -> tuple[bytes, ...]:
    """Server-sent events as they go on the wire, one for each token."""
    return tuple(_event(_delta({"role": "assistant", "content": piece})) for piece in pieces(count, kind))


@cache
def closing_events(count: int) -> bytes:
    last = {**_delta({}), "choices": [], "usage": usage(count)}
    return _event(_delta({}, "stop")) + _event(last) + _chunk(b"data: [DONE]\n\n") + _END


class Statistics:
    def __init__(self) -> None:
        self.started = self.active = self.finished = self.left = 0

    def as_dict(self) -> dict[str, int]:
        return {"started": self.started, "active": self.active, "finished": self.finished, "left": self.left}


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection; requests follow one another."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, of the same shape

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._statistics.active -= 1
            self._statistics.left += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head + b"\r\n")
        size = int(length.group(1)) if length else 0
        if len(rest) < size:
            return
        self._buffer = rest[size:]
        line = _REQUEST_LINE.match(head + b"\r\n")
        method, path = line.groups() if line else (b"", b"")
        self._answer(method, path.partition(b"?")[0], rest[:size])

    def _answer(self, method: bytes, path: bytes, body: bytes) -> None:
        if path == b"/v1/chat/completions" and method == b"POST":
            self._complete(json.loads(body))
        elif path == b"/v1/models":
            model = {"id": "bench", "object": "model", "created": 0, "owned_by": "bench"}
            self._json(200, {"object": "list", "data": [model]})
        elif path == b"/stats":
            self._json(200, self._statistics.as_dict())
        else:
            self._json(404, {"error": {"message": "no such path", "type": "invalid_request_error"}})

    def _json(self, status: int, data: dict[str, object] | dict[str, int]) -> None:
        body = json.dumps(data).encode()
        head = f"HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._write(head.encode() + body)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _complete(self, request: dict[str, object]) -> None:
        model = str(request.get("model", ""))
        if model.startswith("fail-"):
            self._json(int(model[5:]), {"error": {"message": "told to fail", "type": "server_error"}})
            return
        pace = pace_of(model)
        self._statistics.started += 1
        if not request.get("stream"):
            self._whole(model, pace)
            return
        self._statistics.active += 1
        self._write(_HEAD)
        loop = asyncio.get_running_loop()
        start = loop.time() + pace.first
        self._timer = loop.call_at(start, self._next, token_events(pace.tokens, pace.kind), 0, start, pace)

    def _next(self, events: Sequence[bytes], index: int, start: float, pace: Pace) -> None:
        """Send every token that is due; a late timer never slows the pace."""
        loop = asyncio.get_running_loop()
        due = len(events)
        if pace.gap:
            due = min(due, max(index + 1, int((loop.time() - start) / pace.gap) + 1))
        if pace.kind == "break" and due > len(events) // 2:
            if self._transport is not None:
                self._transport.abort()
            return
        self._write(b"".join(events[index:due]))
        if due < len(events):
            self._timer = loop.call_at(start + due * pace.gap, self._next, events, due, start, pace)
            return
        self._timer = None
        self._statistics.active -= 1
        self._statistics.finished += 1
        self._write(closing_events(pace.tokens))

    def _whole(self, model: str, pace: Pace) -> None:
        message = {"role": "assistant", "content": answer_text(model)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._statistics.finished += 1
        self._json(
            200,
            {
                "id": "chatcmpl-fake",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": model,
                "choices": [choice],
                "usage": usage(pace.tokens),
            },
        )


async def serve(port: int) -> None:
    statistics = Statistics()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(statistics), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible model server.")
    parser.add_argument("--port", type=int, default=0)
    try:
        uvloop.run(serve(parser.parse_args().port))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
