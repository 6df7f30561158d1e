"""Searching a dozen articles in four languages with the real embedder and a real Chroma."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings

from knowledge import index, ingest, retrieval, services
from knowledge.errors import IndexUnavailable
from knowledge.models import Document
from knowledge.starter import FOLDER
from knowledge.types import SearchResult

pytestmark = pytest.mark.usefixtures("chroma", "e5")
LANGUAGES = ("en", "sv", "nb", "ko")
ARTICLES = ("grow-model", "building-habits", "sleep-and-energy")


@pytest.fixture
def knowledge(lexical_index: None, base: Any, e5: Any) -> Iterator[Any]:
    """`base` with three articles in four languages."""
    for language in LANGUAGES:
        for article in ARTICLES:
            path = FOLDER / "personal" / language / f"{article}.md"
            with path.open("rb") as content:
                services.add_document(base=base, filename=path.name, content=content, language=language)
    ingest.process_pending("worker", time.monotonic() + 120)
    assert Document.objects.filter(state=Document.State.READY).count() == len(LANGUAGES) * len(ARTICLES)
    retrieval._live.clear()
    yield base
    retrieval._live.clear()


async def search(base: Any, query: str, language: str = "", k: int = 5) -> SearchResult:
    return await retrieval.search(query, bases=[base.pk], k=k, language=language)


async def first_document(result: SearchResult) -> Document:
    return await Document.objects.select_related("body").aget(pk=result.passages[0].document)


QUESTIONS = {
    "en": "How do I keep up a new habit?",
    "sv": "Hur får jag en ny vana att sitta?",
    "nb": "Hvordan holder jeg fast ved en ny vane?",
    "ko": "새로운 습관을 어떻게 유지하나요?",
}
OFF_TOPIC = {
    "en": ("Hello!", "Thanks a lot", "What is the capital of Australia?", "How do I repair a leaking tap?"),
    "sv": ("Hej!", "Tack så mycket", "Vad heter huvudstaden i Australien?", "Hur lagar jag en droppande kran?"),
    "nb": ("Hei!", "Tusen takk", "Hva er hovedstaden i Australia?", "Hvordan reparerer jeg en dryppende kran?"),
    "ko": ("안녕하세요!", "감사합니다", "호주의 수도는 어디인가요?", "새는 수도꼭지는 어떻게 고치나요?"),
}


async def test_each_language_finds_its_own_article(knowledge: Any) -> None:
    for language, question in QUESTIONS.items():
        found = await search(knowledge, question, language)
        document = await first_document(found)
        assert found.covered, question
        assert (document.filename, document.language) == ("building-habits.md", language)
        assert len({passage.text for passage in found.passages}) == len(found.passages)
        articles = [await Document.objects.aget(pk=passage.document) for passage in found.passages]
        assert len({(a.filename, a.language) for a in articles}) == len({a.filename for a in articles}), (
            "one language each"
        )


async def test_what_the_knowledge_does_not_cover_is_said(knowledge: Any) -> None:
    for language, questions in OFF_TOPIC.items():
        for question in questions:
            assert not (await search(knowledge, question, language)).covered, question


async def test_another_language_answers_when_it_alone_can(knowledge: Any) -> None:
    async for document in Document.objects.filter(filename="grow-model.md").exclude(language="en"):
        await sync_to_async(services.delete_document)(document_id=document.pk)
    found = await search(knowledge, "Vad är GROW-modellen?", "sv")
    assert found.covered
    document = await first_document(found)
    assert (document.filename, document.language) == ("grow-model.md", "en")


async def test_a_passage_says_where_it_stands(knowledge: Any) -> None:
    found = await search(knowledge, "What does the letter R in GROW stand for?", "en", k=1)
    passage = found.passages[0]
    document = await first_document(found)
    assert passage.text in document.text
    assert passage.location
    assert passage.title == document.title
    assert passage.scores["dense_rank"] is not None
    assert set(found.timings) == {"embed", "dense", "lexical", "load"}


async def test_a_private_question_is_not_embedded_in_a_cloud(knowledge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "is_cloud", lambda _id: True)
    asked: list[str] = []
    embed = retrieval._embed
    monkeypatch.setattr(retrieval, "_embed", lambda id_, query: asked.append(query) or embed(id_, query))
    found = await retrieval.search("What is the GROW model?", bases=[knowledge.pk], language="en", private=True)
    assert asked == []
    assert found.degraded == "dense_private"
    assert found.covered
    assert (await first_document(found)).filename == "grow-model.md"
    await retrieval.search("What is the GROW model?", bases=[knowledge.pk], language="en")
    assert asked == ["What is the GROW model?"]


async def test_words_alone_when_chroma_is_away(knowledge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*args: Any) -> Any:
        raise IndexUnavailable

    monkeypatch.setattr(index, "query_entries", away)
    found = await search(knowledge, "What is the GROW model?", "en")
    assert found.degraded == "dense_unavailable"
    assert found.covered
    assert (await first_document(found)).filename == "grow-model.md"
    assert not (await search(knowledge, "What is the capital of Australia?", "en")).covered


async def test_deleted_documents_are_not_found_though_their_vectors_remain(knowledge: Any) -> None:
    async for document in Document.objects.filter(filename="grow-model.md"):
        await sync_to_async(services.delete_document)(document_id=document.pk)
    found = await search(knowledge, "What is the GROW model?", "en")
    names = {(await Document.objects.aget(pk=passage.document)).filename for passage in found.passages}
    assert "grow-model.md" not in names


async def test_empty_questions_and_no_bases(base: Any) -> None:
    for found in (await search(base, "  "), await retrieval.search("Question?", bases=[])):
        assert (found.passages, found.covered) == ((), False)


async def test_many_at_once_give_what_each_gives_alone(knowledge: Any) -> None:
    questions = list(QUESTIONS.values()) * 5
    together = await asyncio.gather(*(search(knowledge, question) for question in questions))
    for question, found in zip(questions[:4], together[:4], strict=True):
        alone = await search(knowledge, question)
        assert [passage.chunk for passage in found.passages] == [passage.chunk for passage in alone.passages]


def test_the_default_embedder_is_the_one_that_was_calibrated() -> None:
    from knowledge import coverage

    assert django_settings.COACH_EMBEDDER in coverage.COSINES
