"""Names of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm.errors import UnknownModel
from llm.registry import PROVIDERS, language_model, parse_models
from llm.types import ModelId


def test_a_list_keeps_its_order_and_drops_blanks_and_repeats() -> None:
    found = parse_models(" ollama:llama3.1:8b , llamacpp,, openai:gpt-4o-mini,llamacpp, guided ")
    assert found == [
        ModelId("ollama", "llama3.1:8b"),
        ModelId("llamacpp"),
        ModelId("openai", "gpt-4o-mini"),
        ModelId("guided"),
    ]
    assert [str(model) for model in found] == ["ollama:llama3.1:8b", "llamacpp", "openai:gpt-4o-mini", "guided"]


def test_an_empty_list_is_empty() -> None:
    assert parse_models(" , ") == []


def test_a_gguf_path_may_hold_colons_and_keeps_its_case() -> None:
    assert parse_models("llamacpp:/models/a:b/Qwen.gguf") == [ModelId("llamacpp", "/models/a:b/Qwen.gguf")]


@pytest.mark.parametrize("provider", ["llamacpp", "huggingface", "gpt4all"])
def test_a_gguf_that_is_not_one_is_refused_before_anybody_meets_it(provider: str, tmp_path: Path) -> None:
    wrong, good = tmp_path / "wrong.gguf", tmp_path / "good.gguf"
    wrong.write_bytes(b"<html>")
    good.write_bytes(b"GGUF and so on")
    with pytest.raises(UnknownModel, match="not a GGUF model"):
        parse_models(f"{provider}:{wrong}")
    assert parse_models(f"{provider}:{good}") == [ModelId(provider, str(good))]


def test_an_unknown_provider_is_named_with_the_ones_there_are() -> None:
    with pytest.raises(
        UnknownModel, match="'olama:x' names no known provider; use one of gpt4all, guided, huggingface, "
    ):
        parse_models("llamacpp,olama:x")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ollama", "needs a model name"),
        ("openai:", "needs a model name"),
        ("huggingface", "needs a model name, for example huggingface:"),
        ("huggingface-endpoint:", "needs a model name"),
        ("gpt4all", "needs a model name"),
        ("guided:x", "without a name"),
    ],
)
def test_a_name_too_few_or_too_many(text: str, complaint: str) -> None:
    with pytest.raises(UnknownModel, match=complaint):
        parse_models(text)


@pytest.mark.parametrize(
    "text",
    ["guided", "llamacpp", "ollama:llama3.1", "openai:gpt-4o-mini", "huggingface:o/m", "huggingface-endpoint:o/m"],
)
def test_every_provider_has_an_adapter_and_there_is_one_of_each(text: str) -> None:
    [model_id] = parse_models(text)
    model = language_model(model_id)
    assert model.id == model_id
    assert model.context_tokens > 0
    assert language_model(model_id) is model


def test_no_adapter_is_missing_from_the_checks_above() -> None:
    # gpt4all is an optional package: see test_gpt4all.py.
    assert set(PROVIDERS) == {
        "gpt4all",
        "guided",
        "huggingface",
        "huggingface-endpoint",
        "llamacpp",
        "ollama",
        "openai",
    }


def test_an_unknown_provider_has_no_adapter() -> None:
    with pytest.raises(UnknownModel, match="No provider is called nowhere"):
        language_model(ModelId("nowhere", "x"))
