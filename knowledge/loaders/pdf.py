"""PDF, page by page, through PDFium: ten times as fast as pypdf, and it finds more of the words.

pypdf reads what PDFium refuses: damaged tables of contents, and passwords that are none. Pages without text go to
text recognition when it is installed (ocr.py). Tables stay tables, if they are ruled or plain to see (pdf_tables.py).
"""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from . import ocr, tables
from .errors import Damaged, Encrypted, NoText, TooLargeInside
from .pdf_tables import Part, Table, TableFinder, with_headers
from .types import MAX_CHARACTERS, LoadedDocument, TextBuilder

# A word cut at the end of a line; PDFium marks where it knows so.
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]\n(?=[^\W\d_A-ZÅÄÖÆØ])|[\x02\ufffe]\n?")
_EMPTY_LINES = re.compile(r"\n\s*\n+")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
# pypdf keeps every object it has resolved; 10,000 pages would take more than a gigabyte.
_PAGES_BETWEEN_FLUSHES = 50
# A scanned book may carry a page number or the scanner's stamp as its only text: nothing to cite.
_LEAST_LETTERS_A_PAGE = 5

_WRITTEN = frozenset((raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX))
_MOST_FIELDS, _LONGEST_VALUE = 2000, 10_000  # a page; UTF-16 units


def load(path: Path) -> LoadedDocument:
    """Raises Encrypted, Damaged, NoText, TimedOut (of text recognition), TooLargeInside."""
    found: dict[int, tuple[Part, ...]] = {}
    try:
        title, pages = _by_pdfium(path, found)
    except pdfium.PdfiumError:
        found = {}
        title, pages = _by_pypdf(path)
    blank = _blank(pages)
    if blank and ocr.is_on():
        pages = ocr.fill(path, pages, blank)
    if len(_blank(pages)) == len(pages):
        raise NoText
    recognised = set(blank)
    told = [(text,) if at in recognised else found.get(at, (text,)) for at, text in enumerate(pages)]
    return _built(title, told)


def _built(title: str, pages: Sequence[tuple[Part, ...]]) -> LoadedDocument:
    builder = TextBuilder()
    for number, parts in enumerate(with_headers(pages), start=1):
        for part in parts:
            if isinstance(part, Table):
                tables.add(builder, part.rows, page=number)
                continue
            for paragraph in _EMPTY_LINES.split(part):
                builder.add(paragraph, page=number)
    return builder.finish(title)


def _by_pdfium(path: Path, found: dict[int, tuple[Part, ...]]) -> tuple[str, list[str]]:
    """Title and the text of each page; fills in `found`, the parts of pages with tables by the page's index.

    Raises PdfiumError when it cannot be opened, or none of its pages.
    """
    pages: list[str] = []
    broken = total = 0
    finder = TableFinder(_clean)
    document = pdfium.PdfDocument(path)
    try:
        document.init_forms()
        for number in range(len(document)):
            try:
                page = document[number]
                words = page.get_textpage()
                written = _filled_in(document, page)
                text = words.get_text_bounded()
                parts = finder.parts(page, words, text)
                if parts:
                    found[number] = (*parts, *written)
                pages.append("\n".join([_clean(text), *written]))
                words.close()
                page.close()
            except pdfium.PdfiumError:
                broken += 1
                pages.append("")
            total += len(pages[-1])
            if total > MAX_CHARACTERS:
                raise TooLargeInside
        if broken == len(pages):
            raise pdfium.PdfiumError("no page can be read")
        return document.get_metadata_value("Title"), pages
    finally:
        document.close()


def _filled_in(document: pdfium.PdfDocument, page: pdfium.PdfPage) -> list[str]:
    """What people wrote or chose in the fields of a form; it is no text of the page."""
    if document.formenv is None:
        return []
    values = []
    for at in range(min(raw.FPDFPage_GetAnnotCount(page), _MOST_FIELDS)):
        field = raw.FPDFPage_GetAnnot(page, at)
        if raw.FPDFAnnot_GetFormFieldType(document.formenv, field) in _WRITTEN:
            buffer = (ctypes.c_ushort * _LONGEST_VALUE)()
            size = raw.FPDFAnnot_GetFormFieldValue(document.formenv, field, buffer, ctypes.sizeof(buffer))
            if 2 < size <= ctypes.sizeof(buffer):
                values.append(_clean(bytes(buffer)[: size - 2].decode("utf-16-le", "replace")))
        raw.FPDFPage_CloseAnnot(field)
    return values


def _by_pypdf(path: Path) -> tuple[str, list[str]]:
    """The same. Raises Encrypted or Damaged."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    pages: list[str] = []
    try:
        reader = PdfReader(str(path))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Encrypted
        for number, page in enumerate(reader.pages, start=1):
            pages.append(_clean(page.extract_text()))
            if number % _PAGES_BETWEEN_FLUSHES == 0:
                reader.resolved_objects.clear()
        title = reader.metadata.title if reader.metadata else ""
    except (PyPdfError, NotImplementedError, RecursionError, AssertionError, OSError) as error:
        raise Damaged from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        # pypdf lets these through for many malformed files.
        raise Damaged from error
    return title if isinstance(title, str) else "", pages


def _blank(pages: Sequence[str]) -> list[int]:
    """Indices of the pages with nothing to cite: all of them, when the whole document has too few letters.

    What is on each page alike, as a scanner's stamp, counts once.
    """
    letters = [sum(map(str.isalnum, text)) for text in pages]
    told = sum(count for at, count in enumerate(letters) if not at or pages[at] != pages[at - 1])
    if told < _LEAST_LETTERS_A_PAGE * len(pages):
        return list(range(len(pages)))
    return [at for at, count in enumerate(letters) if count < _LEAST_LETTERS_A_PAGE]


def _clean(text: str) -> str:
    # Half a surrogate pair from a broken font table cannot be stored.
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    return _HYPHEN.sub("", text).translate(_LIGATURES)
