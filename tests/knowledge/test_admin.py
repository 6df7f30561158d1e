"""The panel's part about knowledge: uploading, watching, trying again, deleting for good."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from knowledge import lexical, services
from knowledge.models import Chunk, Document, IndexGeneration, KnowledgeBase, Splitting
from knowledge.services import add_document

State = Document.State


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def document(base: KnowledgeBase) -> Document:
    return _document(base, "walk.md")


def _document(base: KnowledgeBase, name: str, **values: Any) -> Document:
    found, _created = add_document(base=base, filename=name, content=io.BytesIO(f"# {name}\n\nText.".encode()))
    if values:
        Document.objects.filter(pk=found.pk).update(**values)
        found.refresh_from_db()
    return found


def _read(document: Document, passages: int = 2) -> None:
    """As if the worker had read it."""
    splitting = Splitting.objects.get_or_create(base=document.base, splitter="s")[0]
    for position in range(passages):
        Chunk.objects.create(
            document=document,
            splitting=splitting,
            position=position,
            start=0,
            end=9,
            text=f"Passage <{position}>",
            headings=["Top", "Sub"],
            page=3,
        )
    Document.objects.filter(pk=document.pk).update(state=State.READY, chunks_total=passages, chunks_done=passages)


def _text(client: Client, path: str, **query: Any) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200, (path, answer.status_code)
    return str(answer.content.decode())


# --- upload page ---------------------------------------------------------------------------------


def _config(text: str) -> dict[str, Any]:
    [found] = re.findall(r'<script id="ac-upload-config" type="application/json">(.*?)</script>', text)
    config: dict[str, Any] = json.loads(found)
    return config


def test_the_upload_page_knows_where_files_go_and_what_is_open(panel: Client, base: Any, document: Document) -> None:
    _document(base, "scan.md", state=State.FAILED, error="No text was found.")
    _read(_document(base, "done.md"))
    config = _config(_text(panel, f"/admin/knowledge/knowledgebase/{base.pk}/upload/"))
    assert config["api"]["upload"] == f"/api/v1/knowledge-bases/{base.slug}/documents"
    assert {item["filename"]: item["error"] for item in config["documents"]} == {
        "walk.md": "",
        "scan.md": "No text was found.",
    }
    assert ".pdf" in config["suffixes"]


def test_what_the_page_sends_is_accepted_and_shown(panel: Client, base: Any) -> None:
    config = _config(_text(panel, f"/admin/knowledge/knowledgebase/{base.pk}/upload/"))
    file = io.BytesIO(b"# Lantern\n\nTwo people walk.")
    file.name = "lantern.md"
    [stored] = panel.post(config["api"]["upload"], {"file": file}).json()
    assert stored["state"] == "pending"
    body = json.dumps({"ids": [stored["id"], str(uuid4())]})
    answer = panel.post(config["api"]["states"], body, content_type="application/json")
    [state] = answer.json()["documents"]
    assert (state["id"], state["state"], state["error"]) == (stored["id"], "pending", "")
    for what, expected in (("cancel", "cancelled"), ("retry", "pending")):
        path = config["api"]["document"].replace("ID", stored["id"]) + "/" + what
        assert panel.post(path).json()["state"] == expected
    assert panel.get(config["pages"]["document"].replace("ID", stored["id"])).status_code == 200


def test_an_upload_without_the_page_s_mark_is_refused(ada: Any, base: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    path = f"/admin/knowledge/knowledgebase/{base.pk}/states/"
    assert strict.post(path, '{"ids": []}', content_type="application/json").status_code == 403


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"ids": 3}', '{"ids": ["no-id"]}', '{"ids": [7]}'])
def test_a_bad_question_for_states_gets_a_plain_answer(panel: Client, base: Any, body: str) -> None:
    path = f"/admin/knowledge/knowledgebase/{base.pk}/states/"
    answer = panel.post(path, body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"


def test_states_of_another_base_are_not_told(panel: Client, document: Document) -> None:
    other = KnowledgeBase.objects.create(slug="other", name="Other")
    body = json.dumps({"ids": [str(document.pk)]})
    answer = panel.post(f"/admin/knowledge/knowledgebase/{other.pk}/states/", body, content_type="application/json")
    assert answer.json() == {"documents": []}


def test_hundreds_of_states_need_few_statements(
    panel: Client, base: Any, document: Document, django_assert_max_num_queries: Any
) -> None:
    rows = [Document(base=base, title="d", filename="d.md", sha256=f"{n:064}") for n in range(300)]
    Document.objects.bulk_create(rows)
    body = json.dumps({"ids": [str(row.pk) for row in rows]})
    with django_assert_max_num_queries(6):
        answer = panel.post(f"/admin/knowledge/knowledgebase/{base.pk}/states/", body, content_type="application/json")
    assert len(answer.json()["documents"]) == 300


def test_only_those_who_may_upload_see_the_page(client: Client, alice: Any, base: Any) -> None:
    for staff, status in ((False, 302), (True, 403)):
        type(alice).objects.filter(pk=alice.pk).update(is_staff=staff)
        client.force_login(type(alice).objects.get(pk=alice.pk))
        assert client.get(f"/admin/knowledge/knowledgebase/{base.pk}/upload/").status_code == status
        path = f"/admin/knowledge/knowledgebase/{base.pk}/states/"
        assert client.post(path, '{"ids": []}', content_type="application/json").status_code == status


def test_adding_a_document_leads_to_the_upload_page(panel: Client) -> None:
    KnowledgeBase.objects.all().delete()
    assert "Make a new knowledge base" in _text(panel, "/admin/knowledge/document/add/")
    one = KnowledgeBase.objects.create(slug="one", name="One")
    answer = panel.get("/admin/knowledge/document/add/")
    assert answer.headers["Location"] == f"/admin/knowledge/knowledgebase/{one.pk}/upload/"
    two = KnowledgeBase.objects.create(slug="two", name="Two")
    assert f"/admin/knowledge/knowledgebase/{two.pk}/upload/" in _text(panel, "/admin/knowledge/document/add/")


def test_a_new_base_asks_for_documents_next(panel: Client) -> None:
    answer = panel.post("/admin/knowledge/knowledgebase/add/", {"name": "Handbook", "slug": "handbook"})
    made = KnowledgeBase.objects.get(slug="handbook")
    assert answer.headers["Location"] == f"/admin/knowledge/knowledgebase/{made.pk}/upload/"


# --- lists and the page of a document ------------------------------------------------------------


def test_the_lists_count_and_name_what_went_wrong(panel: Client, base: Any, document: Document) -> None:
    _read(document, passages=7)
    _document(base, "scan.md", state=State.FAILED, error="No text was found.")
    bases = _text(panel, "/admin/knowledge/knowledgebase/")
    assert f"?base__id__exact={base.pk}&amp;state__exact=failed" in bases
    documents = _text(panel, "/admin/knowledge/document/", state__exact="failed")
    assert "No text was found." in documents
    assert "walk.md" not in documents


def test_the_page_of_a_document_shows_its_passages(panel: Client, document: Document) -> None:
    _read(document, passages=60)
    first = _text(panel, f"/admin/knowledge/document/{document.pk}/change/")
    assert "Passage &lt;0&gt;" in first
    assert "Top › Sub" in first
    assert "page 3" in first
    assert "Passage &lt;55&gt;" not in first
    assert "Passage &lt;55&gt;" in _text(panel, f"/admin/knowledge/document/{document.pk}/change/", page=2)


@pytest.mark.parametrize("bad", ["0", "-1", "x", "99999999999999999999"])
def test_a_page_that_is_not_there_is_no_error(panel: Client, document: Document, bad: str) -> None:
    _text(panel, f"/admin/knowledge/document/{document.pk}/change/", page=bad)


def test_retry_and_cancel_need_a_post(panel: Client, base: Any) -> None:
    failed = _document(base, "scan.md", state=State.FAILED, error="No text was found.")
    path = f"/admin/knowledge/document/{failed.pk}"
    assert panel.get(f"{path}/retry/").status_code == 405
    panel.post(f"{path}/retry/")
    failed.refresh_from_db()
    assert (failed.state, failed.error) == (State.PENDING, "")
    panel.post(f"{path}/cancel/")
    failed.refresh_from_db()
    assert failed.state == State.CANCELLED
    assert "has changed meanwhile" in panel.post(f"{path}/cancel/", follow=True).content.decode()


def test_retry_and_cancel_of_many(panel: Client, base: Any) -> None:
    failed = _document(base, "a.md", state=State.FAILED)
    ready = _document(base, "b.md", state=State.READY)
    waiting = _document(base, "c.md")
    chosen = [failed.pk, ready.pk, waiting.pk]
    panel.post("/admin/knowledge/document/", {"action": "retry_chosen", "_selected_action": chosen})
    states = dict(Document.objects.values_list("filename", "state"))
    assert states == {"a.md": State.PENDING, "b.md": State.READY, "c.md": State.PENDING}
    panel.post("/admin/knowledge/document/", {"action": "cancel_chosen", "_selected_action": chosen})
    states = dict(Document.objects.values_list("filename", "state"))
    assert states == {"a.md": State.CANCELLED, "b.md": State.READY, "c.md": State.CANCELLED}


# --- deleting ------------------------------------------------------------------------------------


def _gone(document: Document, chunks: list[int], removed: list[int]) -> bool:
    return (
        not Document.objects.filter(pk=document.pk).exists()
        and not Chunk.objects.filter(pk__in=chunks).exists()
        and set(chunks) <= set(removed)
        and not default_storage.exists(document.file.name)
    )


@pytest.mark.parametrize("way", ["page", "list", "base"])
def test_deleting_takes_passages_words_and_file_too(
    panel: Client,
    base: Any,
    document: Document,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    _read(document)
    chunks = list(Chunk.objects.values_list("pk", flat=True))
    removed: list[int] = []
    real = lexical.remove
    monkeypatch.setattr(lexical, "remove", lambda ids: (removed.extend(ids), real(ids))[1])
    assert default_storage.exists(document.file.name)
    path, form = {
        "page": (f"/admin/knowledge/document/{document.pk}/delete/", {"post": "yes"}),
        "list": (
            "/admin/knowledge/document/",
            {"action": "delete_selected", "_selected_action": [document.pk], "post": "yes"},
        ),
        "base": (f"/admin/knowledge/knowledgebase/{base.pk}/delete/", {"post": "yes"}),
    }[way]
    with django_capture_on_commit_callbacks(execute=True):
        assert panel.post(path, form).status_code == 302
    assert _gone(document, chunks, removed)
    assert KnowledgeBase.objects.filter(pk=base.pk).exists() == (way != "base")


def test_the_vectors_of_a_deleted_base_are_given_to_a_worker(
    panel: Client, base: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    services.live_generation(base=base, embedder="e5-small", dimensions=384)
    IndexGeneration.objects.update(collection="kb-x")
    sent: list[Any] = []
    monkeypatch.setattr(
        "celery.Celery.send_task", lambda _app, name, **options: sent.append((name, list(options["args"])))
    )
    with django_capture_on_commit_callbacks(execute=True):
        panel.post(f"/admin/knowledge/knowledgebase/{base.pk}/delete/", {"post": "yes"})
    assert sent == [("knowledge.tasks.drop_collections", [["kb-x"]])]


def test_before_a_base_is_deleted_its_documents_are_counted(panel: Client, base: Any, document: Document) -> None:
    _read(document)
    text = _text(panel, f"/admin/knowledge/knowledgebase/{base.pk}/delete/")
    assert "1 document" in text
    assert "Passage" not in text
