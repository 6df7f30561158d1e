"""What models can do, and in which order they are asked because of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llm import capabilities, health
from llm.catalogue import entries
from llm.choice import Choice
from llm.errors import LanguageModelError
from llm.registry import language_model, parse_models
from llm.tokens import estimate_tokens, fits, prompt_tokens
from llm.types import ChatRequest, LanguageModel, Message, ModelId, Place
from tests.fakes import FakeLanguageModel

SMOL, QWEN, EMBEDDED, GUIDED = parse_models("llamacpp:smollm2-135m,llamacpp:qwen2.5-coder-1.5b,llamacpp,guided")
LOCAL, OTHER, CLOUD = ModelId("fake", "local"), ModelId("fake", "other"), ModelId("fake", "cloud")


def _choice(request: ChatRequest, *models: ModelId, **contexts: int) -> Choice:
    def adapter(model_id: ModelId) -> LanguageModel:
        if model_id.provider == "guided":
            return language_model(model_id)
        place = Place.CLOUD if model_id.name == "cloud" else Place.LOCAL
        return FakeLanguageModel(id=model_id, place=place, context_tokens=contexts.get(model_id.name, 4096))

    return Choice(request, models, adapter)


def _asked(choice: Choice) -> list[tuple[str, str]]:
    """The name of each model, and '' when it is asked, else why not."""
    return [(str(model_id), model.code if isinstance(model, LanguageModelError) else "") for model_id, model in choice]


def _busy(model: ModelId, running: int) -> None:
    health.record(model).running = running


# --- what they can do ------------------------------------------------------------------------


def test_the_catalogue_says_what_a_model_speaks() -> None:
    found = capabilities.capabilities(FakeLanguageModel(id=QWEN, context_tokens=4096))
    assert found.context_tokens == 4096, "what the server gives, not what the model could"
    assert found.languages == set(entries()[QWEN.name].languages)
    assert "json" in found.features


def test_the_embedded_model_is_the_one_its_server_loaded(settings: Any) -> None:
    settings.LLAMACPP_SERVER = {"url": "http://127.0.0.1:1", "model": f"/models/{entries()[SMOL.name].file}"}
    found = capabilities.capabilities(language_model(EMBEDDED))
    assert found.languages == set(entries()[SMOL.name].languages)


def test_what_nobody_states_counts_as_possible(ask: ChatRequest) -> None:
    found = capabilities.capabilities(FakeLanguageModel(id=ModelId("openai", "new-model")))
    assert found.languages == frozenset()
    assert found.features == {"json", "tools", "vision"}


def test_guided_mode_can_nothing_but_quote() -> None:
    assert capabilities.capabilities(language_model(GUIDED)).features == frozenset()


def test_a_prompt_is_counted_only_when_it_might_not_fit() -> None:
    request = ChatRequest([Message("user", "word " * 100)], max_tokens=50)
    counted = prompt_tokens(request.messages)
    assert counted == estimate_tokens("word " * 100) + 5
    assert fits(request, counted + 50)
    assert not fits(request, counted + 49)
    assert not fits(replace(request, tokens=900), 940), "the caller knows better"
    assert fits(replace(request, tokens=10), 60)


# --- who is asked ----------------------------------------------------------------------------


def test_needs_are_met_or_the_model_is_passed_over(ask: ChatRequest) -> None:
    needing = replace(ask, needs=frozenset({"json"}))
    assert _asked(_choice(needing, LOCAL, GUIDED)) == [("fake:local", ""), ("guided", "capability")]
    assert _asked(_choice(needing, GUIDED)) == [("guided", "capability")]


def test_a_model_of_the_catalogue_that_cannot_is_passed_over_unless_none_is_left(
    ask: ChatRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeing = replace(ask, needs=frozenset({"vision"}))
    blind = replace(entries()[QWEN.name], capabilities=("json",))
    monkeypatch.setattr(capabilities, "_named", lambda name: blind if name == QWEN.name else None)
    assert _asked(_choice(seeing, QWEN, LOCAL)) == [(str(QWEN), "capability"), ("fake:local", "")]
    assert _asked(_choice(seeing, QWEN, GUIDED)) == [
        (str(QWEN), "capability"),
        ("guided", "capability"),
        (str(QWEN), ""),
    ]


def test_a_context_too_small_is_passed_over_unless_none_is_left(ask: ChatRequest) -> None:
    long = replace(ask, tokens=2000)
    assert _asked(_choice(long, LOCAL, OTHER, local=1024)) == [("fake:local", "capability"), ("fake:other", "")]
    assert _asked(_choice(long, LOCAL, local=1024)) == [("fake:local", "capability"), ("fake:local", "")]


def test_who_speaks_the_language_goes_first_on_the_same_machine(ask: ChatRequest) -> None:
    swedish = replace(ask, language="sv")
    assert "sv" not in entries()[SMOL.name].languages
    assert _asked(_choice(swedish, SMOL, QWEN, GUIDED))[:3] == [
        (str(SMOL), "capability"),
        (str(QWEN), ""),
        (str(SMOL), ""),
    ]
    assert _asked(_choice(ask, SMOL, QWEN, GUIDED))[0] == (str(SMOL), "")


@pytest.mark.parametrize("after", [CLOUD, GUIDED])
def test_but_neither_a_cloud_nor_guided_mode_is_preferred_for_it(after: ModelId, ask: ChatRequest) -> None:
    swedish = replace(ask, language="sv")
    assert _asked(_choice(swedish, SMOL, after))[0] == (str(SMOL), "")


def test_a_queue_longer_than_its_slots_steps_back_for_a_free_one(ask: ChatRequest) -> None:
    _busy(EMBEDDED, 8)
    assert _asked(_choice(ask, EMBEDDED, LOCAL))[0] == ("llamacpp", "")
    _busy(EMBEDDED, 9)
    assert _asked(_choice(ask, EMBEDDED, LOCAL, GUIDED)) == [
        ("llamacpp", "busy"),
        ("fake:local", ""),
        ("llamacpp", ""),
        ("guided", ""),
    ]


@pytest.mark.parametrize("after", [(CLOUD, LOCAL), (GUIDED,)])
def test_but_local_first_is_not_broken_for_it(after: tuple[ModelId, ...], ask: ChatRequest) -> None:
    _busy(EMBEDDED, 50)
    assert _asked(_choice(ask, EMBEDDED, *after))[0] == ("llamacpp", "")


def test_nor_is_one_preferred_that_is_busy_or_down_itself(ask: ChatRequest) -> None:
    _busy(EMBEDDED, 50)
    _busy(QWEN, 50)
    assert _asked(_choice(ask, EMBEDDED, QWEN))[0] == ("llamacpp", "")
    health.record(LOCAL).open_until = health.time.monotonic() + 60
    assert _asked(_choice(ask, EMBEDDED, LOCAL))[0] == ("llamacpp", "")


def test_an_open_breaker_is_passed_over_and_comes_last(ask: ChatRequest) -> None:
    health.record(LOCAL).open_until = health.time.monotonic() + 60
    assert _asked(_choice(ask, LOCAL, OTHER)) == [("fake:local", "unavailable"), ("fake:other", "")]
    assert _asked(_choice(ask, LOCAL)) == [("fake:local", "unavailable"), ("fake:local", "")]


def test_private_requests_know_no_cloud_whatever_happens(ask: ChatRequest) -> None:
    private = replace(ask, private=True)
    _busy(LOCAL, 50)
    health.record(LOCAL).open_until = health.time.monotonic() + 60
    assert _asked(_choice(private, CLOUD, LOCAL, CLOUD, GUIDED)) == [("fake:local", "unavailable"), ("guided", "")]
    choice = _choice(private, LOCAL, CLOUD, GUIDED)
    assert next(iter(choice))[0] == LOCAL
    assert not choice.others_left()


def test_others_left_counts_only_who_could_answer_now(ask: ChatRequest) -> None:
    def left(*models: ModelId, **contexts: int) -> bool:
        choice = _choice(replace(ask, tokens=2000), LOCAL, *models, **contexts)
        next(iter(choice))
        return choice.others_left()

    assert left(OTHER)
    assert not left(GUIDED)
    assert not left(OTHER, other=512)
    health.record(OTHER).open_until = health.time.monotonic() + 60
    assert not left(OTHER)
    assert left(OTHER, CLOUD)
