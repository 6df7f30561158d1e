"""PowerPoint, Excel, OpenDocument and EPUB: what is read, where a person finds it again, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.loaders import errors, sniff

from . import files, office_files
from .test_loaders import NORWEGIAN, SWEDISH, blocks, load

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"


def test_slides_are_pages_and_titles_are_headings(tmp_path: Path) -> None:
    slides = [
        office_files.shape(["Plan"], "ctrTitle") + office_files.shape([SWEDISH], "subTitle"),
        office_files.shape(["Mål"], "title")
        + office_files.shape(["ett", "två"], "body")
        + office_files.shape(["17"], "sldNum"),
        office_files.grid([["a", "b"], ["1", "2"]]) + office_files.shape(["Free text"]),
    ]
    document = load(tmp_path, office_files.pptx(slides, {1: "Say it slowly"}), ".pptx")
    assert document.title == "Plan"
    found = [(block.page, block.headings, document.text[block.start : block.end]) for block in document.blocks]
    assert found == [
        (1, ("Plan",), SWEDISH),
        (2, ("Mål",), "- ett\n- två"),
        (2, ("Mål",), "Say it slowly"),
        (3, (), TABLE),
        (3, (), "Free text"),
    ]


def test_the_fallback_of_a_drawing_is_not_read_twice(tmp_path: Path) -> None:
    inside = office_files.shape(["Once"])
    both = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f'<mc:Choice Requires="p14">{inside}</mc:Choice><mc:Fallback>{inside}</mc:Fallback></mc:AlternateContent>'
    )
    assert load(tmp_path, office_files.pptx([both]), ".pptx").text == "Once"


def test_sheets_are_headings_and_areas_are_tables(tmp_path: Path) -> None:
    rows = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
        '<row r="3"><c r="A3" t="s"><v>1</v></c><c r="B3" t="s"><v>2</v></c>'
        '<c r="D3" t="inlineStr"><is><t>Part</t></is></c></row>'
        '<row r="4"><c r="A4" t="s"><v>3</v></c><c r="B4" s="1"><v>46053.5</v></c><c r="D4" s="2"><v>0.25</v></c></row>'
        '<row r="5"><c r="A5"><v>0.30000000000000004</v></c><c r="B5" t="e"><v>#REF!</v></c>'
        '<c r="D5" t="b"><v>1</v></c></row>'
    )
    strings = ["Budget för våren", "Post", "När", "Hyra | el"]
    sheets = {"Våren": rows, "Dold": rows, "Tom": ""}
    document = load(tmp_path, office_files.xlsx(sheets, strings, hidden=["Dold"]), ".xlsx")
    assert blocks(document) == [
        (("Våren",), "Budget för våren"),
        (
            ("Våren",),
            "| Post | När | Part |\n|---|---|---|\n| Hyra \\| el | 2026-01-31 12:00 | 25 % |\n| 0.3 |  | TRUE |",
        ),
        ((), "Tom"),
    ]


def test_each_piece_of_a_long_table_names_its_columns(tmp_path: Path) -> None:
    rows = "".join(
        f'<row r="{at}"><c t="inlineStr"><is><t>{"Name" if at == 1 else f"Person {at}"}</t></is></c>'
        f'<c t="inlineStr"><is><t>{"Town" if at == 1 else "Kristiansand"}</t></is></c></row>'
        for at in range(1, 401)
    )
    document = load(tmp_path, office_files.xlsx({"People": rows}), ".xlsx")
    texts = [text for _, text in blocks(document)]
    assert len(texts) > 5
    assert all(text.startswith("| Name | Town |\n|---|---|\n| Person") for text in texts)
    assert sum(text.count("Kristiansand") for text in texts) == 399


def test_open_document_text(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="1">Titel</text:h>'
        f'<text:p>{NORWEGIAN}<text:s text:c="2"/><text:span>spann</text:span><text:note><text:note-citation>1'
        "</text:note-citation><text:note-body><text:p>Fotnot</text:p></text:note-body></text:note> slutt</text:p>"
        '<text:h text:outline-level="2">Del</text:h>'
        "<text:list><text:list-item><text:p>en</text:p><text:list><text:list-item><text:p>inne</text:p></text:list-item>"
        "</text:list></text:list-item><text:list-item><text:p>to</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell>"
        "<text:p>b</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell><text:p>1</text:p>"
        "</table:table-cell><table:table-cell><text:p>2</text:p></table:table-cell><table:table-cell "
        'table:number-columns-repeated="16000"/></table:table-row></table:table>'
    )
    document = load(tmp_path, office_files.odt(body), ".odt")
    assert document.title == "Titel"
    assert blocks(document) == [
        ((), "Fotnot"),
        ((), f"{NORWEGIAN}  spann slutt"),
        (("Del",), "- en\n  - inne\n- to"),
        (("Del",), TABLE),
    ]


def test_a_book_in_the_order_of_its_spine(tmp_path: Path) -> None:
    pages = {
        "b.xhtml": f"<html><head><title>x</title></head><body><h1>Kapitel ett</h1><p>{SWEDISH}</p></body></html>",
        "a 2.xhtml": '<?xml version="1.0" encoding="utf-8"?><html><body><h1>Kapitel två</h1>'
        "<h2>Del</h2><p>Slut.</p></body></html>",
        "picture.xhtml": "<html><body><img src='x.png'/></body></html>",
    }
    document = load(tmp_path, office_files.epub(pages), ".epub")
    assert document.title == "Boken om vanor"
    assert blocks(document) == [(("Kapitel ett",), SWEDISH), (("Kapitel två", "Del"), "Slut.")]


def test_an_expanded_entity_is_no_text(tmp_path: Path) -> None:
    xml = (
        '<!DOCTYPE d [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
        f"<office:document-content {office_files.ODF}><office:body><office:text>"
        "<text:p>Plain &b;&f; text</text:p></office:text></office:body></office:document-content>"
    )
    text = load(tmp_path, office_files.odt("", {"content.xml": xml}), ".odt").text
    assert "boom" not in text
    assert "root:" not in text


RIGHTS = (
    '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData>'
    '<EncryptionMethod Algorithm="{}"/></EncryptedData></encryption>'
)
PAGE = {"a.xhtml": "<html><body><p>Some text of a book.</p></body></html>"}
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.mark.parametrize(
    ("content", "suffix", "code"),
    [
        (office_files.zipped({"a.txt": "text"}), ".pptx", "wrong_type"),
        (office_files.pptx([office_files.shape(["text"])]), ".xlsx", "wrong_type"),
        (office_files.odt("<text:p>text</text:p>"), ".epub", "wrong_type"),
        (files.docx(files.paragraph("text")), ".odt", "wrong_type"),
        (b"PK\x03\x04 broken", ".xlsx", "damaged"),
        (b"just words", ".epub", "wrong_type"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), ".pptx", "encrypted"),
        (OLE + b" an old .xls", ".xlsx", "wrong_type"),
        (office_files.odt("", {"META-INF/manifest.xml": "<m><manifest:encryption-data/></m>"}), ".odt", "encrypted"),
        (
            office_files.epub(
                PAGE, {"META-INF/encryption.xml": RIGHTS.format("http://www.w3.org/2001/04/xmlenc#aes256-cbc")}
            ),
            ".epub",
            "encrypted",
        ),
        (office_files.pptx([office_files.shape([])]), ".pptx", "no_text"),
        (office_files.xlsx({}), ".xlsx", "no_text"),
        (office_files.odt(""), ".odt", "no_text"),
        (office_files.epub({"a.xhtml": "<html><body></body></html>"}), ".epub", "no_text"),
        (office_files.odt("<text:p>"), ".odt", "damaged"),
        (office_files.xlsx({"A": "<row><c>"}), ".xlsx", "damaged"),
        (office_files.odt("", {"x.xml": b"0" * (sniff.MAX_UNPACKED_XML + 1)}), ".odt", "too_large_inside"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, suffix: str, code: str) -> None:
    with pytest.raises(errors.LoadError) as refused:
        load(tmp_path, content, suffix)
    assert refused.value.code == code


def test_veiled_fonts_lock_no_book(tmp_path: Path) -> None:
    fonts = {"META-INF/encryption.xml": RIGHTS.format("http://www.idpf.org/2008/embedding")}
    assert load(tmp_path, office_files.epub(PAGE, fonts), ".epub").text == "Some text of a book."


def test_a_sheet_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowledge.loaders.xlsx.MOST_ROWS", 3)
    rows = "<row><c><v>1</v></c></row>" * 4
    with pytest.raises(errors.TooLargeInside):
        load(tmp_path, office_files.xlsx({"A": rows}), ".xlsx")
