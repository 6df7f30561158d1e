"""Signature, extension and content must agree, before any parser sees the file.

A real parse has the last word: HTML after '%PDF-1.4' passes a look at the first bytes only.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from . import docx, epub, odt, pptx, xlsx
from .encoding import decode
from .errors import Damaged, Empty, Encrypted, TooLargeInside, WrongType
from .transcript import CUE

# Bytes that a zipped format may declare unpacked: far above any real text, far below what would hurt.
MAX_UNPACKED = 512 * 1024 * 1024
MAX_UNPACKED_XML = 128 * 1024 * 1024
MAX_PARTS = 20_000

_XML = (".xml", ".xhtml", ".html", ".htm", ".opf", ".rels")
_SAMPLE = 64 * 1024
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")
# Signatures of files that are sometimes renamed to .txt, .md or .html.
_BINARY = (
    _ZIP,
    _OLE,
    b"%PDF-",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x7fELF",
    b"MZ\x90",
    b"{\\rtf",
)
# The part without which a zip file is no such document.
_OFFICE = {".docx": docx.MAIN, ".pptx": pptx.MAIN, ".xlsx": xlsx.MAIN}
_OPEN = {".odt": (odt.MIMETYPE, odt.CONTENT), ".epub": (epub.MIMETYPE, epub.CONTAINER)}
_ODF_ENCRYPTED = b"encryption-data"
_EPUB_RIGHTS, _EPUB_FONTS = (
    "META-INF/encryption.xml",
    re.compile(rb"idpf\.org/2008/embedding|ns\.adobe\.com/pdf/enc#RC"),
)
_EPUB_CIPHERS = re.compile(rb"EncryptionMethod")
_PAGE = re.compile(r"\s*<(?:!doctype|html)", re.I)
_MAIL = re.compile(r"^(?:from|subject|date|received|message-id|mime-version|to):", re.I | re.M)
_HEADER = re.compile(r"[!-9;-~]+:|[ \t]|From ")
_TAG = re.compile(r"<(?:!doctype|/?[a-z][a-z0-9]*[\s/>])", re.I)
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f]")


def check(path: Path, suffix: str) -> None:
    """Raises Empty, WrongType, Encrypted, Damaged or TooLargeInside."""
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    if not head.strip(b" \t\r\n\x00\xef\xbb\xbf\xfe\xff"):
        raise Empty
    if suffix == ".pdf":
        _check_pdf(path, head)
    elif suffix in _OFFICE or suffix in _OPEN:
        _check_zipped(path, suffix, head)
    else:
        _check_text(head, suffix)


def _check_pdf(path: Path, head: bytes) -> None:
    if b"%PDF-" not in head[:1024]:
        raise WrongType
    data = path.read_bytes()
    if not re.search(rb"\d\s+\d\s+obj\b", data):
        raise WrongType


def _check_zipped(path: Path, suffix: str, head: bytes) -> None:
    if head.startswith(_OLE):
        # A password turns an Office file into this container; an old .doc looks the same but for this name.
        raise Encrypted if _ENCRYPTED_OFFICE in path.read_bytes() else WrongType
    if not head.startswith(_ZIP):
        raise WrongType
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            _check_parts(archive, suffix, parts)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        raise Damaged from error


def _check_parts(archive: zipfile.ZipFile, suffix: str, parts: Sequence[zipfile.ZipInfo]) -> None:
    names = {part.filename for part in parts}
    if suffix in _OFFICE and not any(_OFFICE[suffix].fullmatch(name) for name in names):
        raise WrongType
    if any(part.flag_bits & 1 for part in parts):
        raise Encrypted
    xml = max((part.file_size for part in parts if part.filename.endswith(_XML)), default=0)
    if len(parts) > MAX_PARTS or xml > MAX_UNPACKED_XML or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise TooLargeInside
    if suffix in _OPEN:
        _check_open(archive, suffix, names)


def _check_open(archive: zipfile.ZipFile, suffix: str, names: set[str]) -> None:
    mimetype, content = _OPEN[suffix]
    said = archive.read("mimetype").strip().decode("ascii", "replace") if "mimetype" in names else ""
    if content not in names or (said and said != mimetype):
        raise WrongType
    if (
        suffix == ".odt"
        and "META-INF/manifest.xml" in names
        and _ODF_ENCRYPTED in archive.read("META-INF/manifest.xml")
    ):
        raise Encrypted
    if suffix == ".epub" and _EPUB_RIGHTS in names:
        rights = archive.read(_EPUB_RIGHTS)
        if len(_EPUB_CIPHERS.findall(rights)) > len(_EPUB_FONTS.findall(rights)):
            raise Encrypted  # fonts alone may be veiled


def _check_text(head: bytes, suffix: str) -> None:
    if head.startswith(_BINARY):
        raise WrongType
    text = decode(head)
    if len(_CONTROL.findall(text)) > len(text) / 100:
        raise WrongType
    check = _TEXTS.get(suffix)
    if check is not None and not check(text):
        raise WrongType


def _is_mail(text: str) -> bool:
    """The first lines are headers, and one of them is a header that every message has."""
    top = text.lstrip().partition("\n\n")[0]
    return all(_HEADER.match(line) for line in top.split("\n", 5)[:5]) and bool(_MAIL.search(top))


_TEXTS: dict[str, Callable[[str], object]] = {
    ".html": _TAG.search,
    ".htm": _TAG.search,
    ".csv": lambda text: not _PAGE.match(text),
    ".tsv": lambda text: not _PAGE.match(text),
    ".eml": _is_mail,
    ".srt": CUE.search,
    ".vtt": lambda text: text.lstrip("\ufeff").startswith("WEBVTT"),
}
