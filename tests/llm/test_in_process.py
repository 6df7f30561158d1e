"""Models in this process give their memory back when nobody asks for them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from llm.providers import in_process
from llm.types import ChatRequest, Finished, Message, ModelId, Token, Usage

REQUEST = ChatRequest(messages=(Message("user", "Hi"),), max_tokens=5)


class Echo(in_process.InProcessModel):
    """Loads an object and says one word with it."""

    loading_seconds = 1.0
    loads = 0

    def _load(self) -> Any:
        if self._loaded is None:
            self.loads += 1
            self._loaded = object()
        return self._loaded

    def _answer(self, _request: ChatRequest, listener: in_process.Listener) -> None:
        self._load()
        listener.put(Token("Hello"))
        listener.put(Finished(usage=Usage()))


async def _ask(model: Echo) -> list[str]:
    return [event.text async for event in model.stream(REQUEST) if isinstance(event, Token)]


async def test_an_idle_model_is_unloaded_and_loads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, other = Echo(ModelId("huggingface", "a")), Echo(ModelId("gpt4all", "b"))
    assert await _ask(model) == await _ask(other) == ["Hello"]
    model.rest()
    assert model._loaded is not None  # just asked
    model._used = time.monotonic() - in_process.IDLE_SECONDS - 1
    monkeypatch.setattr(in_process, "LOOK_SECONDS", 0.01)
    assert await _ask(other) == ["Hello"]  # the thread looks after its next job
    deadline = time.monotonic() + 20
    while model._loaded is not None and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert (model._loaded, other._loaded is not None) == (None, True)
    assert await _ask(model) == ["Hello"]
    assert (model.loads, other.loads) == (2, 1)
