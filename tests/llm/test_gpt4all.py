"""GPT4All's real engine with a tiny model; without the package only the sentence that says how to get it."""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm.catalogue import models_dir
from llm.errors import ContextTooLong, ModelUnavailable
from llm.providers.gguf_header import text_of
from llm.registry import language_model
from llm.types import ChatRequest, Finished, Message, ModelId, Place, Token

from . import tiny

with_engine = pytest.mark.skipif(
    importlib.util.find_spec("gpt4all") is None or importlib.util.find_spec("gguf") is None,
    reason="the optional package gpt4all is not installed",
)


def model_of(path: Path) -> Any:
    return language_model(ModelId("gpt4all", str(path)))


async def answer(model: Any, request: ChatRequest) -> tuple[str, Finished]:
    events = [event async for event in model.stream(request)]
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Token)), events[-1]


@pytest.fixture
def tiny_model(tmp_path: Path) -> Any:
    return model_of(tiny.gguf_file(tmp_path / "tiny.gguf"))


def test_without_the_package_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelUnavailable, match="`pip install gpt4all`"):
        model_of(Path("/models/x.gguf"))


@with_engine
async def test_the_engine_answers_and_counts(tiny_model: Any, ask: ChatRequest) -> None:
    _text, finished = await answer(tiny_model, replace(ask, max_tokens=12, temperature=0.0))
    assert tiny_model.place is Place.LOCAL
    assert finished.usage.completion_tokens is not None
    assert 0 < finished.usage.completion_tokens <= 12
    assert finished.usage.prompt_tokens is not None
    assert finished.usage.prompt_tokens > 20  # bytes are its tokens
    again = await answer(tiny_model, replace(ask, max_tokens=12, temperature=0.0))
    assert again[0] == _text


@with_engine
async def test_leaving_stops_it_and_the_next_one_is_served(tiny_model: Any, ask: ChatRequest) -> None:
    events = tiny_model.stream(replace(ask, max_tokens=100_000))
    await anext(events)
    await events.aclose()
    _text, finished = await asyncio.wait_for(answer(tiny_model, replace(ask, max_tokens=3)), 20)
    assert finished.usage.completion_tokens


@with_engine
async def test_a_prompt_that_does_not_fit_is_told_apart(tiny_model: Any) -> None:
    long = ChatRequest([Message("user", "far too long " * 1000)])
    with pytest.raises(ContextTooLong, match="start a new one"):
        await answer(tiny_model, long)


@with_engine
@pytest.mark.parametrize("content", [b"no model at all", b"GGUF and then nothing"])
async def test_a_file_that_is_no_model_is_one_sentence(content: bytes, tmp_path: Path, ask: ChatRequest) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="cannot be loaded by GPT4All"):
        await answer(model_of(path), ask)


@with_engine
async def test_a_model_that_cannot_chat_is_refused(tmp_path: Path, ask: ChatRequest) -> None:
    model = model_of(tiny.gguf_file(tmp_path / "base.gguf", template=None))
    with pytest.raises(ModelUnavailable, match="no chat template"):
        await answer(model, ask)


@with_engine
async def test_a_name_is_looked_for_in_our_folder(settings: Any, tmp_path: Path, ask: ChatRequest) -> None:
    settings.CACHE_DIR = tmp_path
    model = model_of(Path("tiny"))
    assert "does not exist" in (await model.check()).detail
    with pytest.raises(ModelUnavailable, match="does not exist"):
        await answer(model, ask)
    models_dir().mkdir()
    tiny.gguf_file(models_dir() / "tiny.gguf")
    assert (await model.check()).ok
    await model.warm(ask)


# --- the header of a GGUF ------------------------------------------------------------------------

with_gguf = pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="the package gguf is not installed")


@with_gguf
def test_a_text_of_the_header_is_what_was_written(tmp_path: Path) -> None:
    path = tiny.gguf_file(tmp_path / "tiny.gguf", template="{{ 'koç 코칭' }}")
    assert text_of(path, "tokenizer.chat_template") == "{{ 'koç 코칭' }}"
    assert text_of(path, "general.architecture") == "llama"
    assert text_of(path, "llama.block_count") is None
    assert text_of(path, "no.such.key") is None


@with_gguf
def test_a_header_cut_anywhere_is_one_error(tmp_path: Path) -> None:
    whole = tiny.gguf_file(tmp_path / "tiny.gguf").read_bytes()
    end = whole.index(b"<|assistant|>{% endif %}")
    path = tmp_path / "cut.gguf"
    for length in range(0, end, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"GGUF|cut off"):
            text_of(path, "tokenizer.chat_template")
