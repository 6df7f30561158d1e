"""JSON by schema: what each provider is asked, what is made of the answer, and a real grammar."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm.errors import NoModelLeft, StructuredOutputFailed
from llm.providers.json_format import response_format
from llm.registry import language_model, parse_models
from llm.structured import ask_json
from llm.types import ChatRequest, Message, ModelId

from .conftest import ModelServer

pytestmark = pytest.mark.usefixtures("reports")

OPENAI, OLLAMA, EMBEDDED, GUIDED = parse_models("openai:m,ollama:m,llamacpp,guided")
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "steps": {"type": "array", "items": {"type": "string"}, "maxItems": 3}},
    "required": ["title", "steps"],
    "additionalProperties": False,
}
GOOD = {"title": "Begin small", "steps": ["One page a day"]}


@pytest.mark.parametrize("model", [OPENAI, OLLAMA, EMBEDDED])
async def test_each_provider_gets_the_schema_in_its_own_words(
    model: ModelId, online: ModelServer, ask: ChatRequest
) -> None:
    online.answers = [json.dumps(GOOD)]
    assert await ask_json(ask, SCHEMA, [model, GUIDED]) == GOOD
    body = online.body
    if model == OLLAMA:
        assert body["format"] == SCHEMA
    else:
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
        assert body["response_format"]["json_schema"]["strict"] is True
    last = body["messages"][-1]["content"]
    assert last.startswith("How do I begin?")
    assert '"maxItems":3' in last


@pytest.mark.parametrize("model", [OPENAI, OLLAMA, EMBEDDED])
async def test_without_a_schema_nothing_is_said_about_the_form(
    model: ModelId, online: ModelServer, ask: ChatRequest
) -> None:
    async for _event in language_model(model).stream(ask):
        pass
    assert not {"response_format", "extra_body"} & set(online.body)
    assert not online.body.get("format")


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{}\n```",
        "Here you are:\n```\n{}\n```\nGood luck!",
        "Certainly! {} Anything else?",
        "<think>They want {{a}} list.</think>\n{}",
    ],
)
async def test_the_object_is_found_in_what_surrounds_it(text: str, online: ModelServer, ask: ChatRequest) -> None:
    online.answers = [text.replace("{}", json.dumps(GOOD)).replace("{{a}}", "{a}")]
    assert await ask_json(ask, SCHEMA, [OPENAI]) == GOOD
    assert len(online.requests) == 1


async def test_a_wrong_answer_is_shown_its_error_once(online: ModelServer, ask: ChatRequest) -> None:
    wrong = '{"title": "Begin small", "steps": "One"}'
    online.answers = [wrong, json.dumps(GOOD)]
    assert await ask_json(ask, SCHEMA, [OPENAI]) == GOOD
    *_before, given, repair = online.body["messages"]
    assert given == {"role": "assistant", "content": wrong}
    assert "$.steps" in repair["content"]
    assert "is not of type 'array'" in repair["content"]


@pytest.mark.parametrize("second", ["no json at all", '{"title": 3}', "[1, 2]"])
async def test_twice_wrong_is_a_clear_error(second: str, online: ModelServer, ask: ChatRequest) -> None:
    online.answers = ["{", second]
    with pytest.raises(StructuredOutputFailed, match=r"openai:m gave no answer in the form") as caught:
        await ask_json(ask, SCHEMA, [OPENAI, GUIDED])
    assert caught.value.code == "json"
    assert len(online.requests) == 2


async def test_the_repair_stays_with_the_model_that_answered(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour, online.retry_after = "busy once", "30"
    online.answers = ["{}", json.dumps(GOOD)]
    assert await ask_json(ask, SCHEMA, [OPENAI, EMBEDDED]) == GOOD
    assert ["return_progress" in body for _path, _headers, body in online.requests] == [False, True, True]


async def test_guided_mode_is_never_asked(ask: ChatRequest) -> None:
    with pytest.raises(NoModelLeft, match="cannot do what is needed: json"):
        await ask_json(ask, SCHEMA, [GUIDED])


async def test_a_failing_server_is_named_rather_than_guided_mode(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour = "fails"
    with pytest.raises(NoModelLeft, match="Out of memory"):
        await ask_json(ask, SCHEMA, [OPENAI, GUIDED])


async def test_text_of_a_model_that_broke_off_is_void(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour, online.answers = "breaks", ['{"title": "half of an answer that']
    with pytest.raises(NoModelLeft):
        await ask_json(ask, SCHEMA, [OPENAI])


async def test_a_schema_that_is_none_is_refused_before_anybody_is_asked(online: ModelServer, ask: ChatRequest) -> None:
    from jsonschema import SchemaError

    with pytest.raises(SchemaError):
        await ask_json(ask, {"type": "nothing"}, [OPENAI])
    assert online.requests == []


def test_strict_only_where_openai_accepts_it() -> None:
    assert response_format(SCHEMA)["json_schema"]["strict"] is True
    loose = {**SCHEMA, "required": ["title"]}
    assert response_format(loose)["json_schema"]["strict"] is False
    nested = {**SCHEMA, "properties": {"title": {"type": "object"}, "steps": {"type": "string"}}}
    assert response_format(nested)["json_schema"]["strict"] is False


@pytest.mark.real_model
async def test_a_real_grammar_makes_a_small_model_fit(settings: Any, tmp_path: Any) -> None:
    """SmolLM2 with its 135 million parameters gives no JSON of its own; the grammar leaves it no choice."""
    from .test_real_model import KEY, _start

    server = _start(tmp_path)
    settings.LLAMACPP_SERVER = {"url": server.url, "key": KEY, "model": str(server.model)}
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}, "stars": {"type": "integer", "minimum": 1, "maximum": 5}},
        "required": ["mood", "stars"],
        "additionalProperties": False,
    }
    request = ChatRequest([Message("user", "How was: 'A lovely day'?")], max_tokens=60, temperature=0.0)
    try:
        found = await ask_json(request, schema, [EMBEDDED, GUIDED])
        assert found["mood"] in ("good", "bad")
        assert found["stars"] in range(1, 6)
    finally:
        await language_model(EMBEDDED).aclose()
        server.process.terminate()
        assert server.process.wait(10) == 0
