"""The panel's pages of documents: lists, passages beside the text, trying again, deleting for good."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from knowledge import lexical, services
from knowledge.models import Chunk, Document, IndexGeneration, KnowledgeBase
from tests.knowledge.panel import document_of, read, text_of

State = Document.State


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def document(base: KnowledgeBase) -> Document:
    return document_of(base, "walk.md")


# --- lists and the page of a document ------------------------------------------------------------


def test_the_lists_count_and_name_what_went_wrong(panel: Client, base: Any, document: Document) -> None:
    read(document, passages=7)
    document_of(base, "scan.md", state=State.FAILED, error="No text was found.")
    bases = text_of(panel, "/admin/knowledge/knowledgebase/")
    assert f"?base__id__exact={base.pk}&amp;state__exact=failed" in bases
    documents = text_of(panel, "/admin/knowledge/document/", state__exact="failed")
    assert "No text was found." in documents
    assert "walk.md" not in documents


def test_the_page_of_a_document_shows_its_passages(panel: Client, document: Document) -> None:
    read(document, passages=60)
    first = text_of(panel, f"/admin/knowledge/document/{document.pk}/change/")
    assert "Passage &lt;000&gt;" in first
    assert "Top › Sub" in first
    assert "page 3" in first
    assert "Passage &lt;055&gt;" not in first
    assert "Passage &lt;055&gt;" in text_of(panel, f"/admin/knowledge/document/{document.pk}/change/", page=2)


@pytest.mark.parametrize("bad", ["0", "-1", "x", "99999999999999999999"])
def test_a_page_that_is_not_there_is_no_error(panel: Client, document: Document, bad: str) -> None:
    text_of(panel, f"/admin/knowledge/document/{document.pk}/change/", page=bad)


def test_retry_and_cancel_need_a_post(panel: Client, base: Any) -> None:
    failed = document_of(base, "scan.md", state=State.FAILED, error="No text was found.")
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
    failed = document_of(base, "a.md", state=State.FAILED)
    ready = document_of(base, "b.md", state=State.READY)
    waiting = document_of(base, "c.md")
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
    read(document)
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
    read(document)
    text = text_of(panel, f"/admin/knowledge/knowledgebase/{base.pk}/delete/")
    assert "1 document" in text
    assert "Passage" not in text
