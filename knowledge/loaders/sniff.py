"""Signature, extension and content must agree, before any parser sees the file.

A real parse has the last word: HTML after '%PDF-1.4' passes a look at the first bytes only.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from .encoding import decode
from .errors import Damaged, Empty, Encrypted, TooLargeInside, WrongType

# Bytes that a .docx may declare unpacked: far above any real text, far below what would hurt.
MAX_UNPACKED = 512 * 1024 * 1024
MAX_UNPACKED_XML = 128 * 1024 * 1024
MAX_PARTS = 20_000

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
    elif suffix == ".docx":
        _check_docx(path, head)
    else:
        _check_text(head, suffix)


def _check_pdf(path: Path, head: bytes) -> None:
    if b"%PDF-" not in head[:1024]:
        raise WrongType
    data = path.read_bytes()
    if not re.search(rb"\d\s+\d\s+obj\b", data):
        raise WrongType


def _check_docx(path: Path, head: bytes) -> None:
    if head.startswith(_OLE):
        # A password turns a .docx into this container; an old .doc looks the same but for this name.
        raise Encrypted if _ENCRYPTED_OFFICE in path.read_bytes() else WrongType
    if not head.startswith(_ZIP):
        raise WrongType
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Damaged from error
    if "word/document.xml" not in {part.filename for part in parts}:
        raise WrongType
    if any(part.flag_bits & 1 for part in parts):
        raise Encrypted
    xml = max((part.file_size for part in parts if part.filename.endswith(".xml")), default=0)
    if len(parts) > MAX_PARTS or xml > MAX_UNPACKED_XML or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise TooLargeInside


def _check_text(head: bytes, suffix: str) -> None:
    if head.startswith(_BINARY):
        raise WrongType
    text = decode(head)
    if len(_CONTROL.findall(text)) > len(text) / 100:
        raise WrongType
    if suffix in (".html", ".htm") and not _TAG.search(text):
        raise WrongType
