"""From bytes to text without guessing libraries: these read Swedish cp1252 as cp1250 (docs, measured).

Order: byte order mark, strict UTF-8, UTF-16 without a mark when plainly so, what the file itself declares,
cp949 (or its forerunner johab) when that gives Hangul, else cp1252.
"""

from __future__ import annotations

import codecs
import re

from .errors import WrongType

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
_HANGUL = re.compile("[가-힣]")
# Two syllables side by side: accented Latin letters read as cp949 rarely give that, Korean nearly always does.
_HANGUL_RUN = re.compile("[가-힣]{2,}")
_UTF16_SAMPLE = 4096
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
    utf16 = _plain_utf16(data)
    if utf16:
        return data.decode(utf16, "replace")
    for name in ("utf-8", declared(data)):
        text = _strict(data, name) if name else None
        if text is not None:
            return text
    for name in ("cp949", "johab"):
        korean = _strict(data, name)
        if korean is not None and _is_korean(korean):
            return korean
    return _strict(data, "cp1252") or data.decode("latin-1")


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


def _plain_utf16(data: bytes) -> str:
    """'utf-16-le' or '-be' when every second byte of the start is zero, as in Western text; else ''."""
    sample = data[:_UTF16_SAMPLE]
    half = len(sample) // 2
    if half < 2 or b"\x00" not in sample:
        return ""
    even, odd = sample[0 : half * 2 : 2].count(0), sample[1 : half * 2 : 2].count(0)
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _is_korean(text: str) -> bool:
    """Most of what is not ASCII must be syllables, and most of them must stand in runs."""
    foreign = sum(not character.isascii() for character in text)
    syllables = len(_HANGUL.findall(text))
    in_runs = sum(map(len, _HANGUL_RUN.findall(text)))
    return syllables > 0.5 * foreign and in_runs > 0.6 * syllables
