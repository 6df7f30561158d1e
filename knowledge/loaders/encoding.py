"""From bytes to text without guessing libraries: these read Swedish cp1252 as cp1250 (docs, measured).

Order: byte order mark, UTF-16 or UTF-32 without a mark when zero bytes say so, strict UTF-8, what the file itself
declares, cp949 (or its forerunner johab) when that gives Hangul, the same for other scripts, else cp1252.
"""

from __future__ import annotations

import codecs
import re

from .errors import WrongType
from .scripts import legacy, wide

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.I
)
_ISO_2022_KR = b"\x1b$)C"  # the announcement that every text in this encoding starts with


def decode(data: bytes) -> str:
    """The text with line ends as '\\n'. Raises WrongType when the bytes are no text."""
    text = _decode(data)
    if "\x00" in text:
        raise WrongType
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _strict(data, name) or data.decode(name, "replace")
    if _ISO_2022_KR in data[:64]:
        return data.decode("iso2022_kr", "replace")
    if b"\x00" in data:
        return wide(data) or "\x00"
    for name in ("utf-8", declared(data)):
        text = _strict(data, name) if name else None
        if text is not None:
            return text
    return legacy(data) or _strict(data, "cp1252") or data.decode("latin-1")


def declared(data: bytes) -> str:
    """The encoding that the first 2,048 bytes declare in HTML or XML, '' for none or an unknown one."""
    found = _DECLARED.search(data[:2048])
    if not found:
        return ""
    try:
        name = codecs.lookup(found.group(1).decode("ascii")).name
    except (LookupError, ValueError):
        return ""
    # Pages that say euc-kr or latin-1 mean these supersets, as every browser reads them.
    return {"euc_kr": "cp949", "iso8859-1": "cp1252", "ascii": "cp1252"}.get(name, name)


def _strict(data: bytes, name: str) -> str | None:
    try:
        text = data.decode(name)
    except (UnicodeError, LookupError):
        return None
    return text if isinstance(text, str) else None
