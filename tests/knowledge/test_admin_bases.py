"""The panel's list and page of knowledge bases: what they hold, who uses them, in which languages."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from coach.models import Coach
from knowledge import services
from knowledge.models import Document, IndexGeneration, KnowledgeBase
from tests.knowledge.panel import BASES, document_of, read, staff, text_of


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


def _form(base: KnowledgeBase, **values: Any) -> dict[str, Any]:
    return {"name": base.name, "slug": base.slug, "description": "", **values}


def test_a_new_base_asks_for_documents_next(panel: Client) -> None:
    answer = panel.post(f"{BASES}/add/", {"name": "Handbook", "slug": "handbook"})
    made = KnowledgeBase.objects.get(slug="handbook")
    assert answer.headers["Location"] == f"{BASES}/{made.pk}/upload/"


def test_an_empty_base_says_what_to_do(panel: Client) -> None:
    base = KnowledgeBase.objects.create(slug="empty", name="Empty")
    page = text_of(panel, f"{BASES}/{base.pk}/change/")
    assert "Upload the first ones" in page
    assert "No coach uses it yet" in page


def test_the_page_counts_what_the_base_holds(panel: Client, base: Any, coach: Any) -> None:
    read(document_of(base, "walk.md"), passages=7)
    document_of(base, "scan.md", state=Document.State.FAILED)
    page = text_of(panel, f"{BASES}/{base.pk}/change/")
    assert f"?base__id__exact={base.pk}&amp;state__exact=failed" in page
    assert '<p class="ac-number">7</p>' in page
    assert f"/admin/coach/coach/{coach.pk}/change/" in page
    listed = text_of(panel, f"{BASES}/")
    assert "1 ready" in listed
    assert "1 failed" in listed
    assert coach.name in listed


def test_coaches_are_chosen_from_here(panel: Client, base: Any, coach: Any) -> None:
    other = Coach.objects.create(slug="other", name="Other coach", mode=Coach.Mode.UNIVERSITY)
    panel.post(f"{BASES}/{base.pk}/change/", _form(base, coaches=[other.pk], languages=["sv", "ko"]))
    base.refresh_from_db()
    assert list(base.coaches.all()) == [other]
    assert base.languages == ["sv", "ko"]


def test_who_may_not_change_coaches_leaves_them_as_they_are(client: Client, alice: Any, base: Any, coach: Any) -> None:
    client.force_login(staff(alice, "view_knowledgebase", "change_knowledgebase"))
    assert 'name="coaches"' not in text_of(client, f"{BASES}/{base.pk}/change/")
    client.post(f"{BASES}/{base.pk}/change/", _form(base, coaches=[], languages=["sv"]))
    base.refresh_from_db()
    assert list(base.coaches.all()) == [coach]
    assert base.languages == ["sv"]


def test_languages_are_suggested_from_the_documents(panel: Client, base: Any) -> None:
    for n, language in enumerate(("sv", "sv", "ko", "")):
        document_of(base, f"{n}.md", language=language)
    page = text_of(panel, f"{BASES}/{base.pk}/change/")
    assert "Svenska (2), 한국어 (1)" in page
    base.refresh_from_db()
    assert base.languages == [], "a suggestion is no decision"
    panel.post(f"{BASES}/{base.pk}/change/", _form(base, languages=["sv"]))
    assert "Svenska (2)" not in text_of(panel, f"{BASES}/{base.pk}/change/")


def test_an_index_of_another_embedder_is_due_anew(panel: Client, base: Any, settings: Any) -> None:
    services.live_generation(base=base, embedder=settings.COACH_EMBEDDER, dimensions=384)
    assert "COACH_EMBEDDER says" not in text_of(panel, f"{BASES}/{base.pk}/change/")
    IndexGeneration.objects.update(embedder="minilm")
    assert "COACH_EMBEDDER says" in text_of(panel, f"{BASES}/{base.pk}/change/")
    assert "due anew" in text_of(panel, f"{BASES}/")
    IndexGeneration.objects.update(embedder=settings.COACH_EMBEDDER)
    base.splittings.update(splitter="older")
    assert "cut by an older rule" in text_of(panel, f"{BASES}/{base.pk}/change/")


def test_who_may_only_look_sees_no_button(client: Client, alice: Any, base: Any) -> None:
    client.force_login(staff(alice, "view_knowledgebase", "view_document", "view_indexgeneration"))
    page = text_of(client, f"{BASES}/{base.pk}/change/")
    assert 'name="_save"' not in page
    assert f"{BASES}/{base.pk}/upload/" not in page
    assert f"{BASES}/{base.pk}/generations/" in page


def test_the_list_needs_as_many_statements_for_many_bases(panel: Client, django_assert_max_num_queries: Any) -> None:
    for n in range(12):
        KnowledgeBase.objects.create(slug=f"b{n}", name=f"Base {n}")
    with django_assert_max_num_queries(16):
        text_of(panel, f"{BASES}/")
