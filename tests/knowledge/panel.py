"""What the tests of the panel's pages about knowledge share."""

from __future__ import annotations

import io
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from knowledge.models import Chunk, Document, DocumentText, KnowledgeBase, Splitting
from knowledge.services import add_document

BASES = "/admin/knowledge/knowledgebase"


def document_of(base: KnowledgeBase, name: str, **values: Any) -> Document:
    found, _created = add_document(base=base, filename=name, content=io.BytesIO(f"# {name}\n\nText.".encode()))
    if values:
        Document.objects.filter(pk=found.pk).update(**values)
        found.refresh_from_db()
    return found


def read(document: Document, passages: int = 2, splitter: str = "s") -> list[Chunk]:
    """As if the worker had read it: passages of nine characters with a heading before each."""
    splitting = Splitting.objects.get_or_create(base=document.base, splitter=splitter)[0]
    text = "".join(f"H{n:03} Passage <{n:03}>. " for n in range(passages))
    DocumentText.objects.update_or_create(document=document, defaults={"text": text})
    made = []
    for n in range(passages):
        start = text.index(f"Passage <{n:03}>")
        made.append(
            Chunk.objects.create(
                document=document,
                splitting=splitting,
                position=n,
                start=start,
                end=start + 13,
                text=text[start : start + 13],
                headings=["Top", "Sub"],
                page=3,
                tokens=7,
            )
        )
    Document.objects.filter(pk=document.pk).update(
        state=Document.State.READY, chunks_total=passages, chunks_done=passages
    )
    return made


def text_of(client: Client, path: str, **query: Any) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200, (path, answer.status_code)
    return str(answer.content.decode())


def staff(person: Any, *permissions: str) -> Any:
    """The person as staff with these permissions of knowledge ('view_document') or 'app.codename'."""
    type(person).objects.filter(pk=person.pk).update(is_staff=True)
    for permission in permissions:
        app, _, code = permission.rpartition(".")
        person.user_permissions.add(Permission.objects.get(content_type__app_label=app or "knowledge", codename=code))
    return type(person).objects.get(pk=person.pk)
