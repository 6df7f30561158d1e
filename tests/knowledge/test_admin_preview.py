"""A document's text with its passages marked, and the passages beside it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from knowledge import lexical
from knowledge.admin_preview import MOST_BETWEEN, PASSAGES_ON_A_PAGE, cut, preview
from knowledge.models import Document, IndexGeneration
from tests.knowledge.panel import document_of, read, text_of


@pytest.fixture
def document(base: Any) -> Document:
    return document_of(base, "walk.md")


def test_the_text_is_whole_and_every_passage_is_marked() -> None:
    text = "Title\n\nOne two. Three four.\n\nEnd"
    found = cut(text, 100, [(7, 1, 107, 115, 1), (8, 2, 116, 127, None)])
    assert "".join(one.text for one in found) == text
    assert [(one.chunk, one.n, one.text) for one in found if one.chunk] == [(7, 1, "One two."), (8, 2, "Three four.")]


def test_passages_that_overlap_show_no_text_twice() -> None:
    found = cut("abcdefgh", 0, [(1, 1, 0, 5, None), (2, 2, 3, 8, None), (3, 3, 4, 5, None)])
    assert [one.text for one in found] == ["abcde", "fgh"]


def test_a_long_stretch_outside_is_cut_in_its_middle() -> None:
    text = "a" + "-" * 10 * MOST_BETWEEN + "b"
    found = cut(text, 0, [(1, 1, 0, 1, None), (2, 2, len(text) - 1, len(text), None)])
    assert [one.left_out for one in found] == [False, False, True, False, False]
    assert sum(len(one.text) for one in found) == 2 * MOST_BETWEEN + 2


def test_the_page_that_holds_a_passage_is_shown(panel: Client, document: Document) -> None:
    chunks = read(document, passages=3 * PASSAGES_ON_A_PAGE)
    wanted = chunks[PASSAGES_ON_A_PAGE + 3]
    page = text_of(panel, f"/admin/knowledge/document/{document.pk}/change/", chunk=wanted.pk)
    assert f'id="passage-{wanted.pk}"' in page
    assert f'id="text-{wanted.pk}"' in page
    assert f'id="passage-{chunks[0].pk}"' not in page
    assert f'data-chosen="{wanted.pk}"' in page


@pytest.mark.parametrize("bad", ["0", "-1", "x", "9" * 40])
def test_a_passage_or_cut_that_is_not_there_is_no_error(panel: Client, document: Document, bad: str) -> None:
    read(document)
    text_of(panel, f"/admin/knowledge/document/{document.pk}/change/", chunk=bad, cut=bad)


def test_each_passage_tells_whether_the_search_has_it(document: Document) -> None:
    first, second = read(document)
    IndexGeneration.objects.create(
        base=document.base, splitting=first.splitting, embedder="e5-small", dimensions=384, collection="c", state="live"
    )
    lexical.add(lexical.rows([lexical.Entry(first.pk, first.splitting_id, "words")]))
    document.refresh_from_db()
    states = preview(document).passages
    assert [(one.chunk.pk, one.in_words, one.in_vectors) for one in states] == [
        (first.pk, True, True),
        (second.pk, False, True),
    ]
    Document.objects.filter(pk=document.pk).update(state=Document.State.PROCESSING, chunks_done=1)
    document.refresh_from_db()
    assert [one.in_vectors for one in preview(document).passages] == [True, False]


def test_a_document_cut_twice_shows_what_is_searched_and_offers_the_other(panel: Client, document: Document) -> None:
    old, new = read(document, splitter="old")[0], read(document, splitter="new")[0]
    IndexGeneration.objects.create(
        base=document.base, splitting=old.splitting, embedder="e5-small", dimensions=384, collection="c", state="live"
    )
    path = f"/admin/knowledge/document/{document.pk}/change/"
    assert f'id="passage-{old.pk}"' in text_of(panel, path)
    other = text_of(panel, path, cut=new.splitting_id)
    assert f'id="passage-{new.pk}"' in other
    assert "not embedded in the live index" in other


def test_what_a_version_takes_the_place_of_is_told_on_both_pages(panel: Client, base: Any, document: Document) -> None:
    newer = document_of(base, "walk-2.md", replaces=document)
    path = "/admin/knowledge/document/{}/change/".format
    assert path(newer.pk) in text_of(panel, path(document.pk))
    assert path(document.pk) in text_of(panel, path(newer.pk))


def test_text_of_a_document_is_never_a_page(panel: Client, base: Any, document: Document) -> None:
    read(document)
    document.body.text = "<script>alert(1)</script> " * 3
    document.body.save()
    assert "<script>alert" not in text_of(panel, f"/admin/knowledge/document/{document.pk}/change/")


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client
