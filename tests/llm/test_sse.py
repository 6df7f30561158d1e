"""The body of a streamed answer: cut anywhere, joined where it may be, nothing lost and nothing doubled."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import first_words
from llm.providers import sse

Chunk = dict[str, Any]


def _text(text: str, **delta: Any) -> Chunk:
    return {"choices": [{"index": 0, "delta": {"role": "assistant", "content": text, **delta}, "finish_reason": None}]}


END: list[Chunk] = [
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]


def _wire(chunks: Sequence[Chunk], line_end: str = "\n", done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(chunk, ensure_ascii=False)}{line_end}{line_end}" for chunk in chunks]
    return "".join(
        [f": ping{line_end}{line_end}", *lines, f"data: [DONE]{line_end}{line_end}" if done else ""]
    ).encode()


async def _read(*pieces: bytes) -> list[Chunk]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [chunk async for chunk in sse.chat_chunks(body())]


def _whole(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No waiting; how long it would have been."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(sse.asyncio, "sleep", sleep)
    return found


async def test_text_that_came_together_is_one_chunk_and_the_end_stays_whole() -> None:
    found = await _read(_wire([_text("One "), _text("two "), _text("three."), *END]))
    assert found == [_text("One two three."), *END]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@given(cuts=st.lists(st.integers(1, 700), max_size=12))
async def test_it_may_be_cut_anywhere_even_inside_a_character(line_end: str, cuts: list[int]) -> None:
    words = ["Små ", "steg ", "räknas, ", "작은 걸음", "😀"]
    data = _wire([*map(_text, words), *END], line_end)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = await _read(*(data[a:b] for a, b in pairwise(edges)))
    assert _whole(found) == "".join(words)
    assert found[-2:] == END


@pytest.mark.parametrize(
    "special",
    [
        _text("", tool_calls=[{"index": 0}]),
        _text("x", tool_calls=[{"index": 0}]),
        {"choices": [{"delta": {"reasoning_content": "hm"}}]},
        {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "x"}, "logprobs": {"content": [1]}}]},
        {"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 1}},
        {"choices": [], "prompt_progress": {"total": 1}},
    ],
)
async def test_a_chunk_that_brings_more_than_text_is_never_joined(special: Chunk) -> None:
    assert await _read(_wire([_text("a"), _text("b"), special, _text("c")])) == [_text("ab"), special, _text("c")]


async def test_nothing_is_read_after_done() -> None:
    assert await _read(_wire([_text("a")]) + _wire([_text("b")])) == [_text("a")]


async def test_an_end_without_done_keeps_what_came() -> None:
    assert await _read(_wire([_text("a"), *END], done=False)) == [_text("a"), *END]


@pytest.mark.parametrize("wrong", [b"data: {not json\n\n", b"data: 7\n\n", b"data: \xff\n\n"])
async def test_what_came_before_nonsense_is_handed_out_first(wrong: bytes) -> None:
    found: list[Chunk] = []

    async def body() -> AsyncIterator[bytes]:
        yield _wire([_text("a"), _text("b")], done=False) + wrong

    async def read() -> None:
        async for chunk in sse.chat_chunks(body()):
            found.append(chunk)

    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        await read()
    assert found == [_text("ab")]


async def test_the_error_lines_of_older_servers_are_errors() -> None:
    assert await _read(b'error: {"code": 500, "message": "x"}\n\n') == [{"error": {"code": 500, "message": "x"}}]


async def test_only_text_makes_it_wait(waits: list[float]) -> None:
    progress = {"choices": [{"delta": {"role": "assistant", "content": None}}], "prompt_progress": {}}
    await _read(_wire([progress], done=False), _wire([_text("")], done=False))
    assert waits == []
    await _read(_wire([_text("a"), _text("b")], done=False), _wire(END))
    assert waits == [0.025]


async def test_with_many_answers_at_once_the_pieces_grow_and_shrink_again(waits: list[float]) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield _wire([_text("a")], done=False)

    answers = [sse.chat_chunks(endless()) for _ in range(60)]
    longest = []
    for answer in answers:
        await anext(answer)
        await anext(answer)
        longest.append(waits[-1])
    assert (longest[0], longest[11], longest[24], longest[-1]) == (0.025, 0.025, 0.05, 0.1)
    for answer in answers:
        await answer.aclose()  # type: ignore[attr-defined]
    assert sse.join_seconds() == 0.025


def test_whoever_awaits_a_first_word_goes_before_the_smoothness_of_other_texts() -> None:
    with ExitStack() as others:
        seconds = []
        for _n in range(40):
            others.enter_context(first_words.awaited())
            seconds.append(round(sse.join_seconds(), 3))
    assert (seconds[0], seconds[2], seconds[11], seconds[-1]) == (0.025, 0.025, 0.15, 0.3)
    assert sse.join_seconds() == 0.025
