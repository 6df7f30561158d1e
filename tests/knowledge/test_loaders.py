"""What is read from each format, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.loaders import REGISTRY, errors, known_suffix, loader_for, sniff
from knowledge.loaders.encoding import decode
from knowledge.loaders.types import LoadedDocument, TextBuilder

from . import files

SWEDISH = "Räksmörgås är gott, tycker Åsa. Det är en återkommande fråga på fikarasten."
NORWEGIAN = "Blåbærsyltetøy på skiva er godt, sier Øyvind. Æra være den som prøver."
KOREAN = "코칭은 상대가 스스로 답을 찾도록 돕는 대화입니다. 질문을 먼저 해 보세요."


def load(tmp_path: Path, content: bytes | str, suffix: str) -> LoadedDocument:
    """Checked and read in this process; the sandbox has its own tests."""
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    sniff.check(path, suffix)
    return loader_for(suffix)(path)


def blocks(document: LoadedDocument) -> list[tuple[tuple[str, ...], str]]:
    return [(block.headings, document.text[block.start : block.end]) for block in document.blocks]


def test_every_suffix_has_a_loader() -> None:
    assert all(callable(loader_for(suffix)) for suffix in REGISTRY)


def test_an_unknown_suffix_is_refused() -> None:
    with pytest.raises(errors.WrongType):
        known_suffix("program.exe")


def test_every_error_has_a_code_and_a_sentence() -> None:
    for code, error in errors.BY_CODE.items():
        assert error.code == code
        assert error().message.endswith(".")


# --- formats -------------------------------------------------------------------------------------


def test_text_paragraphs(tmp_path: Path) -> None:
    document = load(tmp_path, "First line\nsecond line.\n\n  \n\nNext paragraph.\r\n", ".txt")
    assert blocks(document) == [((), "First line\nsecond line."), ((), "Next paragraph.")]


def test_markdown_headings_lists_tables_and_code(tmp_path: Path) -> None:
    text = """---
draft: true
---
# The *title*

Intro with **bold**, `code` and a [link](https://example.org).

## Steps

1. One
2. Two
   - inner

```
# no heading
```

### Details

| a | b |
|---|---|
| 1 | 2 |

## Nothing below
"""
    document = load(tmp_path, text, ".md")
    assert document.title == "The title"
    assert blocks(document) == [
        ((), "Intro with bold, code and a link."),
        (("Steps",), "1. One\n2. Two\n  - inner"),
        (("Steps",), "# no heading"),
        (("Steps", "Details"), "| a | b |\n|---|---|\n| 1 | 2 |"),
        ((), "Nothing below"),
    ]


def test_html_without_menus_and_scripts(tmp_path: Path) -> None:
    text = f"""<!doctype html><html><head><title>The page</title><style>p {{}}</style></head><body>
    <nav><a href="/">Home</a></nav><h1>Welcome</h1><p>First <b>bold</b><br>line {SWEDISH}</p>
    <script>alert("x")</script><h2>List</h2><ul><li>one</li><li><p>two</p></li></ul>
    <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
    <p hidden>secret</p>tail<footer>© us</footer></body></html>"""
    document = load(tmp_path, text, ".html")
    assert document.title == "Welcome"
    assert blocks(document) == [
        ((), f"First bold\nline {SWEDISH}"),
        (("List",), "- one\n- two"),
        (("List",), "| a | b |\n|---|---|\n| 1 | 2 |"),
        (("List",), "tail"),
    ]


def test_html_takes_its_title_when_no_heading_starts_it(tmp_path: Path) -> None:
    assert load(tmp_path, "<html><title>The page</title><p>Text</p></html>", ".html").title == "The page"


def test_pdf_pages_and_title(tmp_path: Path) -> None:
    document = load(tmp_path, files.pdf(["First page of text", "", "Third page of text"], title="Report"), ".pdf")
    assert document.title == "Report"
    assert [(block.page, document.text[block.start : block.end]) for block in document.blocks] == [
        (1, "First page of text"),
        (3, "Third page of text"),
    ]


def test_pdf_with_an_owner_password_only_is_read(tmp_path: Path) -> None:
    assert "behind a password" in load(tmp_path, files.encrypted_pdf("secret", owner_only=True), ".pdf").text


def test_docx_headings_lists_tables_and_changes(tmp_path: Path) -> None:
    body = "".join(
        [
            files.paragraph("Titel", "Rubrik1"),
            files.paragraph(SWEDISH),
            files.paragraph("Del", "Rubrik2"),
            "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>punkt</w:t></w:r></w:p>",
            "<w:tbl><w:tr><w:tc>"
            + files.paragraph("a")
            + "</w:tc><w:tc>"
            + files.paragraph("b")
            + "</w:tc></w:tr></w:tbl>",
            "<w:p><w:r><w:t>kept</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
            "<w:ins><w:r><w:t> new</w:t></w:r></w:ins></w:p>",
        ]
    )
    document = load(tmp_path, files.docx(body), ".docx")
    assert document.title == "Titel"
    assert blocks(document) == [
        ((), SWEDISH),
        (("Del",), "- punkt"),
        (("Del",), "| a | b |\n|---|---|"),
        (("Del",), "kept new"),
    ]


def test_a_docx_expands_no_entity(tmp_path: Path) -> None:
    xml = (
        '<!DOCTYPE d [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
        f"<w:document {files.W}><w:body><w:p><w:r><w:t>Plain &b;&f; text</w:t></w:r></w:p></w:body></w:document>"
    )
    text = load(tmp_path, files.docx("", {"word/document.xml": xml}), ".docx").text
    assert "boom" not in text
    assert "root:" not in text


# --- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("text", [SWEDISH, NORWEGIAN])
def test_nordic_encodings(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949", "euc-kr", "johab", "iso2022_kr"])
def test_korean_encodings(encoding: str) -> None:
    assert decode(KOREAN.encode(encoding)) == KOREAN


def test_a_declared_encoding_wins_over_guessing() -> None:
    page = '<html><head><meta charset="iso-8859-2"></head><p>Žluťoučký kůň</p></html>'
    assert decode(page.encode("iso-8859-2")) == page


def test_zero_bytes_are_no_text() -> None:
    with pytest.raises(errors.WrongType):
        decode(b"a\x00\x01\x02b\xff\x00c")


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "suffix", "code"),
    [
        (b"", ".txt", "empty"),
        (b" \n\t ", ".md", "empty"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, ".txt", "wrong_type"),
        (b"GIF89a..", ".md", "wrong_type"),
        (bytes(range(1, 32)) * 20, ".txt", "wrong_type"),
        (b"just words", ".html", "wrong_type"),
        (b"<html><p>Not a PDF</p></html>", ".pdf", "wrong_type"),
        (b"%PDF-1.4\n<html><p>Still not a PDF</p></html>", ".pdf", "wrong_type"),
        (b"PK\x03\x04 broken", ".docx", "damaged"),
        (b"plain text", ".docx", "wrong_type"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old .doc", ".docx", "wrong_type"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), ".docx", "encrypted"),
        (files.pdf(["Some text on a page"])[:200] + b"garbage", ".pdf", "damaged"),
        (files.pdf(["", "", ""]), ".pdf", "no_text"),
        (files.pdf(["1", "2", "3"]), ".pdf", "no_text"),
        (files.pdf(["Scanned by a device"] * 9), ".pdf", "no_text"),
        (files.encrypted_pdf("secret"), ".pdf", "encrypted"),
        (files.encrypted_pdf("secret", "RC4-128"), ".pdf", "encrypted"),
        (files.docx(""), ".docx", "no_text"),
        (files.docx("<w:p>"), ".docx", "damaged"),
        (files.docx("", {"word/media/a.xml": b"0" * (sniff.MAX_UNPACKED_XML + 1)}), ".docx", "too_large_inside"),
        (b"<html><script>only()</script></html>", ".html", "no_text"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, suffix: str, code: str) -> None:
    with pytest.raises(errors.LoadError) as refused:
        load(tmp_path, content, suffix)
    assert refused.value.code == code


def test_a_zip_that_is_no_word_file_is_refused(tmp_path: Path) -> None:
    data = files.docx("").replace(b"word/document.xml", b"word/somethin.xml")
    with pytest.raises(errors.WrongType):
        load(tmp_path, data, ".docx")


def test_a_text_beyond_all_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowledge.loaders.types.MAX_CHARACTERS", 10)
    with pytest.raises(errors.TooLargeInside):
        TextBuilder().add("more than ten characters")
