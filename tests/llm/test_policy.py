"""Which models are asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.services import services_file
from llm import policy
from llm.embedded import embedded_server
from llm.errors import UnknownModel
from llm.types import ModelId

from .conftest import ModelServer

OLLAMA_MODELS: list[dict[str, Any]] = [
    {"name": "nomic-embed-text:latest", "details": {"family": "nomic-bert", "families": ["nomic-bert"]}},
    {"name": "all-minilm:latest", "details": {"family": "bert"}},
    {"name": "gpt-oss:120b-cloud", "details": {"family": "gptoss"}},
    {"name": "big:latest", "remote_host": "https://cloud.example", "details": {"family": "llama"}},
    {"name": "llama3.1:8b", "details": {"family": "llama", "families": ["llama"]}},
    {"name": "gemma3:4b", "details": {"family": "gemma3"}},
]


def _services(data: Path, **llamacpp: Any) -> None:
    path = services_file(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"llamacpp": llamacpp} if llamacpp else {}))


def test_with_nothing_there_guided_mode_is_left() -> None:
    assert policy.default_models() == [ModelId("guided")]


def test_a_running_ollama_comes_before_the_embedded_model(model_server: ModelServer, settings: Any) -> None:
    settings.OLLAMA_BASE_URL = model_server.url + "/"
    model_server.tags = OLLAMA_MODELS
    _services(settings.DATA_DIR, url="http://127.0.0.1:1", key="k", model="qwen2.5-coder-1.5b")
    assert [str(model) for model in policy.default_models()] == ["ollama:llama3.1:8b", "llamacpp", "guided"]


def test_the_answer_of_ollama_is_remembered(model_server: ModelServer, settings: Any) -> None:
    settings.OLLAMA_BASE_URL = model_server.url
    model_server.tags = OLLAMA_MODELS
    policy.default_models()
    policy.default_models()
    assert [path for path, _headers, _body in model_server.requests] == ["/api/tags"]


@pytest.mark.parametrize("tags", [[], OLLAMA_MODELS[:4], [{"unexpected": 1}]])
def test_an_ollama_without_a_chat_model_of_its_own_does_not_count(
    model_server: ModelServer, settings: Any, tags: list[dict[str, Any]]
) -> None:
    settings.OLLAMA_BASE_URL = model_server.url
    model_server.tags = tags
    assert policy.default_models() == [ModelId("guided")]


def test_what_a_model_says_of_itself_counts_more_than_its_name(model_server: ModelServer, settings: Any) -> None:
    settings.OLLAMA_BASE_URL = model_server.url
    model_server.tags = [
        {"name": "chatty", "capabilities": ["embedding"]},
        {"name": "e5-chat", "capabilities": ["completion", "tools"]},
    ]
    assert policy.ollama_chat_model() == "e5-chat"


def test_a_failing_ollama_does_not_count(model_server: ModelServer, settings: Any) -> None:
    settings.OLLAMA_BASE_URL = model_server.url
    model_server.behaviour = "fails"
    assert policy.ollama_chat_model() == ""


def test_the_setting_decides_and_nobody_is_asked(model_server: ModelServer, settings: Any) -> None:
    settings.OLLAMA_BASE_URL = model_server.url
    settings.COACH_MODELS = "openai:gpt-4o-mini,ollama:llama3.1"
    assert [str(model) for model in policy.default_models()] == ["openai:gpt-4o-mini", "ollama:llama3.1", "guided"]
    assert model_server.requests == []


def test_a_coach_has_its_own_list_else_the_installations(settings: Any) -> None:
    settings.COACH_MODELS = "llamacpp"
    assert [str(model) for model in policy.resolve("openai:gpt-4o-mini")] == ["openai:gpt-4o-mini", "guided"]
    assert [str(model) for model in policy.resolve("")] == ["llamacpp", "guided"]


def test_guided_mode_is_last_even_when_named_first() -> None:
    assert [str(model) for model in policy.resolve("guided,llamacpp")] == ["llamacpp", "guided"]


def test_a_malformed_list_is_reported() -> None:
    with pytest.raises(UnknownModel, match="names no known provider"):
        policy.resolve("chatgpt")


def test_no_cloud_model_is_ever_chosen_by_itself(settings: Any) -> None:
    settings.OPENAI_API_KEY = "sk-present"
    assert policy.default_models() == [ModelId("guided")]


def test_a_restart_of_the_embedded_server_is_noticed(settings: Any) -> None:
    _services(settings.DATA_DIR, url="http://127.0.0.1:1/", key="old", model="a.gguf")
    first = embedded_server()
    assert first is not None
    assert (first.url, first.key, first.model, first.context_tokens) == ("http://127.0.0.1:1", "old", "a.gguf", 4096)
    _services(settings.DATA_DIR, url="http://127.0.0.1:22", key="new", model="a.gguf", context=8192)
    second = embedded_server()
    assert second is not None
    assert (second.url, second.key, second.context_tokens) == ("http://127.0.0.1:22", "new", 8192)
    _services(settings.DATA_DIR)
    assert embedded_server() is None


def test_without_the_file_the_settings_count(settings: Any) -> None:
    settings.LLAMACPP_SERVER = {"url": "http://127.0.0.1:5", "key": "k", "model": "m"}
    found = embedded_server()
    assert found is not None
    assert found.url == "http://127.0.0.1:5"
