"""Model servers of one's own: the table, its keys, its admin, and the models that name them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from llm import endpoints, policy
from llm.cloud import cloud_models
from llm.errors import AuthenticationFailed, ModelUnavailable, UnknownModel
from llm.models import Endpoint
from llm.registry import language_model, parse_models
from llm.types import ChatRequest, Finished, ModelId, Place, Token
from tests.servers import free_port

from .conftest import WORDS, ModelServer

KEY = "sk-very-secret-key"


@pytest.fixture(autouse=True)
def _fresh_snapshot() -> Iterator[None]:
    endpoints.forget()
    yield
    endpoints.forget()


def server(slug: str = "lab", url: str = "http://10.0.0.5:8000/v1", key: str = "", **values: Any) -> Endpoint:
    row = Endpoint(slug=slug, url=url, **values)
    endpoints.set_key(endpoint=row, key=key)
    row.save()
    return row


async def answer(model: Any, request: ChatRequest) -> str:
    events = [event async for event in model.stream(request)]
    await model.aclose()
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Token))


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "slug"),
    [
        ("openai:mistral-7b@lab", "mistral-7b", "lab"),
        ("openai:org/m@v2@lab", "org/m@v2", "lab"),
        ("openai:gpt-4o-mini", "gpt-4o-mini", ""),
        ("ollama:name@sha", "name@sha", ""),
    ],
)
def test_the_server_stands_behind_the_last_at(text: str, name: str, slug: str) -> None:
    [model] = parse_models(text)
    assert str(model) == text
    assert endpoints.split_name(model) == (name, slug)


@pytest.mark.parametrize("text", ["openai:@lab", "openai:m@", "openai:m@two words", "openai:m@https://x"])
def test_a_name_that_is_not_well_formed(text: str) -> None:
    with pytest.raises(UnknownModel, match="write openai:NAME@SERVER"):
        parse_models(text)


@pytest.mark.django_db
def test_a_list_is_checked_against_the_table() -> None:
    with pytest.raises(UnknownModel, match="add 'lab' under Model servers"):
        endpoints.checked_models("guided,openai:m@lab")
    server()
    assert endpoints.checked_models("guided,openai:m@lab") == [ModelId("guided"), ModelId("openai", "m@lab")]


# --- keys ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_key_lies_encrypted_and_a_new_secret_key_says_so(settings: Any) -> None:
    row = server(key=KEY)
    row.refresh_from_db()
    assert row.secret
    assert KEY not in row.secret
    found = endpoints.find("lab")
    assert found is not None
    assert found.key == KEY
    assert KEY not in repr(found)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    endpoints.refresh()
    with pytest.raises(AuthenticationFailed, match="SECRET_KEY has changed; enter it again"):
        language_model(ModelId("openai", "m@lab"))
    assert "SECRET_KEY has changed" in endpoints.ask(row).detail
    settings.SECRET_KEY_FALLBACKS = [old]
    endpoints.refresh()
    assert language_model(ModelId("openai", "m@lab")).id.name == "m@lab"


# --- models --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_model_of_a_server_uses_its_address_key_and_length(model_server: ModelServer, ask: ChatRequest) -> None:
    server(url=f"{model_server.url}/v1", key=KEY, context_tokens=5000)
    model = language_model(ModelId("openai", "mistral@lab"))
    assert (model.place, model.context_tokens) == (Place.LOCAL, 5000)
    assert asyncio.run(answer(model, ask)) == "".join(WORDS)
    path, headers, body = model_server.requests[-1]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["model"] == "mistral"


@pytest.mark.django_db
def test_a_change_is_followed_without_a_restart(
    model_server: ModelServer, ask: ChatRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = server(url=f"http://127.0.0.1:{free_port()}/v1")
    [model_id, _guided] = policy.resolve("openai:m@lab")
    model = language_model(model_id)
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        asyncio.run(answer(model, ask))
    row.url = f"{model_server.url}/v1"
    row.save()
    policy.resolve("openai:m@lab")  # within five seconds: nothing is read
    with pytest.raises(ModelUnavailable):
        asyncio.run(answer(model, ask))
    monkeypatch.setattr(endpoints, "REMEMBERED", 0.0)
    policy.resolve("openai:m@lab")
    assert asyncio.run(answer(language_model(model_id), ask)) == "".join(WORDS)
    row.delete()
    policy.resolve("openai:m@lab")
    assert model.place is Place.CLOUD
    with pytest.raises(UnknownModel):
        asyncio.run(answer(model, ask))


@pytest.mark.django_db
def test_what_is_private_does_not_follow_a_server_into_a_cloud(ask: ChatRequest) -> None:
    from dataclasses import replace

    row = server()
    model = language_model(ModelId("openai", "m@lab"))
    assert model.place is Place.LOCAL
    row.url = "https://models.example.org/v1"
    row.save()
    endpoints.refresh()
    with pytest.raises(ModelUnavailable, match="not on this network any more"):
        asyncio.run(answer(model, replace(ask, private=True)))


@pytest.mark.django_db
def test_without_a_server_in_the_list_the_table_is_not_read(django_assert_num_queries: Any) -> None:
    policy.resolve("guided")
    with django_assert_num_queries(0):
        endpoints.refresh_for(parse_models("openai:gpt-4o-mini,guided"))


@pytest.mark.django_db
def test_what_leaves_the_network_is_named(settings: Any) -> None:
    server()
    server("far", "https://models.example.org/v1")
    settings.HF_BASE_URL = ""
    text = "openai:m@lab,openai:m@far,openai:m@gone,huggingface-endpoint:o/m,ollama:x:120b-cloud,huggingface:o/m"
    found = [str(model) for model in cloud_models(text)]
    assert found == ["openai:m@far", "openai:m@gone", "huggingface-endpoint:o/m", "ollama:x:120b-cloud"]
    settings.HF_BASE_URL = "http://tgi:8080"
    assert cloud_models("huggingface-endpoint:o/m") == []


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://vllm:8000/v1", ""),
        ("https://api.deepseek.com/v1", ""),
        ("ftp://x/v1", "must begin with http"),
        ("localhost:8000/v1", "must begin with http"),
        ("http:///v1", "must begin with http"),
        ("http://a b/v1", "must begin with http"),
        ("http://[::1/v1", "no address"),
        ("http://x:99999/v1", "no address"),
        ("http://me:secret@x/v1", "must not hold a name or password"),
        ("http://x/v1?key=1", "must end before any"),
    ],
)
def test_addresses(url: str, words: str) -> None:
    problem = endpoints.problem_with(url)
    assert words in problem
    assert bool(problem) == bool(words)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("behaviour", "ok", "words"),
    [("", True, "lab answers"), ("key", False, "check its API key"), ("fails", False, "Out of memory.")],
)
def test_asking_a_server(behaviour: str, ok: bool, words: str, model_server: ModelServer) -> None:
    model_server.behaviour = behaviour
    found = endpoints.ask(server(url=f"{model_server.url}/v1", key=KEY))
    assert (found.ok, words in found.detail) == (ok, True)
    assert model_server.requests[-1][1]["authorization"] == f"Bearer {KEY}"


@pytest.mark.django_db
def test_asking_where_nothing_is() -> None:
    assert "cannot be reached" in endpoints.ask(server(url=f"http://127.0.0.1:{free_port()}/v1")).detail


# --- the admin -----------------------------------------------------------------------------------

ADD = "/admin/llm/endpoint/add/"


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


def page(row: Endpoint) -> str:
    return f"/admin/llm/endpoint/{row.pk}/change/"


def form(**values: str) -> dict[str, str]:
    return {"slug": "lab", "address": "http://vllm:8000/v1/", "key": "", "context_tokens": "", **values}


@pytest.mark.django_db
def test_a_server_is_added_and_its_key_never_shown_again(panel: Client) -> None:
    assert panel.post(ADD, form(key=KEY)).status_code == 302
    row = Endpoint.objects.get()
    assert (row.slug, row.url) == ("lab", "http://vllm:8000/v1")
    assert KEY not in row.secret
    for text in (panel.get(page(row)).content.decode(), panel.get("/admin/llm/endpoint/").content.decode()):
        assert KEY not in text
        assert row.secret not in text
        assert "vllm:8000" in text


@pytest.mark.django_db
def test_an_empty_key_keeps_the_old_one_and_a_tick_removes_it(panel: Client) -> None:
    row = server(url="http://vllm:8000/v1", key=KEY)
    panel.post(page(row), form(context_tokens="4096"))
    row.refresh_from_db()
    endpoints.refresh()
    found = endpoints.find("lab")
    assert found is not None
    assert (found.key, found.context_tokens) == (KEY, 4096)
    panel.post(page(row), form(without_key="on"))
    row.refresh_from_db()
    assert row.secret == ""


@pytest.mark.django_db
def test_a_key_does_not_go_to_another_server_unasked(panel: Client) -> None:
    row = server(url="http://vllm:8000/v1", key=KEY)
    shown = panel.post(page(row), form(address="https://evil.example.org/v1"))
    assert shown.status_code == 200
    assert "This is another server" in shown.content.decode()
    row.refresh_from_db()
    assert row.url == "http://vllm:8000/v1"
    assert panel.post(page(row), form(address="https://new.example.org/v1", key="sk-new")).status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["ftp://x/v1", "http://me:secret@x/v1"])
def test_a_wrong_address_is_said_at_save(panel: Client, address: str) -> None:
    shown = panel.post(ADD, form(address=address))
    assert shown.status_code == 200
    assert "The address must" in shown.content.decode()
    assert not Endpoint.objects.exists()


@pytest.mark.django_db
def test_save_and_test_says_in_one_sentence_whether_it_answers(panel: Client, model_server: ModelServer) -> None:
    values = form(address=f"{model_server.url}/v1", llm_endpoint_save_and_test="1")
    assert "lab answers" in panel.post(ADD, values, follow=True).content.decode()
    model_server.behaviour = "key"
    row = Endpoint.objects.get()
    chosen = {"action": "test_chosen", "_selected_action": [str(row.pk)]}
    assert "check its API key" in panel.post("/admin/llm/endpoint/", chosen, follow=True).content.decode()


@pytest.mark.django_db
def test_a_coach_with_an_unknown_server_is_refused_at_save(panel: Client, coach: Any) -> None:
    values = {"name": coach.name, "slug": coach.slug, "mode": coach.mode, "position": "1", "prompt": "x"}
    shown = panel.post(f"/admin/coach/coach/{coach.pk}/change/", {**values, "language_models": "openai:m@nowhere"})
    assert shown.status_code == 200
    assert "add &#x27;nowhere&#x27; under Model servers" in shown.content.decode()
