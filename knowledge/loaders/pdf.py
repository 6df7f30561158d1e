"""PDF through pypdf: text page by page."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from .errors import Damaged, Encrypted, NoText
from .types import LoadedDocument, TextBuilder

_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u00ad]\n(?=[^\W\d_A-ZÅÄÖÆØ])")
_EMPTY_LINES = re.compile(r"\n\s*\n+")
# pypdf keeps every object it has resolved; 10,000 pages would take more than a gigabyte.
_PAGES_BETWEEN_FLUSHES = 50
# A scanned book may carry a page number or the scanner's stamp as its only text: nothing to cite.
_LEAST_LETTERS_A_PAGE = 5


def load(path: Path) -> LoadedDocument:
    """Raises Encrypted, Damaged, NoText."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    builder = TextBuilder()
    letters, number, seen = 0, 0, ""
    try:
        reader = PdfReader(str(path))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Encrypted
        for number, page in enumerate(reader.pages, start=1):
            text = _clean(page.extract_text())
            if text != seen:
                letters, seen = letters + sum(map(str.isalnum, text)), text
            _add_page(builder, text, number)
            if number % _PAGES_BETWEEN_FLUSHES == 0:
                reader.resolved_objects.clear()
        title = reader.metadata.title if reader.metadata else ""
    except (PyPdfError, NotImplementedError) as error:
        raise Damaged from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        AssertionError,
        OSError,
    ) as error:
        # pypdf lets these through for many malformed files.
        raise Damaged from error
    if letters < _LEAST_LETTERS_A_PAGE * number:
        raise NoText
    return builder.finish(title if isinstance(title, str) else "")


def _add_page(builder: TextBuilder, text: str, number: int) -> None:
    for paragraph in _EMPTY_LINES.split(text):
        builder.add(paragraph, page=number)


def _clean(text: str) -> str:
    # Half a surrogate pair from a broken font table cannot be stored.
    return _HYPHEN.sub("", text.encode("utf-8", "replace").decode("utf-8"))
