"""REST: who may, what comes back, what is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client

from accounts.services import create_token
from knowledge import search_channel
from knowledge.models import Document, KnowledgeBase
from knowledge.types import Passage, SearchResult

State = Document.State
URL = "/api/v1"


@pytest.fixture
def staff(ada: Any) -> Client:
    return Client(headers={"authorization": f"Bearer {create_token(user=ada)}"})


def upload(client: Client, slug: str, *files: tuple[str, bytes]) -> Any:
    data = {"file": [SimpleUploadedFile(name, content) for name, content in files]}
    return client.post(f"{URL}/knowledge-bases/{slug}/documents", data)


PATHS = [
    ("GET", "/knowledge-bases"),
    ("POST", "/knowledge-bases"),
    ("POST", "/knowledge-bases/personal/documents"),
    ("POST", "/knowledge-bases/personal/search"),
    ("GET", "/documents/8ef9f60c-1f1c-4a2e-9a5e-6a0a0a0a0a0a"),
    ("DELETE", "/documents/8ef9f60c-1f1c-4a2e-9a5e-6a0a0a0a0a0a"),
    ("POST", "/documents/8ef9f60c-1f1c-4a2e-9a5e-6a0a0a0a0a0a/cancel"),
    ("POST", "/documents/8ef9f60c-1f1c-4a2e-9a5e-6a0a0a0a0a0a/retry"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_only_staff(alice: Any, base: KnowledgeBase, method: str, path: str) -> None:
    body = json.dumps({"name": "x", "query": "x"})
    nobody = Client().generic(method, URL + path, body, content_type="application/json")
    assert nobody.status_code == 401
    coachee = Client(headers={"authorization": f"Bearer {create_token(user=alice)}"})
    refused = coachee.generic(method, URL + path, body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_bases(staff: Client) -> None:
    made = staff.post(f"{URL}/knowledge-bases", json.dumps({"name": "Our rules"}), content_type="application/json")
    assert (made.status_code, made.json()["slug"]) == (201, "our-rules")
    again = staff.post(f"{URL}/knowledge-bases", json.dumps({"name": "Our rules"}), content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    assert "our-rules" in [base["slug"] for base in staff.get(f"{URL}/knowledge-bases").json()]


def test_upload_read_cancel_retry_delete(staff: Client, base: KnowledgeBase, ada: Any, lexical_index: None) -> None:
    sent = upload(staff, "personal", ("one.txt", b"First text"), ("../two.md", b"# Second"))
    assert sent.status_code == 201
    one, two = sent.json()
    assert (one["state"], one["progress"], one["chunks"], one["error"]) == ("pending", 0.0, 0, "")
    assert two["filename"] == "two.md"
    assert Document.objects.get(pk=one["id"]).uploaded_by == ada
    assert staff.get(f"{URL}/documents/{one['id']}").json() == one
    assert staff.post(f"{URL}/documents/{one['id']}/cancel").json()["state"] == "cancelled"
    assert staff.post(f"{URL}/documents/{one['id']}/cancel").json()["code"] == "busy"
    assert staff.post(f"{URL}/documents/{one['id']}/retry").json()["state"] == "pending"
    assert staff.delete(f"{URL}/documents/{one['id']}").status_code == 204
    assert staff.get(f"{URL}/documents/{one['id']}").status_code == 404
    assert [str(pk) for pk in Document.objects.values_list("pk", flat=True)] == [two["id"]]


def test_refused_uploads(staff: Client, base: KnowledgeBase) -> None:
    assert staff.post(f"{URL}/knowledge-bases/personal/documents").json()["code"] == "no_file"
    refused = upload(staff, "personal", ("a.exe", b"MZ"))
    assert (refused.status_code, refused.json()["code"]) == (422, "wrong_type")
    assert refused.json()["message"].endswith(".")
    assert upload(staff, "nowhere", ("a.txt", b"text")).status_code == 404
    assert not Document.objects.exists()


def test_all_files_of_a_request_or_none(staff: Client, base: KnowledgeBase, settings: Any, lexical_index: None) -> None:
    kept = upload(staff, "personal", ("kept.txt", b"Was here before")).json()[0]["id"]
    refused = upload(staff, "personal", ("kept.txt", b"Was here before"), ("new.txt", b"New"), ("bad.exe", b"MZ"))
    assert refused.status_code == 422
    assert [str(pk) for pk in Document.objects.values_list("pk", flat=True)] == [kept]
    assert len([path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]) == 1


def test_the_language_of_an_upload(staff: Client, base: KnowledgeBase) -> None:
    url = f"{URL}/knowledge-bases/personal/documents"
    sent = staff.post(url, {"file": SimpleUploadedFile("a.txt", b"Text"), "language": "sv"})
    assert sent.json()[0]["language"] == "sv"
    refused = staff.post(url, {"file": SimpleUploadedFile("b.txt", b"Other"), "language": "xx"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_language")


# --- searching from a process without an embedder --------------------------------------------------


FOUND = SearchResult(
    passages=(Passage(1, "id", "Title", "p. 3", "Text", 0.3, {"dense": 0.9, "lexical": None}),),
    covered=True,
    timings={"embed": 0.01},
)


async def _serve(requests: list[dict[str, Any]]) -> None:
    """What `manage.py runworker knowledge-search` does."""
    from channels.layers import get_channel_layer

    searcher = search_channel.Searcher()
    while True:
        message = await get_channel_layer().receive(search_channel.CHANNEL)
        requests.append(message)
        await searcher.knowledge_search(message)


@pytest.mark.django_db(transaction=True)
async def test_search_is_answered_by_a_runner(
    broker: str, ada: Any, base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgiref.sync import sync_to_async

    from knowledge import retrieval

    async def search(query: str, **values: Any) -> SearchResult:
        return FOUND

    monkeypatch.setattr(retrieval, "search", search)
    requests: list[dict[str, Any]] = []
    server = asyncio.create_task(_serve(requests))
    await asyncio.sleep(0.2)
    token = await sync_to_async(create_token)(user=ada)
    try:
        response = await AsyncClient().post(
            f"{URL}/knowledge-bases/personal/search",
            {"query": "Goals?", "k": 3},
            content_type="application/json",
            headers={"authorization": f"Bearer {token}"},
        )
    finally:
        server.cancel()
    assert response.status_code == 200
    body = response.json()
    assert (body["covered"], body["passages"][0]["location"]) == (True, "p. 3")
    assert (requests[0]["query"], requests[0]["bases"], requests[0]["k"]) == ("Goals?", [base.pk], 3)


@pytest.mark.django_db(transaction=True)
async def test_nobody_answers(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from knowledge.errors import SearchUnavailable

    monkeypatch.setattr(search_channel, "WAIT_SECONDS", 0.05)
    with pytest.raises(SearchUnavailable):
        await search_channel.ask("Goals?", bases=[1])


def test_an_odd_search_is_refused(staff: Client, base: KnowledgeBase) -> None:
    post: Callable[..., Any] = staff.post
    for body in ({}, {"query": ""}, {"query": "x", "k": 0}, {"query": "x" * 5000}):
        found = post(f"{URL}/knowledge-bases/personal/search", json.dumps(body), content_type="application/json")
        assert (found.status_code, found.json()["code"]) == (422, "invalid")
