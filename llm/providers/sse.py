"""The body of a streamed chat answer, as OpenAI and the servers after its model send it: `data: {chunk}` lines.

Everything above costs per chunk (LangChain 70 µs, the switcher's time-out 25 µs), so text that comes within
25 ms of other text is made one chunk down here, where a token costs 8 µs. The first text is never held back.
With many answers at once, and with many whose first word is awaited, the pieces grow (docs/adr/0009).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson

from llm import first_words

JOIN_SECONDS, LONGEST_JOIN_SECONDS = 0.025, 0.3
JOIN_SECONDS_PER_ANSWER, JOIN_SECONDS_PER_AWAITED = 0.002, 0.015
MOST_ANSWERS, FEW_AWAITED = 50, 2  # what counts of those, and from where these count

Chunk = dict[str, Any]

_running = 0  # answers of this process that are being streamed


async def chat_chunks(body: AsyncIterator[bytes]) -> AsyncIterator[Chunk]:
    """The chunks of an answer until `[DONE]` or the end of `body`; text of up to `join_seconds()` is joined.

    A line `error:` of older llama.cpp servers comes as a chunk `{"error": …}`. Raises ValueError for a chunk that
    is no JSON object, after everything before it was handed out.
    """
    global _running
    _running += 1
    rest = b""
    try:
        async for data in body:
            *lines, rest = (rest + data).split(b"\n")
            brought_text = False
            for chunk in _joined(_chunks(lines)):
                if chunk is None:
                    return
                brought_text = brought_text or text_of(chunk) is not None
                yield chunk
            if brought_text:
                await asyncio.sleep(join_seconds())
    finally:
        _running -= 1


def join_seconds() -> float:
    """How long text may be held back: 25 ms; with more than 12 answers at once more, up to 100 ms; up to 300 ms when
    the first words of others are awaited, 15 ms for each."""
    answers = JOIN_SECONDS_PER_ANSWER * min(_running, MOST_ANSWERS)
    others = JOIN_SECONDS_PER_AWAITED * max(0, first_words.count() - FEW_AWAITED)
    return min(max(JOIN_SECONDS, answers + others), LONGEST_JOIN_SECONDS)


def text_of(chunk: Chunk) -> str | None:
    """The text of a chunk that brings nothing else; None when it brings none, or more than text."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or chunk.get("usage") or chunk.get("timings"):
        return None
    choice = choices[0]
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict) or choice.get("finish_reason") or choice.get("logprobs"):
        return None
    text = delta.get("content")
    if not isinstance(text, str) or not text:
        return None
    # What else there may be: a tool call, a refusal, thoughts.
    return text if not any(delta[name] for name in delta if name not in ("content", "role")) else None


def _chunks(lines: list[bytes]) -> Iterator[Chunk | None]:
    """None at `[DONE]`. A chunk is one line: JSON has no line break of its own."""
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"data":
            if value.strip() == b"[DONE]":
                yield None
                return
            yield _object(value)
        elif name == b"error":
            found = _object(value)
            yield found if "error" in found else {"error": found}


def _object(value: bytes) -> Chunk:
    found = orjson.loads(value)  # its error is a ValueError
    if not isinstance(found, dict):
        raise ValueError(value[:100])
    return found


def _joined(chunks: Iterator[Chunk | None]) -> Iterator[Chunk | None]:
    """The same chunks, neighbours that bring only text made one; a ValueError comes after what was good."""
    held: Chunk | None = None
    parts: list[str] = []
    wrong: ValueError | None = None
    while True:
        try:
            chunk = next(chunks)
        except StopIteration:
            break
        except ValueError as error:
            wrong = error
            break
        text = None if chunk is None else text_of(chunk)
        if text is None:
            if held is not None:
                yield _with_text(held, parts)
                held, parts = None, []
            yield chunk
        else:
            held = held or chunk
            parts.append(text)
    if held is not None:
        yield _with_text(held, parts)
    if wrong is not None:
        raise wrong


def _with_text(chunk: Chunk, parts: list[str]) -> Chunk:
    chunk["choices"][0]["delta"]["content"] = "".join(parts)
    return chunk
