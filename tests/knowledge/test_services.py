"""Uploads, retries, cancelling and deleting: what is stored, and what is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from knowledge import lexical, selectors, services
from knowledge.errors import BadName, NameTaken, Refused, StillBusy
from knowledge.models import Chunk, Document, IndexGeneration, KnowledgeBase, Splitting

State = Document.State
Add = Callable[..., Document]


def stored_files(settings: Any) -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


# --- bases ---------------------------------------------------------------------------------------


def test_a_base_gets_a_short_name(db: None) -> None:
    assert services.create_base(name="Vår kunskap").slug == "var-kunskap"


def test_a_korean_name_gets_a_short_name_too(db: None) -> None:
    base = services.create_base(name="지식")
    assert base.slug.startswith("base-")
    assert selectors.base_named("지식") == base


def test_a_base_needs_a_name_of_its_own(db: None) -> None:
    services.create_base(name="One")
    with pytest.raises(NameTaken):
        services.create_base(name="one")
    with pytest.raises(BadName):
        services.create_base(name=" \u202e ")


# --- uploads -------------------------------------------------------------------------------------


def test_an_upload_is_stored_under_its_hash_and_waits(base: KnowledgeBase, add: Add, ada: Any, settings: Any) -> None:
    document = add("Some text", "My notes.txt", uploaded_by=ada, language="en")
    document.refresh_from_db()
    assert (document.state, document.title, document.filename, document.bytes) == (
        State.PENDING,
        "My notes",
        "My notes.txt",
        9,
    )
    assert [path.name for path in stored_files(settings)] == [document.sha256]
    assert stored_files(settings)[0].read_bytes() == b"Some text"


def test_the_same_file_again_is_the_same_document(base: KnowledgeBase, add: Add, settings: Any) -> None:
    first = add("Some text", "a.txt")
    again, created = services.add_document(base=base, filename="b.txt", content=io.BytesIO(b"Some text"))
    assert (again.pk, created) == (first.pk, False)
    assert Document.objects.count() == len(stored_files(settings)) == 1


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_uploading_again_is_trying_again(base: KnowledgeBase, add: Add, state: str) -> None:
    document = add("Some text")
    Document.objects.filter(pk=document.pk).update(state=state, attempts=3, error="x", error_code="y")
    assert add("Some text").pk == document.pk
    document.refresh_from_db()
    assert (document.state, document.attempts, document.error, document.error_code) == (State.PENDING, 0, "", "")


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\x\\notes.md", "notes.md"),
        ("\u202etxt.exe\u202c.txt", "txt.exe.txt"),
        ("a\x00b\r\nc.txt", "ab c.txt"),
        ("  spaced   out .txt ", "spaced out .txt"),
        ("..txt.", "txt"),
        ("å" * 400 + ".txt", "å" * 251 + ".txt"),
        ("한글 문서.pdf", "한글 문서.pdf"),
        ("../", ""),
    ],
)
def test_file_names_are_cleaned(name: str, clean: str) -> None:
    assert services.clean_filename(name) == clean


@pytest.mark.parametrize(
    ("filename", "content", "code", "status"),
    [
        ("a.exe", b"x", "wrong_type", 422),
        ("a", b"x", "wrong_type", 422),
        ("a.txt", b"", "empty", 422),
        ("a.txt", b"12345678901", "too_large", 413),
    ],
)
def test_refused_at_the_door(
    base: KnowledgeBase, settings: Any, filename: str, content: bytes, code: str, status: int
) -> None:
    settings.DOCUMENT_MAX_BYTES = 10
    with pytest.raises(Refused) as refused:
        services.add_document(base=base, filename=filename, content=io.BytesIO(content))
    assert (refused.value.code, refused.value.status) == (code, status)
    assert not Document.objects.exists()
    assert stored_files(settings) == []


# --- new versions --------------------------------------------------------------------------------


def test_other_bytes_under_the_same_name_are_a_new_version(base: KnowledgeBase, add: Add) -> None:
    first = add("First", "plan.txt", language="sv")
    assert add("Second", "plan.txt", language="sv").replaces == first
    assert add("Third", "plan.txt", language="nb").replaces is None, "a translation"
    assert add("Fourth", "other.txt", language="sv").replaces is None
    here = add("Fifth", "index.html", url="https://a.example/")
    assert add("Sixth", "index.html", url="https://b.example/").replaces is None, "another page of the web"
    assert add("Seventh", "index.html", url="https://a.example/").replaces == here
    other = services.create_base(name="Other")
    elsewhere, _ = services.add_document(base=other, filename="plan.txt", content=io.BytesIO(b"5"), language="sv")
    assert elsewhere.replaces is None


def test_files_of_one_name_in_one_upload_are_different_files(base: KnowledgeBase, add: Add) -> None:
    files = [("a/readme.md", io.BytesIO(b"one")), ("b/readme.md", io.BytesIO(b"two"))]
    assert [document.replaces for document in services.add_documents(base=base, files=files)] == [None, None]
    assert add("three", "readme.md").replaces is None, "nobody knows which of the two it is"


def test_the_starter_articles_are_not_replaced_by_uploads(base: KnowledgeBase, add: Add) -> None:
    article = add("First", "grow.md", language="sv", starter="sv/grow")
    assert add("Mine", "grow.md", language="sv").replaces is None
    assert add("Second", "grow.md", language="sv", starter="sv/grow").replaces == article


def test_a_version_that_goes_leaves_the_one_before_in_its_place(base: KnowledgeBase, add: Add) -> None:
    first, second, third = (add(text, "plan.txt") for text in ("one", "two", "three"))
    assert third.replaces == second
    services.delete_document(document_id=second.pk)
    third.refresh_from_db()
    assert third.replaces == first
    services.retire_replaced(document_id=third.pk)
    assert Document.objects.count() == 2, "it is not searchable yet"
    Document.objects.filter(pk=third.pk).update(state=State.READY)
    services.retire_all_replaced()
    assert Document.objects.get() == third


# --- states --------------------------------------------------------------------------------------


def test_cancelling_takes_the_passages_back(base: KnowledgeBase, add: Add, lexical_index: None) -> None:
    document = add("Some text")
    splitting = Splitting.objects.create(base=base, splitter="s")
    chunk = Chunk.objects.create(document=document, splitting=splitting, position=0, start=0, end=4, text="Some")
    lexical.add(lexical.rows([lexical.Entry(chunk.pk, splitting.pk, "Some")]))
    services.cancel(document_id=document.pk)
    document.refresh_from_db()
    assert document.state == State.CANCELLED
    assert not Chunk.objects.exists()
    assert lexical.search("some", [splitting.pk], 5).ranking == ()


def test_only_what_waits_is_cancelled_and_only_what_failed_is_retried(add: Add) -> None:
    document = add("Some text")
    with pytest.raises(StillBusy):
        services.retry(document_id=document.pk)
    Document.objects.update(state=State.READY)
    for service in (services.cancel, services.retry):
        with pytest.raises(StillBusy):
            service(document_id=document.pk)


def test_deleting_removes_rows_words_and_the_file(
    base: KnowledgeBase, add: Add, settings: Any, lexical_index: None
) -> None:
    document = add("Some text")
    splitting = Splitting.objects.create(base=base, splitter="s")
    chunk = Chunk.objects.create(document=document, splitting=splitting, position=0, start=0, end=4, text="Some")
    lexical.add(lexical.rows([lexical.Entry(chunk.pk, splitting.pk, "Some")]))
    services.delete_document(document_id=document.pk)
    assert not Document.objects.exists()
    assert not Chunk.objects.exists()
    assert lexical.search("some", [splitting.pk], 5).ranking == ()
    assert stored_files(settings) == []
    services.delete_document(document_id=uuid4())


def test_a_file_that_another_base_needs_stays(
    base: KnowledgeBase, add: Add, settings: Any, lexical_index: None
) -> None:
    document = add("Some text")
    other = services.create_base(name="Other")
    services.add_document(base=other, filename="a.txt", content=io.BytesIO(b"Some text"))
    services.delete_document(document_id=document.pk)
    assert len(stored_files(settings)) == 1
    services.delete_base(base_id=other.pk)
    assert stored_files(settings) == []


def test_a_base_has_one_live_generation(base: KnowledgeBase) -> None:
    first = services.live_generation(base=base, embedder="fake", dimensions=64)
    assert services.live_generation(base=base, embedder="other", dimensions=3) == first
    assert IndexGeneration.objects.count() == 1


def test_progress(add: Add) -> None:
    document = add("Some text")
    assert selectors.progress(document) == 0.0
    document.chunks_total, document.chunks_done = 10, 5
    assert selectors.progress(document) == 0.55
    document.state = State.READY
    assert selectors.progress(document) == 1.0
