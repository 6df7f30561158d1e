"""The pages of a PDF beside its passages: who may see them, what the browser keeps, what cannot be drawn."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from knowledge import admin_pictures, stored
from knowledge.admin_preview import MOST_PICTURES, preview
from knowledge.loaders import errors, pdf_picture, sandbox
from knowledge.loaders.pdf import load
from knowledge.models import Chunk, Document, DocumentText
from knowledge.services import add_document
from knowledge.splitting import split
from tests.knowledge.files import encrypted_pdf
from tests.knowledge.panel import document_of, read, staff, text_of
from tests.knowledge.pdf_pages import Page, pdf


def pdf_of(base: Any, content: bytes, name: str = "walk.pdf") -> Document:
    document, _ = add_document(base=base, filename=name, content=io.BytesIO(content))
    return document


def path_of(document: Document, number: object) -> str:
    return f"/admin/knowledge/document/{document.pk}/page/{number}.png"


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the rows, three bytes a pixel; every checksum is looked at."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(png):
        (size,), name = struct.unpack_from(">I", png, at), png[at + 4 : at + 8]
        content = png[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", png, at + 8 + size)[0] == zlib.crc32(name + content)
        chunks[name] = content
        at += size + 12
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 2, 0, 0, 0]
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (1 + 3 * width)
    return width, height, rows


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def document(base: Any) -> Document:
    red = Page().box(0, 0, 595, 842, "1 0 0 rg f")
    return pdf_of(base, pdf(Page().words(60, 80, "One", 40), red))


def test_a_page_is_drawn_as_people_see_it(panel: Client, document: Document) -> None:
    answer = panel.get(path_of(document, 2))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    width, height, rows = pixels(answer.content)
    assert (width, round(height / width, 2)) == (pdf_picture.WIDTH, 1.42)
    assert rows[1 : 1 + 3 * width] == b"\xff\0\0" * width
    words = pixels(panel.get(path_of(document, 1)).content)[2]
    assert words.count(b"\0\0\0") > 100, "black letters"


def test_the_browser_keeps_it_but_asks_each_time(
    panel: Client, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = panel.get(path_of(document, 1))
    assert answer["Cache-Control"] == "private, no-cache"
    assert document.sha256 in answer["ETag"]
    assert panel.get(path_of(document, 2))["ETag"] != answer["ETag"]
    monkeypatch.setattr(sandbox, "draw", None)  # a page that is kept is not drawn again
    again = panel.get(path_of(document, 1), headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content, again["Cache-Control"]) == (304, b"", "private, no-cache")


def test_only_who_may_see_the_document_sees_its_pages(client: Client, document: Document, alice: Any, bob: Any) -> None:
    etag = {"If-None-Match": f'"{document.sha256}-1-1"'}
    assert client.get(path_of(document, 1), headers=etag).status_code == 302
    client.force_login(alice)
    assert client.get(path_of(document, 1), headers=etag).status_code == 302
    client.force_login(staff(bob))
    assert client.get(path_of(document, 1), headers=etag).status_code == 403
    client.force_login(staff(bob, "view_document"))
    assert client.get(path_of(document, 1), headers=etag).status_code == 304
    assert client.post(path_of(document, 1)).status_code == 405


@pytest.mark.parametrize("number", ["0", "3", "9" * 30])
def test_a_page_that_is_not_there(panel: Client, document: Document, number: str) -> None:
    assert panel.get(path_of(document, number)).status_code == 404


def test_other_files_have_no_pages(panel: Client, base: Any) -> None:
    assert panel.get(path_of(document_of(base, "walk.md"), 1)).status_code == 404


def test_a_file_that_is_gone(panel: Client, document: Document) -> None:
    Path(document.file.path).unlink()
    assert panel.get(path_of(document, 1)).status_code == 404


def test_what_cannot_be_drawn_says_so(panel: Client, base: Any) -> None:
    for content in (encrypted_pdf("secret"), b"%PDF-1.4\nnothing"):
        answer = panel.get(path_of(pdf_of(base, content, f"{len(content)}.pdf"), 1))
        assert (answer.status_code, answer["Content-Type"]) == (422, "text/plain; charset=utf-8")
        assert answer.content.decode() == "This page cannot be shown as a picture."
        assert answer["Cache-Control"] == "no-store"
        assert "ETag" not in answer


def test_the_child_that_draws_has_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.pdf"
    net = Page()
    net._drawn.append(b"\n".join(b"%d 0 m %d 842 l S" % (at % 595, at * 7 % 595) for at in range(400_000)))
    path.write_bytes(pdf(net))
    monkeypatch.setattr(sandbox, "DRAW_CPU_SECONDS", 1)
    with pytest.raises(errors.TimedOut):
        sandbox.draw(path, 1)
    monkeypatch.setattr(sandbox, "DRAW_WALL_SECONDS", 0.0)
    with pytest.raises(errors.TimedOut):
        sandbox.draw(path, 1)


@pytest.mark.parametrize("box", [b"0 0 1 14400", b"0 0 14400 14400", b"0 0 100000000 1"])
def test_a_page_of_any_size_gives_a_small_picture(tmp_path: Path, box: bytes) -> None:
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf(Page().words(1, 1, "x")).replace(b"0 0 595 842", box))
    width, height, _ = pixels(sandbox.draw(path, 1))
    assert width * height <= 1.1 * pdf_picture.MOST_PIXELS


def test_a_photograph_is_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.pdf"
    path.write_bytes(pdf(Page().words(60, 80, "Nearly empty")))
    monkeypatch.setattr(pdf_picture, "MOST_BYTES", 100)
    assert pixels(pdf_picture.draw(path, 1))[0] == pdf_picture.WIDTH // 2


def test_no_more_than_two_at_once(panel: Client, document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_pictures, "WAIT_SECONDS", 0.0)
    for _ in range(admin_pictures.AT_ONCE):
        assert admin_pictures._turn.acquire(blocking=False)
    try:
        answer = panel.get(path_of(document, 1))
    finally:
        for _ in range(admin_pictures.AT_ONCE):
            admin_pictures._turn.release()
    assert (answer.status_code, answer["Cache-Control"]) == (503, "no-store")
    assert panel.get(path_of(document, 1)).status_code == 200


# --- beside the passages -------------------------------------------------------------------------


def test_the_pages_of_the_passages_stand_beside_them(panel: Client, document: Document) -> None:
    chunks = read(document, passages=3)
    Chunk.objects.filter(pk=chunks[0].pk).update(page=1)
    path = f"/admin/knowledge/document/{document.pk}/change/"
    page = text_of(panel, path)
    assert page.count("<img src=") >= 2
    assert page.index(path_of(document, 1)) < page.index(path_of(document, 3))
    assert path_of(document, 2) not in page, "no passage comes from it"
    assert 'alt="Page 3 of the file" loading="lazy"' in page
    assert 'href="#page-1" aria-label="Show passage 1 in the document"' in page
    assert f'id="text-{chunks[0].pk}"' not in page
    text = text_of(panel, path, view="text")
    assert path_of(document, 1) not in text
    assert f'id="text-{chunks[0].pk}"' in text


def cut(document: Document, *, with_blocks: bool = True) -> list[Chunk]:
    """As the worker reads it, a token for each word."""
    read(document, passages=1)
    splitting = Chunk.objects.get(document=document).splitting
    loaded = load(Path(document.file.path))
    Chunk.objects.filter(document=document).delete()
    blocks = stored.pack(loaded.blocks) if with_blocks else {}
    DocumentText.objects.filter(document=document).update(text=loaded.text, blocks=blocks)
    return Chunk.objects.bulk_create(
        Chunk(
            document=document,
            splitting=splitting,
            position=at,
            start=one.start,
            end=one.end,
            text=one.text,
            page=one.page,
            tokens=one.tokens,
        )
        for at, one in enumerate(split(loaded, lambda text: len(text.split())))
    )


def slides(pages: int) -> bytes:
    return pdf(*(Page().words(60, 80, f"Slide {n} says little", 30) for n in range(1, pages + 1)))


def passage_of(page: str, chunk: Chunk) -> str:
    return page.partition(f'id="passage-{chunk.pk}"')[2].partition("</li>")[0]


def test_a_passage_over_two_pages_shows_both(panel: Client, base: Any) -> None:
    long = "\n".join(f"Line {n} of the first page says a little more than the one before it." for n in range(12))
    three = pdf(Page().words(60, 80, long), Page().words(60, 80, "The end of it."), Page().words(60, 80, long))
    document = pdf_of(base, three)
    first, second = cut(document)
    assert [first.page, second.page] == [1, 3]
    page = text_of(panel, f"/admin/knowledge/document/{document.pk}/change/")
    places = [page.index(path_of(document, number)) for number in (1, 2, 3)]
    assert places == sorted(places)
    assert 'data-on-pages="1 2 "' in page
    assert 'data-on-pages="3 "' in page
    both = passage_of(page, first)
    assert 'href="#page-1" data-goto="1">page 1</a>' in both
    assert 'href="#page-2" data-goto="2">page 2</a>' in both
    assert "#page-3" not in both
    assert "not shown" not in page
    figure = page.partition('id="page-2"')[2].partition("</figure>")[0]
    assert 'alt="Page 2 of the file"' in figure
    assert ">page 2</figcaption>" in figure
    assert panel.get(path_of(document, 2)).status_code == 200
    as_text = passage_of(text_of(panel, f"/admin/knowledge/document/{document.pk}/change/", view="text"), first)
    assert "page 1 · page 2" in as_text
    assert "#page-" not in as_text


def test_of_a_passage_over_many_pages_the_first_are_shown(panel: Client, base: Any) -> None:
    document = pdf_of(base, slides(MOST_PICTURES + 2))
    (only,) = cut(document)
    page = text_of(panel, f"/admin/knowledge/document/{document.pk}/change/")
    assert page.count("<figure") == MOST_PICTURES
    assert path_of(document, MOST_PICTURES + 1) not in page
    assert "2 more pages are not shown" in passage_of(page, only)
    text = passage_of(text_of(panel, f"/admin/knowledge/document/{document.pk}/change/", view="text"), only)
    assert f"page {MOST_PICTURES + 2}" in text, "all of them"
    assert "not shown" not in text


def test_a_document_from_before_its_blocks_were_stored_shows_where_its_passages_begin(base: Any) -> None:
    document = pdf_of(base, slides(2))
    cut(document, with_blocks=False)
    found = preview(document)
    assert ([one.pages for one in found.passages], found.pictures) == ([(1,)], [1])


def test_the_pages_of_a_stretch(base: Any) -> None:
    document = pdf_of(base, slides(3))
    cut(document)
    text = DocumentText.objects.get(document=document).text
    second, third = text.index("Slide 2"), text.index("Slide 3")
    spans = [(0, 5), (second, third), (second, third + 1), (0, len(text))]
    assert stored.pages_of(document.pk, spans) == [(1,), (2,), (2, 3), (1, 2, 3)]


def test_a_file_without_pages_shows_its_text(panel: Client, base: Any) -> None:
    document = document_of(base, "walk.md")
    first = read(document)[0]
    page = text_of(panel, f"/admin/knowledge/document/{document.pk}/change/")
    assert f'id="text-{first.pk}"' in page
    assert ".png" not in page.partition('class="ac-preview"')[2]
