"""Writes a large PDF by hand: no library, plain text on every page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_WORDS = tuple(
    word
    for line in (
        "goal habit feedback value rest step question listen plan choice energy strength honest calm focus trust",
        "change review practice evening morning partner student teacher course policy exam draft source privacy",
    )
    for word in line.split()
)
LINES, WORDS_IN_A_LINE = 12, 11


def write_pdf(path: Path, pages: int) -> None:
    """About 1.3 kB a page; every page has its own text and names its number."""
    offsets: list[int] = []
    with path.open("wb") as file:
        file.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        for number, body in enumerate(_objects(pages), start=1):
            offsets.append(file.tell())
            file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        start = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1))
        file.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
        file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, start))


def _objects(pages: int) -> Iterator[bytes]:
    """1 catalogue, 2 page tree, 3 font, then page and content in turn."""
    yield b"<< /Type /Catalog /Pages 2 0 R >>"
    kids = b" ".join(b"%d 0 R" % (4 + 2 * page) for page in range(pages))
    yield b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids)
    yield b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    for page in range(pages):
        resources = b"/Resources << /Font << /F1 3 0 R >> >>"
        content = _content(page)
        yield b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] %s /Contents %d 0 R >>" % (resources, 5 + 2 * page)
        yield b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


def _content(page: int) -> bytes:
    lines = [f"BT /F1 11 Tf 60 780 Td 15 TL (Page {page + 1} of a long book.) Tj T*"]
    for line in range(LINES):
        seed = page * 31 + line * 7
        words = [_WORDS[(seed + word * (3 + page % 5)) % len(_WORDS)] for word in range(WORDS_IN_A_LINE)]
        lines.append(f"({' '.join(words)}.) Tj T*")
    return ("\n".join(lines) + "\nET").encode("ascii")
