"""transformers in this process: a tiny random model through the real libraries, and SmolLM2 from its GGUF."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.env import ConfigurationError, Env
from llm.catalogue import entries, models_dir
from llm.errors import ContextTooLong, LanguageModelError, ModelUnavailable, ServerFailed
from llm.providers import huggingface, in_process
from llm.registry import language_model
from llm.types import ChatRequest, Finished, Message, ModelId, Place, Token

from . import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.transformers_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model(folder: Path) -> Any:
    return model_of(folder)


def model_of(name: object) -> Any:
    return language_model(ModelId("huggingface", str(name)))


async def answer(model: Any, request: ChatRequest) -> tuple[str, Finished]:
    events = [event async for event in model.stream(request)]
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Token)), events[-1]


async def test_an_answer_streams_and_is_counted(model: Any, ask: ChatRequest) -> None:
    events = [event async for event in model.stream(replace(ask, max_tokens=30, temperature=0.0))]
    tokens, finished = events[:-1], events[-1]
    assert len(tokens) > 1
    assert all(isinstance(event, Token) and event.text for event in tokens)
    assert isinstance(finished, Finished)
    usage = finished.usage
    # Bytes are this model's tokens: the two texts, two marks and two ends, and the mark of the answer.
    assert usage.prompt_tokens == len("You are a coach.") + len("How do I begin?") + 5
    assert usage.completion_tokens is not None
    assert (usage.completion_tokens == 30) == (finished.reason == "length")
    assert usage.prompt_tokens_per_second
    assert model.place is Place.LOCAL


async def test_the_text_is_that_of_the_whole_answer(model: Any, ask: ChatRequest) -> None:
    """Pieces joined are what decoding everything at once gives, characters of several tokens too."""
    import torch

    request = replace(ask, max_tokens=60, temperature=0.0)
    text, _finished = await answer(model, request)
    loaded = model._loaded
    prompt = huggingface._prompt(loaded, request)
    with torch.inference_mode():
        found = loaded.model.generate(**prompt, max_new_tokens=60, do_sample=False)
    assert text == loaded.tokenizer.decode(found[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)


async def test_letters_of_several_tokens_come_whole(model: Any) -> None:
    import torch

    await model.warm(ChatRequest([]))
    tokenizer = model._loaded.tokenizer
    listener = in_process.Listener()
    watch = huggingface._Watch(tokenizer, listener)
    watch.put(torch.tensor([[1, 2]]))
    for token in tokenizer("Åse ser 코칭 👍🏽.")["input_ids"]:
        watch.put(torch.tensor([token]))
    watch.end()
    await asyncio.sleep(0)
    pieces = [listener.events.get_nowait() for _ in range(listener.events.qsize())]
    texts = [piece.text for piece in pieces if isinstance(piece, Token)]
    assert "".join(texts) == "Åse ser 코칭 👍🏽."
    assert "코" in texts
    assert not any("\ufffd" in text for text in texts)


async def test_leaving_stops_the_model_itself(folder: Path, ask: ChatRequest, tmp_path: Path) -> None:
    long = model_of(tiny.transformers_folder(tmp_path / "long", max_position_embeddings=32_768, eos_token_id=None))
    events = long.stream(replace(ask, max_tokens=30_000))
    assert isinstance(await anext(events), Token)
    await events.aclose()
    # 30,000 tokens take minutes; the next in line is served at once.
    _text, finished = await asyncio.wait_for(answer(model_of(folder), replace(ask, max_tokens=3)), 30)
    assert finished.usage.completion_tokens


async def test_one_at_a_time_and_those_who_left_the_line_are_never_computed(model: Any, ask: ChatRequest) -> None:
    answers = [asyncio.create_task(answer(model, replace(ask, max_tokens=20, temperature=0.0))) for _ in range(6)]
    await asyncio.sleep(0)
    answers[3].cancel()
    found = await asyncio.gather(*answers, return_exceptions=True)
    assert isinstance(found[3], asyncio.CancelledError)
    texts = {result[0] for result in found if isinstance(result, tuple)}
    assert len(texts) == 1
    assert in_process.waiting() == 0


async def test_it_works_in_one_event_loop_after_another(model: Any, ask: ChatRequest) -> None:
    request = replace(ask, max_tokens=5, temperature=0.0)
    first = await answer(model, request)
    assert (await asyncio.to_thread(lambda: asyncio.run(answer(model, request))))[0] == first[0]


async def test_a_prompt_that_does_not_fit_is_told_apart(model: Any) -> None:
    with pytest.raises(ContextTooLong, match="start a new one"):
        await answer(model, ChatRequest([Message("user", "long " * 100)]))
    assert model.context_tokens == 256


async def test_an_answer_ends_where_the_context_ends(model: Any) -> None:
    _text, finished = await answer(model, ChatRequest([Message("user", "x" * 240)], max_tokens=500, temperature=0.0))
    assert finished.usage.completion_tokens is not None
    assert finished.usage.completion_tokens <= 256 - 243


async def test_a_template_without_a_system_text_gets_it_before_the_question(tmp_path: Path, ask: ChatRequest) -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    model = model_of(tiny.transformers_folder(tmp_path / "m", template=refuses + tiny.TEMPLATE))
    await model.warm(ask)
    prompt = huggingface._prompt(model._loaded, ask)
    text = model._loaded.tokenizer.decode(prompt["input_ids"][0])
    assert text == "<|user|>You are a coach.\n\nHow do I begin?<|end|><|assistant|>"


async def test_a_patient_wait_for_loading_only(model: Any, ask: ChatRequest) -> None:
    before = model.first_token_seconds(ask)
    await model.warm(ask)
    assert before - model.first_token_seconds(ask) == huggingface.LOADING_SECONDS


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/nowhere/folder", "folder of .* does not exist"),
        ("/nowhere/model.gguf", "model file of .* does not exist"),
        ("some/repository", "not on this machine, and COACH_OFFLINE forbids"),
        ("no:repository at all", "not on this machine, and COACH_OFFLINE forbids"),
    ],
)
async def test_a_model_that_is_not_here_is_one_sentence(name: str, words: str, ask: ChatRequest) -> None:
    model = model_of(name)
    found = await model.check()
    assert not found.ok
    with pytest.raises(ModelUnavailable, match=words) as caught:
        await answer(model, ask)
    assert str(caught.value) == found.detail


async def test_a_file_that_is_no_gguf(tmp_path: Path, ask: ChatRequest) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        await answer(model_of(path), ask)


async def test_a_folder_that_holds_no_model(tmp_path: Path, ask: ChatRequest) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        await answer(model_of(tmp_path), ask)


async def test_a_model_that_cannot_chat(tmp_path: Path, ask: ChatRequest) -> None:
    with pytest.raises(ModelUnavailable, match="no chat template"):
        await answer(model_of(tiny.transformers_folder(tmp_path / "base", template=None)), ask)


async def test_a_gpu_that_is_not_there(model: Any, settings: Any, ask: ChatRequest) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    settings.COACH_DEVICE = "cuda"
    with pytest.raises(ModelUnavailable, match="set it to cpu or auto"):
        await answer(model, ask)
    settings.COACH_DEVICE = "auto"
    assert (await answer(model, replace(ask, max_tokens=2)))[1].usage.completion_tokens


@pytest.mark.parametrize(
    ("error", "loading", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True, ModelUnavailable, "no space left"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False, ModelUnavailable, "needs more memory"),
        (MemoryError(), True, ModelUnavailable, "needs more memory"),
        (RuntimeError("shapes do not match"), False, ServerFailed, "shapes do not match"),
        (OSError("x is not a local folder and is not a valid model identifier"), True, ModelUnavailable, "no model"),
        (OSError("You are trying to access a gated repo."), True, ModelUnavailable, "set HF_TOKEN"),
    ],
)
def test_every_failure_is_one_of_ours(
    error: Exception, loading: bool, kind: type[LanguageModelError], words: str, settings: Any
) -> None:
    settings.OFFLINE = False
    found = model_of("some/repository").translate(error, loading=loading)
    assert type(found) is kind
    assert words in str(found)
    assert "huggingface:some/repository" in str(found)


def test_without_the_packages_the_sentence_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelUnavailable, match="`pip install torch`"):
        model_of("some/other")


def test_an_unknown_device_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="COACH_DEVICE must be one of auto, cpu, cuda"):
        Env({"COACH_DEVICE": "gpu"}).choice("COACH_DEVICE", ("auto", "cpu", "cuda"), "auto")


# --- a real one ----------------------------------------------------------------------------------


@pytest.mark.real_model
@pytest.mark.slow
async def test_smollm2_from_its_gguf(ask: ChatRequest) -> None:
    given = os.environ.get("COACH_TEST_GGUF")
    path = Path(given) if given else models_dir() / entries()["smollm2-135m"].file
    if not path.is_file():
        pytest.skip(f"no model file at {path}; fetch it with `manage.py fetchmodels smollm2-135m`")
    model = model_of(path)
    text, finished = await answer(model, replace(ask, max_tokens=24, temperature=0.0))
    assert len(text.split()) > 5
    assert finished.usage.prompt_tokens_per_second
    events = model.stream(replace(ask, max_tokens=2000))
    assert isinstance(await anext(events), Token)
    await events.aclose()
    _text, finished = await asyncio.wait_for(answer(model, replace(ask, max_tokens=2)), 10)
    assert finished.usage.completion_tokens
    await model.aclose()
